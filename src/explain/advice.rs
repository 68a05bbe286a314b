//! What to change: which of the remedies of a variation fit who made an element. Advice for a program
//! is given where that program is known to have done it, or to run in the build, or where the file is
//! of its kind; general advice where nothing of this is known.

use std::collections::BTreeSet;

use crate::formats::elf;
use crate::model::{Culprit, Field, Remedy, RemedyText, Variation};

/// Programs whose arguments say what they run.
const INTERPRETERS: [&str; 9] = [
    "sh", "bash", "dash", "busybox", "env", "python", "perl", "ruby", "node",
];

/// What is known of who made an element.
pub(super) struct Maker<'a> {
    /// The process that writes the fields of the archive and those that called it, nearest first, if
    /// that is known from another field.
    pub(super) packer: &'a [Vec<String>],
    /// What [`kinds`] says.
    pub(super) kinds: Vec<String>,
    /// The programs of the build, as far as they are known.
    pub(super) programs: &'a BTreeSet<String>,
}

/// The remedies of a variation against what it does to a field; those for the field itself where
/// there are any that fit.
pub(super) fn remedies(
    variation: &Variation,
    field: &Field,
    culprits: &[Culprit],
    maker: &Maker<'_>,
) -> Vec<Remedy> {
    let own = culprits
        .iter()
        .find(|culprit| culprit.variations == [variation.name.as_str()]);
    let cause = own.and_then(|culprit| culprit.cause.as_ref());
    let processes = cause.map_or(maker.packer, |cause| &cause.processes);
    let processes: Vec<BTreeSet<String>> = processes.iter().map(|p| programs(p)).collect();
    let (general, special): (Vec<&RemedyText>, Vec<&RemedyText>) = variation
        .remedies
        .iter()
        .filter(|remedy| remedy.applies_to(field))
        .partition(|remedy| remedy.when.is_empty());
    let mut chosen = fitting(&special, &processes, maker);
    if chosen.is_empty() {
        chosen = fitting(&general, &processes, maker);
    }
    let remedy = |chosen: &RemedyText| Remedy {
        variation: Some(variation.name.clone()),
        text: chosen.text.clone(),
        verified: false,
    };
    chosen.into_iter().map(remedy).collect()
}

/// The remedies for the nearest process that there are any for, for the kind of file, or for the
/// programs of the build; else those for nobody in particular.
fn fitting<'r>(
    remedies: &[&'r RemedyText],
    processes: &[BTreeSet<String>],
    maker: &Maker<'_>,
) -> Vec<&'r RemedyText> {
    let kinds = maker
        .kinds
        .iter()
        .map(|kind| BTreeSet::from([kind.clone()]));
    let mut known: Vec<BTreeSet<String>> = processes.iter().cloned().chain(kinds).collect();
    if processes.is_empty() {
        known.push(maker.programs.clone());
    }
    let of = |names: &BTreeSet<String>| -> Vec<&'r RemedyText> {
        let fits =
            |remedy: &&&RemedyText| remedy.made_by.iter().any(|program| names.contains(program));
        remedies.iter().filter(fits).copied().collect()
    };
    let found = known.iter().map(of).find(|found| !found.is_empty());
    found.unwrap_or_else(|| {
        let generic = remedies.iter().filter(|remedy| remedy.made_by.is_empty());
        generic.copied().collect()
    })
}

/// The programs that a command names: its own, and what an interpreter runs.
pub(super) fn programs(arguments: &[String]) -> BTreeSet<String> {
    let Some((first, rest)) = arguments.split_first() else {
        return BTreeSet::new();
    };
    let own = program(first);
    let mut named = BTreeSet::new();
    if INTERPRETERS.contains(&own.as_str()) {
        let words = rest
            .iter()
            .flat_map(|word| word.split([' ', '\n', ';', '|', '&', '(', ')']));
        let words = words.filter(|word| !word.is_empty() && !word.starts_with('-'));
        named.extend(words.map(program));
    }
    named.insert(own);
    named
}

/// The name of a program without its directory, version and target:
/// `/usr/bin/x86_64-linux-gnu-gcc-12` is `gcc`.
fn program(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or_default();
    let name = name.rsplit_once("-gnu-").map_or(name, |(_, name)| name);
    let version = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-');
    match name.trim_end_matches(version) {
        // The digit of these is none of a version.
        "cc" if name == "cc1" => name.to_owned(),
        "" => name.to_owned(),
        short => short.to_owned(),
    }
}

/// What kind of file an element is or is in, innermost first: `gcc`, `.pyc`, `.whl`.
pub(super) fn kinds(path: &str, content: Option<&[u8]>) -> Vec<String> {
    let compiler = content.and_then(compiler).map(str::to_owned);
    let extensions = path.rsplit("!/").filter_map(|step| {
        let name = step.rsplit('/').next()?;
        Some(format!(".{}", name.rsplit_once('.')?.1))
    });
    compiler.into_iter().chain(extensions).collect()
}

/// Who compiled a program, as it says itself.
fn compiler(bytes: &[u8]) -> Option<&'static str> {
    let sections = elf::sections(bytes);
    let of = |name: &str| sections.iter().find(|section| section.name == name);
    if of(".go.buildinfo").is_some() {
        return Some("go");
    }
    let comment = bytes.get(of(".comment")?.range.clone())?;
    let comment = String::from_utf8_lossy(comment);
    let marks = [
        ("rustc version", "rustc"),
        ("clang version", "clang"),
        ("GCC:", "gcc"),
    ];
    let found = marks.into_iter().find(|(mark, _)| comment.contains(mark));
    found.map(|(_, compiler)| compiler)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::elf::tests::program as elf;
    use crate::model::{Cause, Level};

    fn names(arguments: &[&str]) -> Vec<String> {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        programs(&arguments).into_iter().collect()
    }

    #[test]
    fn programs_are_known_without_their_places_and_versions() {
        assert_eq!(names(&["/usr/bin/x86_64-linux-gnu-gcc-12", "a.c"]), ["gcc"]);
        assert_eq!(names(&["/usr/libexec/cc1", "-quiet"]), ["cc1"]);
        assert_eq!(
            names(&["python3.11", "setup.py", "sdist"]),
            ["python", "sdist", "setup.py"]
        );
        assert_eq!(
            names(&["sh", "-ec", "find x|cpio -o"]),
            ["cpio", "find", "sh", "x"]
        );
        assert_eq!(names(&["tar", "cf", "zip"]), ["tar"]);
    }

    #[test]
    fn a_file_is_known_by_its_name_and_a_program_by_its_compiler() {
        assert_eq!(kinds("a.whl!/x/b.pyc", None), [".pyc", ".whl"]);
        let by = |text: &[u8]| elf(&[(".comment", text)]);
        assert_eq!(kinds("a", Some(&by(b"GCC: (Debian) 12"))), ["gcc"]);
        assert_eq!(kinds("a", Some(&by(b"rustc version 1\0GCC: 1"))), ["rustc"]);
    }

    fn variation() -> Variation {
        let remedy = |when: &str, made_by: &[&str], text: &str| RemedyText {
            when: when.into(),
            made_by: made_by.iter().map(ToString::to_string).collect(),
            text: text.into(),
            r#try: None,
        };
        Variation {
            name: "time".into(),
            aliases: Vec::new(),
            usertag: None,
            varies: crate::model::Varies::Machine,
            summary: String::new(),
            catches: String::new(),
            needs: Vec::new(),
            control: Level {
                name: "a".into(),
                settings: Vec::new(),
                apart: false,
                volatile: false,
                note: None,
            },
            varied: Vec::new(),
            remedies: vec![
                remedy("tar.mtime", &["tar"], "tar --mtime"),
                remedy("tar.mtime", &["python"], "filter"),
                remedy("tar.mtime", &[], "set times"),
                remedy("zip.extra", &["zip"], "zip -X"),
                remedy("", &[".pyc"], "checked-hash"),
                remedy("", &[], "anything"),
            ],
        }
    }

    /// The advice where this process did it, for a file of this name, in a build of this program.
    fn advice(field: &str, process: &[&str], path: &str, command: &str) -> Vec<String> {
        let culprit = Culprit {
            variations: vec!["time".into()],
            levels: std::collections::BTreeMap::new(),
            certificate: Vec::new(),
            part: None,
            cause: (!process.is_empty()).then(|| Cause {
                words: "x".into(),
                processes: vec![process.iter().map(ToString::to_string).collect()],
            }),
        };
        let maker = Maker {
            packer: &[],
            kinds: kinds(path, None),
            programs: &BTreeSet::from([command.to_owned()]),
        };
        let found = remedies(
            &variation(),
            &Field::named(field.to_owned()),
            &[culprit],
            &maker,
        );
        found.into_iter().map(|remedy| remedy.text).collect()
    }

    #[test]
    fn advice_fits_who_did_it_then_the_kind_of_file_then_the_build() {
        let path = "x.tar!/a";
        assert_eq!(
            advice("tar.mtime", &["python3", "setup.py"], path, "tar"),
            ["filter"]
        );
        assert_eq!(
            advice("tar.mtime", &["cpio", "-H", "ustar"], path, "tar"),
            ["set times"]
        );
        assert_eq!(advice("tar.mtime", &[], path, "tar"), ["tar --mtime"]);
        assert_eq!(advice("tar.mtime", &[], path, "make"), ["set times"]);
        assert_eq!(advice("content", &[], "a.pyc", "make"), ["checked-hash"]);
        assert_eq!(advice("content", &[], "a.txt", "make"), ["anything"]);
    }

    #[test]
    fn what_is_said_of_a_field_holds_for_what_lies_below_it() {
        assert_eq!(
            advice("zip.extra.UT.mtime", &["zip"], "x.zip!/a", "make"),
            ["zip -X"]
        );
    }
}
