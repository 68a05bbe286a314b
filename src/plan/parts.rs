//! The parts of a level: one category of a locale, one of several variables, one directory of a
//! path, one property of a terminal, one kind of permission of a umask. Each comes with two environments, one in which it alone varies
//! and one in which everything else of its level does.

use std::collections::BTreeMap;

use super::Plan;
use crate::model::{Environment, Locale, PartOf, Row, Setting, SourceOwner};

/// What a locale decides, by the variables of setlocale(3), the commonest reasons first.
const CATEGORIES: [&str; 6] = [
    "LC_COLLATE",
    "LC_CTYPE",
    "LC_TIME",
    "LC_MESSAGES",
    "LC_NUMERIC",
    "LC_MONETARY",
];

/// The kinds of permission that a umask takes away: those of a file made with 0666, which reads and
/// writes, and those of a program or a directory, made with 0777.
const PERMISSIONS: [(&str, u32); 3] = [("read", 0o444), ("write", 0o222), ("execute", 0o111)];

/// One part of a level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name, for example `LC_COLLATE`.
    pub name: String,
    /// The control, but for this part.
    pub alone: Environment,
    /// The level, but for this part.
    pub without: Environment,
}

impl Plan {
    /// The parts of a level of one variation; none where it is no more than one.
    pub fn parts(&self, factor: usize, level: u8) -> Vec<Part> {
        let environments = (
            self.environment(&self.control_row()),
            self.environment(&self.alone(factor, level)),
        );
        let level = self.variations.get(factor).and_then(|v| v.level(level));
        let parts = match level.map(|level| level.settings.as_slice()) {
            Some([Setting::Locale(_)]) => categories(&environments),
            Some([Setting::Variables(_)]) => variables(&environments),
            Some([Setting::ExecPath(_)]) => directories(&environments),
            Some([Setting::Terminal(_)]) => terminal(&environments),
            Some([Setting::Umask(_)]) => permissions(&environments),
            _ => Vec::new(),
        };
        if parts.len() < 2 { Vec::new() } else { parts }
    }
}

impl Plan {
    /// The environment in which a part of the only level of a row acts.
    pub(super) fn environment_of_part(&self, row: &Row, part: &PartOf) -> Environment {
        let mut whole = self.environment(row);
        let named = |wanted: &str| {
            let factor = row.varied().next()?;
            let level = *row.0.get(factor)?;
            let mut parts = self.parts(factor, level).into_iter();
            parts.find(|part| part.name == wanted)
        };
        match part {
            // Whoever asks for a part has its name from the plan.
            PartOf::Only { name } => named(name).map_or(whole, |part| part.alone),
            PartOf::AllBut { name } => named(name).map_or(whole, |part| part.without),
            PartOf::Stack { by } => {
                whole.stack += by;
                whole
            }
            PartOf::ButOwners => {
                whole.source_owner = SourceOwner::Kept;
                whole
            }
        }
    }
}

/// Each category by its own variable: `LC_ALL` would win over it.
fn categories((control, varied): &(Environment, Environment)) -> Vec<Part> {
    let with = |rest: &Environment, part: &Environment, category: &str| {
        let of_messages = if category == "LC_MESSAGES" {
            part
        } else {
            rest
        };
        let mut environment = rest.clone();
        environment.locale = Locale {
            lang: rest.locale.lang.clone(),
            lc_all: String::new(),
            language: of_messages.locale.language.clone(),
            compile: varied.locale.compile.clone(),
        };
        let value = part.locale.lang.clone();
        environment.variables.insert(category.to_owned(), value);
        environment
    };
    CATEGORIES
        .iter()
        .map(|category| Part {
            name: (*category).to_owned(),
            alone: with(control, varied, category),
            without: with(varied, control, category),
        })
        .collect()
}

fn variables((control, varied): &(Environment, Environment)) -> Vec<Part> {
    let swap = |into: &Environment, from: &Environment, name: &String| {
        let mut environment = into.clone();
        let value = from.variables.get(name).cloned();
        let changed: &mut BTreeMap<String, String> = &mut environment.variables;
        match value {
            Some(value) => drop(changed.insert(name.clone(), value)),
            None => drop(changed.remove(name)),
        }
        environment
    };
    let names = varied.variables.keys();
    names
        .filter(|name| control.variables.get(*name) != varied.variables.get(*name))
        .map(|name| Part {
            name: name.clone(),
            alone: swap(control, varied, name),
            without: swap(varied, control, name),
        })
        .collect()
}

fn directories((control, varied): &(Environment, Environment)) -> Vec<Part> {
    let new = varied.exec_path.iter();
    new.filter(|dir| !control.exec_path.contains(dir))
        .map(|dir| {
            let (mut alone, mut without) = (control.clone(), varied.clone());
            alone.exec_path.push(dir.clone());
            without.exec_path.retain(|other| other != dir);
            Part {
                name: dir.to_string_lossy().into_owned(),
                alone,
                without,
            }
        })
        .collect()
}

fn terminal((control, varied): &(Environment, Environment)) -> Vec<Part> {
    let part = |name: &str, change: fn(&mut Environment, &Environment)| {
        let (mut alone, mut without) = (control.clone(), varied.clone());
        change(&mut alone, varied);
        change(&mut without, control);
        (alone != *control && without != *varied).then(|| Part {
            name: name.to_owned(),
            alone,
            without,
        })
    };
    let parts = [
        part("COLUMNS", |to, from| {
            to.terminal.columns = from.terminal.columns;
        }),
        part("TERM", |to, from| {
            to.terminal.term.clone_from(&from.terminal.term);
        }),
        part("a terminal", |to, from| to.terminal.tty = from.terminal.tty),
    ];
    parts.into_iter().flatten().collect()
}

/// The bits of each kind that differ, for all whom they concern at once: a file that the group may
/// read, others usually may read as well, so that neither bit decides alone.
fn permissions((control, varied): &(Environment, Environment)) -> Vec<Part> {
    let kinds = PERMISSIONS.iter().map(|(name, mask)| {
        let bits = (control.umask ^ varied.umask) & mask;
        let flipped = |of: &Environment| Environment {
            umask: of.umask ^ bits,
            ..of.clone()
        };
        let part = Part {
            name: format!("{bits:03o} ({name})"),
            alone: flipped(control),
            without: flipped(varied),
        };
        (bits != 0).then_some(part)
    });
    kinds.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environments() -> (Environment, Environment) {
        let mut varied = Environment::default();
        varied.locale.lang = "et_EE.UTF-8".into();
        varied.locale.lc_all = "et_EE.UTF-8".into();
        for name in ["A", "B"] {
            varied.variables.insert(name.into(), "1".into());
        }
        varied.terminal.columns = Some(57);
        varied.terminal.term = "xterm-256color".into();
        (Environment::default(), varied)
    }

    #[test]
    fn a_category_is_set_where_no_other_variable_wins_over_it() {
        let parts = categories(&environments());
        let collate = &parts[0];
        assert_eq!(collate.alone.variables["LC_COLLATE"], "et_EE.UTF-8");
        assert_eq!(collate.alone.locale.lc_all, "");
        assert_eq!(collate.alone.locale.lang, environments().0.locale.lang);
        assert_eq!(collate.without.locale.lang, "et_EE.UTF-8");
        assert_eq!(
            collate.without.variables["LC_COLLATE"],
            environments().0.locale.lang
        );
    }

    #[test]
    fn each_variable_and_each_property_of_a_terminal_is_a_part() {
        let parts = variables(&environments());
        let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
        assert_eq!(names, ["A", "B"]);
        assert!(parts[0].alone.variables.keys().eq(["A"]));
        assert!(parts[0].without.variables.keys().eq(["B"]));
        assert_eq!(terminal(&environments()).len(), 2);
    }

    #[test]
    fn the_kinds_of_permission_that_a_umask_takes_are_its_parts() {
        let mask = |umask| Environment {
            umask,
            ..Environment::default()
        };
        let parts = permissions(&(mask(0o022), mask(0o077)));
        let shown: Vec<(&str, u32, u32)> = parts
            .iter()
            .map(|part| (part.name.as_str(), part.alone.umask, part.without.umask))
            .collect();
        assert_eq!(
            shown,
            [
                ("044 (read)", 0o066, 0o033),
                ("011 (execute)", 0o033, 0o066)
            ]
        );
        assert_eq!(permissions(&(mask(0o022), mask(0o002))).len(), 1);
    }
}
