//! The kinds of projects that a file gives away: `kinds.toml`, one table each.

use serde::Deserialize;

/// One kind of project.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlainKind {
    /// For example `cmake`.
    pub(super) name: String,
    /// One of these files is enough, relative to the project's directory.
    pub(super) files: Vec<String>,
    /// What the file must hold, where its name says too little.
    pub(super) says: Option<String>,
    /// A shell line.
    pub(super) command: String,
    /// Patterns of outputs; none to judge everything that is built.
    pub(super) outputs: Vec<String>,
    /// What a person should know about the choice.
    pub(super) note: Option<String>,
}

#[derive(Debug, Deserialize)]
struct File {
    kind: Vec<PlainKind>,
}

/// All of them, in the order of precedence.
pub(super) fn all() -> Vec<PlainKind> {
    // The file is part of the program, and a test reads it.
    toml::from_str::<File>(include_str!("kinds.toml")).map_or_else(|_| Vec::new(), |file| file.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_the_file_has_a_name_a_file_and_a_command() {
        let file: File = toml::from_str(include_str!("kinds.toml")).unwrap();
        assert_eq!(all().len(), file.kind.len());
        for kind in file.kind {
            let named = !kind.name.is_empty() && !kind.files.is_empty();
            assert!(named && !kind.command.is_empty(), "{kind:?}");
        }
    }
}
