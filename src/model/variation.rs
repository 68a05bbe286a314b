//! A variation: one aspect of the environment that should not matter, with its levels.

use serde::{Deserialize, Serialize};

use super::Need;
use super::element::Field;
use super::environment::{Environment, Setting};
use super::remedy::Attempt;

/// What a variation belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Varies {
    /// How the sources came to be where they are built: their times, modes and owners.
    Checkout,
    /// Where, when and by whom they are built: everything else.
    Machine,
}

/// One aspect of the environment that should not matter, its levels resolved by the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variation {
    /// Our name, for example `build-path`.
    pub name: String,
    /// Names under which other tools know it.
    pub aliases: Vec<String>,
    /// The tag that Debian's bug tracker uses, where one exists.
    pub usertag: Option<String>,
    /// What it belongs to.
    pub varies: Varies,
    /// One line: what varies.
    pub summary: String,
    /// One line: which mistakes it finds.
    pub catches: String,
    /// What the host must allow.
    pub needs: Vec<Need>,
    /// The level of the control trial.
    pub control: Level,
    /// The varied levels; the first is the high-contrast one that the search uses.
    pub varied: Vec<Level>,
    /// What usually fixes an output that depends on it.
    pub remedies: Vec<RemedyText>,
}

/// One value of a variation: the slots that it fills.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// Unique within the variation, for example `later`.
    pub name: String,
    /// What the level fills; every level of a variation fills the same slots.
    pub settings: Vec<Setting>,
    /// Tried in a row of its own, as it goes with nothing else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub apart: bool,
    /// The value differs from trial to trial (a running clock): trials compare only as same or
    /// different.
    pub volatile: bool,
    /// What a person should know about this level, for example that no locale with another
    /// collation is installed and how to get one.
    pub note: Option<String>,
}

/// What usually fixes an output that depends on a variation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemedyText {
    /// The field it applies to (`tar.mode`) with all below it, or empty for every field.
    pub when: String,
    /// The programs, or the kinds of files (`.pyc`), that it is for; none for advice in general.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub made_by: Vec<String>,
    /// What the difference must show for it to fit: `order` (the same in another order), `uuid` (a
    /// random one), `prefix-map` (that option's own text), `lto` (a section of gcc's link-time
    /// optimisation); nothing in particular without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shows: Option<String>,
    /// What to change, in words or as a command.
    pub text: String,
    /// How the tool itself applies it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#try: Option<Attempt>,
}

impl Level {
    /// Fills this level's slots in `environment`.
    pub fn apply(&self, environment: &mut Environment) {
        for setting in &self.settings {
            environment.apply(setting);
        }
    }
}

impl RemedyText {
    /// Whether it is meant for this field: `zip.extra` stands for `zip.extra.UT.mtime` too, and
    /// nothing stands for every field.
    pub fn applies_to(&self, field: &Field) -> bool {
        let rest = field.as_str().strip_prefix(self.when.as_str());
        self.when.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

impl Variation {
    /// Level 0 is the control, 1 the first varied level.
    pub fn level(&self, number: u8) -> Option<&Level> {
        match usize::from(number).checked_sub(1) {
            None => Some(&self.control),
            Some(index) => self.varied.get(index),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_applies_to_its_field_and_to_what_lies_below_it() {
        let remedy = |when: &str| RemedyText {
            when: when.into(),
            made_by: Vec::new(),
            shows: None,
            text: String::new(),
            r#try: None,
        };
        let field = Field::new("zip.extra.UT.mtime");
        assert!(remedy("zip.extra").applies_to(&field));
        assert!(remedy("").applies_to(&field));
        assert!(!remedy("zip.ext").applies_to(&field));
        assert!(!remedy("zip.extra.ux").applies_to(&field));
    }
}
