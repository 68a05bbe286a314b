//! A remedy that was tried: what it does away with, and what is left.

use std::collections::BTreeSet;

use crate::model::{Element, TrialId};

/// So many elements that are left are named.
const NAMED: usize = 3;
/// Programs that set `SOURCE_DATE_EPOCH` by themselves where the caller does not.
const SET_EPOCH: [&str; 3] = ["dpkg-buildpackage", "debuild", "makepkg"];

/// The variable that stands for the moment of a build (reproducible-builds.org's specification).
pub const EPOCH: &str = "SOURCE_DATE_EPOCH";

/// What became of differences with variables set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// `SOURCE_DATE_EPOCH=1600000000`.
    pub setting: String,
    /// The names of the variations that were varied.
    pub variations: BTreeSet<String>,
    /// The trials: nothing varied, and these; fewer where one did not build.
    pub trials: Vec<TrialId>,
    /// Both built.
    pub built: bool,
    /// The elements that are to differ because of them, and were the same in both.
    pub gone: BTreeSet<Element>,
    /// The others.
    pub left: BTreeSet<Element>,
}

impl Tried {
    /// In a sentence.
    pub(super) fn note(&self) -> String {
        let names: Vec<&str> = self.variations.iter().map(String::as_str).collect();
        let because = names.join(", ");
        let ids: Vec<String> = self.trials.iter().map(|id| id.0.to_string()).collect();
        let trials = ids.join(" and ");
        let setting = &self.setting;
        if !self.built {
            return format!("tried: with {setting} the build fails (trial {trials})");
        }
        let (gone, left) = (self.gone.len(), self.left.len());
        if left == 0 {
            return format!(
                "tried: with {setting} everything that differs because of {because} is gone \
                 (trials {trials})"
            );
        }
        let shown = self.left.iter().take(NAMED);
        let mut shown: Vec<String> = shown
            .map(|element| format!("{} of {}", element.field.as_str(), element.path))
            .collect();
        if left > NAMED {
            shown.push(format!("{} more", left - NAMED));
        }
        let left = shown.join(", ");
        let all = gone + self.left.len();
        match gone {
            0 => format!(
                "tried: with {setting} all that differs because of {because} is left: {left} \
                 (trials {trials})"
            ),
            _ => format!(
                "tried: with {setting} {gone} of {all} elements that differ because of {because} \
                 are the same; left: {left} (trials {trials})"
            ),
        }
    }
}

/// Whether a build has its moment already: from the caller, or from one of its programs.
pub fn has_epoch(given: bool, programs: &BTreeSet<String>) -> bool {
    given || SET_EPOCH.iter().any(|program| programs.contains(*program))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Field;

    #[test]
    fn what_is_gone_and_what_is_left_is_said() {
        let element = |name: &str| Element::new(name, Field::CONTENT);
        let mut tried = Tried {
            setting: "SOURCE_DATE_EPOCH=1600000000".into(),
            variations: BTreeSet::from(["time".into()]),
            trials: vec![TrialId(7), TrialId(8)],
            built: true,
            gone: BTreeSet::from([element("a")]),
            left: BTreeSet::new(),
        };
        let all = "everything that differs because of time is gone (trials 7 and 8)";
        assert!(tried.note().ends_with(all), "{}", tried.note());
        tried.left = ["b", "c", "d", "e"].map(element).into();
        let some = "1 of 5 elements that differ because of time are the same; left: content of b, \
                    content of c, content of d, 1 more (trials 7 and 8)";
        assert!(tried.note().ends_with(some), "{}", tried.note());
        tried.gone.clear();
        assert!(
            tried
                .note()
                .contains("all that differs because of time is left: content of b")
        );
    }
}
