//! What to change: which of the remedies of a variation fit who made an element. Advice for a program
//! is given where that program is known to have done it, or to run in the build, or where the file is
//! of its kind; general advice where nothing of this is known.

use std::collections::BTreeSet;

use super::tried::EPOCH;
use crate::formats::elf;
use crate::model::{Attempt, Culprit, Field, Remedy, RemedyText, Variation};

/// Programs whose arguments say what they run.
const INTERPRETERS: [&str; 9] = [
    "sh", "bash", "dash", "busybox", "env", "python", "perl", "ruby", "node",
];

/// The tar that is called for these takes no options from anybody.
const PACKAGE: &str = ".deb";

/// One moment that is the same for all who build the same sources.
const HOW_TO_SET: &str = "export SOURCE_DATE_EPOCH=$(git log -1 --format=%ct), or the date of the \
    last release";

/// What is known of who made an element.
pub(super) struct Maker<'a> {
    /// The process that writes the fields of the archive and those that called it, nearest first, if
    /// that is known from another field.
    pub(super) packer: &'a [Vec<String>],
    /// What [`kinds`] says.
    pub(super) kinds: Vec<String>,
    /// The programs of the build, as far as they are known.
    pub(super) programs: &'a BTreeSet<String>,
    /// What [`shows`] says.
    pub(super) shows: BTreeSet<&'static str>,
    /// `SOURCE_DATE_EPOCH` is set, or was tried: nobody needs to be told to set it.
    pub(super) epoch_settled: bool,
    /// Whether the build has `SOURCE_DATE_EPOCH`: advice that uses it must else say how it is set.
    pub(super) epoch_set: bool,
}

impl Maker<'_> {
    /// Whether a remedy may be given at all.
    fn admits(&self, remedy: &RemedyText) -> bool {
        let sets_epoch =
            matches!(&remedy.r#try, Some(Attempt::Variables { set }) if set.contains_key(EPOCH));
        let settled = self.epoch_settled && sets_epoch;
        let shown = remedy.shows.as_deref();
        !settled && shown.is_none_or(|shown| self.shows.contains(shown))
    }

    /// Advice that can be followed as it is written, also where the build has no
    /// `SOURCE_DATE_EPOCH`: an empty `@` is another moment for tar, and none for touch.
    fn followable(&self, text: &str) -> String {
        if self.epoch_set || !text.contains(&format!("${EPOCH}")) {
            return text.to_owned();
        }
        format!("{text} (the build has no {EPOCH} yet: {HOW_TO_SET})")
    }
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
    let remedies = variation.remedies.iter();
    let remedies = remedies.filter(|remedy| remedy.applies_to(field) && maker.admits(remedy));
    let (shown, others): (Vec<&RemedyText>, Vec<&RemedyText>) =
        remedies.partition(|remedy| remedy.shows.is_some());
    let (general, special): (Vec<&RemedyText>, Vec<&RemedyText>) = others
        .into_iter()
        .partition(|remedy| remedy.when.is_empty());
    // What is said of `tar.mode` is meant rather than what is said of `tar`.
    let nearest = special.iter().map(|remedy| remedy.when.len()).max();
    let special = special.into_iter();
    let special: Vec<&RemedyText> = special
        .filter(|remedy| Some(remedy.when.len()) == nearest)
        .collect();
    let mut chosen = Vec::new();
    for remedies in [shown, special, general] {
        if chosen.is_empty() {
            chosen = fitting(&remedies, &processes, maker);
        }
    }
    let remedy = |chosen: &RemedyText| Remedy {
        variation: Some(variation.name.clone()),
        text: maker.followable(&chosen.text),
        verified: false,
        attempt: chosen.r#try.clone(),
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
    let (package, kinds): (Vec<_>, Vec<_>) = kinds.partition(|kind| kind.contains(PACKAGE));
    let known = package.into_iter().chain(processes.iter().cloned());
    let mut known: Vec<BTreeSet<String>> = known.chain(kinds).collect();
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

/// What an excerpt shows, `"a" -> "b"` in one of its lines or more.
pub(super) fn shows(evidence: Option<&str>) -> BTreeSet<&'static str> {
    let mut shown = BTreeSet::new();
    for line in evidence.into_iter().flat_map(str::lines) {
        let mut mark = |name, holds: bool| holds.then(|| shown.insert(name));
        mark("prefix-map", line.contains("-prefix-map="));
        mark("lto", line.contains(".gnu.lto_"));
        let (old, new) = line.split_once("\" -> \"").unwrap_or_default();
        let old = old.split_once('"').map_or(old, |(_, old)| old);
        mark("uuid", has_random_uuid(old) && has_random_uuid(new));
        let letters = |text: &str| {
            let mut letters: Vec<char> = text.chars().filter(|c| !"\"…".contains(*c)).collect();
            letters.sort_unstable();
            letters
        };
        let same_letters = old.len() > 1 && letters(old) == letters(new);
        mark("order", same_letters || line.contains("in another order"));
    }
    shown
}

/// Whether there is a UUID of version 4 (RFC 9562, section 5.4).
fn has_random_uuid(text: &str) -> bool {
    text.as_bytes().windows(36).any(|window| {
        window.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            14 => *byte == b'4',
            19 => matches!(byte.to_ascii_lowercase(), b'8' | b'9' | b'a' | b'b'),
            _ => byte.is_ascii_hexdigit(),
        })
    })
}

/// Who compiled a program, as it says itself.
fn compiler(bytes: &[u8]) -> Option<&'static str> {
    // The header of a bytecode dump (lj_bcdump.h).
    if bytes.starts_with(b"\x1bLJ") {
        return Some("luajit");
    }
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
            shows: None,
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
            shows: BTreeSet::new(),
            epoch_settled: false,
            epoch_set: true,
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
    fn an_excerpt_tells_an_order_from_a_random_identifier_and_an_option_from_a_path() {
        let of = |evidence| shows(Some(evidence)).into_iter().collect::<Vec<_>>();
        assert_eq!(of("line 1: \"{'a', 'b'}\" -> \"{'b', 'a'}\""), ["order"]);
        assert_eq!(
            of(
                "line 1: \"id 0b8a1c1e-58f0-4d0c-9c3e-0b6a5f0e9d11\" -> \"id \
                7d9f3c52-9a41-4b7e-8f55-3b1f8f5c2a10\""
            ),
            ["uuid"]
        );
        assert_eq!(
            of(".debug_str: \"GNU C -ffile-prefix-map=/a=.\" -> \"GNU C -ffile-prefix-map=/bc=.\""),
            ["prefix-map"]
        );
        assert_eq!(of(".gnu.lto_.decls byte 0x2: 01 -> 02"), ["lto"]);
        assert!(of("line 2: \"host a\" -> \"host b\"").is_empty());
    }

    #[test]
    fn what_was_followed_already_is_advised_to_nobody() {
        let set = |name: &str| {
            let set = std::collections::BTreeMap::from([(name.to_owned(), "1".to_owned())]);
            Attempt::Variables { set }
        };
        let remedy = |variable: Option<&str>, shows: Option<&str>| RemedyText {
            when: String::new(),
            made_by: Vec::new(),
            shows: shows.map(str::to_owned),
            text: String::new(),
            r#try: variable.map(set),
        };
        let none = BTreeSet::new();
        let maker = |epoch_settled, shows: &[&'static str]| Maker {
            packer: &[],
            kinds: Vec::new(),
            programs: &none,
            shows: shows.iter().copied().collect(),
            epoch_settled,
            epoch_set: false,
        };
        let epoch = remedy(Some(EPOCH), None);
        assert!(maker(false, &[]).admits(&epoch));
        assert!(!maker(true, &[]).admits(&epoch));
        assert!(maker(true, &[]).admits(&remedy(Some("TZ"), None)));
        let order = remedy(None, Some("order"));
        assert!(maker(true, &["order"]).admits(&order));
        assert!(!maker(true, &["uuid"]).admits(&order));
    }

    #[test]
    fn advice_that_uses_the_epoch_says_how_it_is_set_where_it_is_not() {
        let none = BTreeSet::new();
        let maker = |epoch_set| Maker {
            packer: &[],
            kinds: Vec::new(),
            programs: &none,
            shows: BTreeSet::new(),
            epoch_settled: true,
            epoch_set,
        };
        let text = "tar --mtime=@$SOURCE_DATE_EPOCH";
        assert_eq!(maker(true).followable(text), text);
        let said = maker(false).followable(text);
        assert!(said.contains("export SOURCE_DATE_EPOCH=$("), "{said}");
        assert_eq!(maker(false).followable("zip -X"), "zip -X");
    }

    #[test]
    fn what_is_said_of_a_field_holds_for_what_lies_below_it() {
        assert_eq!(
            advice("zip.extra.UT.mtime", &["zip"], "x.zip!/a", "make"),
            ["zip -X"]
        );
    }
}
