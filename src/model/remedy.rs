//! Remedies that can be tried: what is changed around a build, and never in it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Variables of which each program that reads them takes several options, one behind the other.
const LISTS: [&str; 10] = [
    "TAR_OPTIONS",
    "CPPFLAGS",
    "CFLAGS",
    "CXXFLAGS",
    "FFLAGS",
    "LDFLAGS",
    "RUSTFLAGS",
    "GOFLAGS",
    "ZIPOPT",
    "MAKEFLAGS",
];

/// One way of doing away with a difference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "class")]
pub enum Attempt {
    /// Variables, set for the build.
    Variables {
        /// Their values by their names.
        set: BTreeMap<String, String>,
    },
    /// A shell line that runs before the build, in its directory and in its shell: what it exports,
    /// and the umask that it sets, hold for the build.
    Before {
        /// The line.
        line: String,
        /// The same without what helps: with it the build must make what it makes without. A variable
        /// that is set takes the place of what a Makefile says where it is not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        neutral: Option<String>,
    },
    /// `reprobe normalize` of an output, after the build.
    Normalize {
        /// Its path, relative to the build directory.
        output: String,
    },
}

/// What is changed around a build, all together.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Change {
    /// Variables over those of the build.
    pub variables: BTreeMap<String, String>,
    /// Shell lines before it, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<String>,
    /// Outputs that are normalised after it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub normalized: Vec<String>,
}

impl Change {
    /// Adds an attempt; false where it says something else of a variable than what is there, which
    /// stays as it is then.
    #[must_use]
    pub fn add(&mut self, attempt: &Attempt) -> bool {
        match attempt {
            Attempt::Variables { set } => {
                let fits = |(name, value): (&String, &String)| {
                    let known = self.variables.get(name);
                    known.is_none_or(|known| known == value || is_list(name))
                };
                if !set.iter().all(fits) {
                    return false;
                }
                for (name, value) in set {
                    let known = self.variables.entry(name.clone()).or_default();
                    if known.is_empty() {
                        known.clone_from(value);
                    } else if known != value {
                        *known = format!("{known} {value}");
                    }
                }
            }
            Attempt::Before { line, .. } => add(&mut self.before, line),
            Attempt::Normalize { output } => add(&mut self.normalized, output),
        }
        true
    }

    /// The lines of a shell around a build: those before it, which find the variables, and those behind it.
    pub fn lines(&self) -> [Vec<String>; 2] {
        let export = |(name, value): (&String, &String)| format!("export {name}={}", quoted(value));
        let variables = self.variables.iter().map(export);
        let before = variables.chain(self.before.iter().cloned());
        let normalize = |output: &String| format!("reprobe normalize {}", quoted(output));
        [
            before.collect(),
            self.normalized.iter().map(normalize).collect(),
        ]
    }
}

fn add(lines: &mut Vec<String>, line: &str) {
    if !lines.iter().any(|known| known == line) {
        lines.push(line.to_owned());
    }
}

fn is_list(variable: &str) -> bool {
    LISTS.contains(&variable)
}

/// A word as a shell reads it: in quotes where it needs some.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%_-+=:,./".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(name: &str, value: &str) -> Attempt {
        Attempt::Variables {
            set: BTreeMap::from([(name.to_owned(), value.to_owned())]),
        }
    }

    #[test]
    fn what_contradicts_is_not_added_and_options_stand_behind_each_other() {
        let mut change = Change::default();
        assert!(change.add(&variables("LC_ALL", "C")));
        assert!(!change.add(&variables("LC_ALL", "C.UTF-8")));
        assert!(change.add(&variables("TAR_OPTIONS", "--sort=name")));
        assert!(change.add(&variables("TAR_OPTIONS", "--mtime=@1")));
        assert!(change.add(&Attempt::Before {
            line: "umask 022".into(),
            neutral: None,
        }));
        assert!(change.add(&Attempt::Before {
            line: "umask 022".into(),
            neutral: None,
        }));
        assert!(change.add(&Attempt::Normalize {
            output: "it's.zip".into()
        }));
        let [before, after] = change.lines();
        assert_eq!(
            before,
            [
                "export LC_ALL=C",
                "export TAR_OPTIONS='--sort=name --mtime=@1'",
                "umask 022"
            ]
        );
        assert_eq!(after, ["reprobe normalize 'it'\\''s.zip'"]);
    }
}
