//! The closed set of settings that a level may hold, and how each is written in TOML. A value is
//! either fixed here, or a pick that the plan resolves once host, moment and seed are known. There
//! are no templates and no expressions.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::model::{
    Accounting, BuildPath, Clock, Cpus, DirectoryOrder, Inodes, Kernel, Locale, Network,
    Randomness, Setting, Shell, Slot, Terminal, UserIdentity,
};

use super::table::{Node, Problems, Table, Value, quoted};

mod sources;

use sources::{source_mode, source_mtime, source_owner};

/// What a level puts into one slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// This value.
    Fixed(Setting),
    /// A value that the plan finds.
    Pick(Pick),
}

/// A value that depends on the host, the moment or the seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pick {
    /// A clock that starts at a moment of the session.
    Clock {
        /// Whether it runs by itself; otherwise it moves with sleeps and steps.
        running: bool,
        /// Where it starts.
        start: Moment,
    },
    /// A zone in which it is another calendar day than in UTC when the clock starts.
    AnotherDay,
    /// The first of these locales (`et_EE`) that is installed, else the first that can be
    /// compiled.
    LocaleAmong(Vec<String>),
    /// A tree name of the length of the source's own, below this directory.
    EqualLengthLeaf {
        /// The directory.
        parent: PathBuf,
    },
    /// A shell other than the one that `/bin/sh` is.
    OtherShell,
    /// One order, keyed by the seed, or its reverse.
    DirectoryOrder {
        /// The reverse.
        reverse: bool,
    },
    /// Random bytes from the numbered stream of the seed.
    Randomness(u8),
    /// Inode numbers from the numbered key of the seed, and how directories and blocks are counted.
    Inodes(u8, Accounting),
}

/// A moment of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Where the control's clock starts.
    T0,
    /// More than a year later.
    T1,
    /// Forty days later.
    Soon,
}

impl Choice {
    /// The slot that it fills.
    pub fn slot(&self) -> Slot {
        match self {
            Self::Fixed(setting) => setting.slot(),
            Self::Pick(pick) => match pick {
                Pick::Clock { .. } => Slot::Clock,
                Pick::AnotherDay => Slot::Timezone,
                Pick::LocaleAmong(_) => Slot::Locale,
                Pick::EqualLengthLeaf { .. } => Slot::BuildPath,
                Pick::OtherShell => Slot::Shell,
                Pick::DirectoryOrder { .. } => Slot::DirectoryOrder,
                Pick::Randomness(_) => Slot::Randomness,
                Pick::Inodes(..) => Slot::Inodes,
            },
        }
    }
}

type Read = fn(Node, &'static str, &mut Problems) -> Option<Choice>;

/// Every setting: its key and how it is read.
const SETTINGS: &[(&str, Read)] = &[
    ("clock", clock),
    ("timezone", timezone),
    ("locale", locale),
    ("umask", |node, key, problems| {
        Some(Choice::Fixed(Setting::Umask(node.octal(key, problems)?)))
    }),
    ("build-path", build_path),
    ("hostname", |node, key, problems| {
        Some(Choice::Fixed(Setting::Hostname(node.text(key, problems)?)))
    }),
    ("domain", |node, key, problems| {
        Some(Choice::Fixed(Setting::Domain(node.text(key, problems)?)))
    }),
    ("user", user),
    ("home", |node, key, problems| {
        Some(Choice::Fixed(Setting::Home(absolute(node, key, problems)?)))
    }),
    ("variables", variables),
    ("exec-path", exec_path),
    ("shell", shell),
    ("terminal", terminal),
    ("directory-order", directory_order),
    ("source-mtime", source_mtime),
    ("source-mode", source_mode),
    ("source-owner", source_owner),
    ("cpus", cpus),
    ("kernel", kernel),
    ("random-addresses", |node, key, problems| {
        let random = node.boolean(key, problems)?;
        Some(Choice::Fixed(Setting::RandomAddresses(random)))
    }),
    ("last-pid", |node, key, problems| {
        let pid = node.integer(key, problems)?;
        Some(Choice::Fixed(Setting::LastPid(Some(pid))))
    }),
    ("randomness", randomness),
    ("inodes", inodes),
    ("network", network),
];

/// Reads a table of settings; what cannot be read is a problem and left out.
pub(super) fn read(mut table: Table, problems: &mut Problems) -> Vec<Choice> {
    let mut choices = Vec::new();
    for (key, read) in SETTINGS {
        if let Some(node) = table.take(key) {
            choices.extend(read(node, key, problems));
        }
    }
    table.finish("among the settings", problems);
    choices
}

/// The value that a keyword stands for.
pub(super) fn keyword<T: Clone>(
    line: usize,
    key: &str,
    word: &str,
    known: &[(&'static str, T)],
    problems: &mut Problems,
) -> Option<T> {
    let found = known.iter().find(|(name, _)| *name == word);
    if found.is_none() {
        let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
        let what = format!("`{key}` cannot be `{word}`; known are {}", quoted(&names));
        problems.add(line, what);
    }
    found.map(|(_, value)| value.clone())
}

/// A string that is one of the keywords.
fn among(
    node: Node,
    key: &str,
    known: &[(&'static str, Choice)],
    problems: &mut Problems,
) -> Option<Choice> {
    let line = node.line;
    let word = node.text(key, problems)?;
    keyword(line, key, &word, known, problems)
}

fn absolute(node: Node, key: &str, problems: &mut Problems) -> Option<PathBuf> {
    let line = node.line;
    let path = PathBuf::from(node.text(key, problems)?);
    if path.is_absolute() {
        return Some(path);
    }
    problems.add(line, format!("`{key}` must be an absolute path"));
    None
}

fn clock(node: Node, key: &'static str, problems: &mut Problems) -> Option<Choice> {
    if matches!(node.value, Value::Text(_)) {
        let host = Choice::Fixed(Setting::Clock(Clock::Host));
        return among(node, key, &[("host", host)], problems);
    }
    let mut table = node.table(key, problems)?;
    let line = table.line;
    let (stepped, running) = (table.take("stepped"), table.take("running"));
    table.finish("in `clock`", problems);
    let (is_running, start) = match (stepped, running) {
        (Some(start), None) => (false, start),
        (None, Some(start)) => (true, start),
        _ => {
            problems.add(line, "`clock` is either `stepped` or `running`");
            return None;
        }
    };
    let word = start.text(key, problems)?;
    let moments = [
        ("t0", Moment::T0),
        ("t1", Moment::T1),
        ("soon", Moment::Soon),
    ];
    let start = keyword(line, key, &word, &moments, problems)?;
    Some(Choice::Pick(Pick::Clock {
        running: is_running,
        start,
    }))
}

fn timezone(node: Node, key: &'static str, problems: &mut Problems) -> Option<Choice> {
    let line = node.line;
    let zone = node.text(key, problems)?;
    if zone == "another-day" {
        return Some(Choice::Pick(Pick::AnotherDay));
    }
    // A POSIX rule carries its offset in digits (tzset(3)); a name must be one of the database.
    let posix = zone.bytes().any(|byte| byte.is_ascii_digit()) && !zone.contains('/');
    if posix || zone.parse::<chrono_tz::Tz>().is_ok() {
        return Some(Choice::Fixed(Setting::Timezone(zone)));
    }
    let what =
        format!("`{key}` cannot be `{zone}`; write `another-day`, a zone's name, or a POSIX rule");
    problems.add(line, what);
    None
}

fn locale(node: Node, key: &'static str, problems: &mut Problems) -> Option<Choice> {
    let mut table = node.table(key, problems)?;
    let among = table.take("first-of");
    if let Some(names) = among {
        table.finish("beside `first-of`", problems);
        let names = names.texts("first-of", problems)?;
        return Some(Choice::Pick(Pick::LocaleAmong(names)));
    }
    let lang = table.require_text("lang", problems);
    let mut optional = |key| {
        table
            .take(key)
            .map_or(Some(String::new()), |node| node.text(key, problems))
    };
    let (lc_all, language) = (optional("lc-all"), optional("language"));
    table.finish("in `locale`", problems);
    Some(Choice::Fixed(Setting::Locale(Locale {
        lang: lang?,
        lc_all: lc_all?,
        language: language?,
        compile: None,
    })))
}

fn build_path(node: Node, key: &'static str, problems: &mut Problems) -> Option<Choice> {
    let mut table = node.table(key, problems)?;
    let parent = table
        .require("parent", problems)
        .and_then(|node| absolute(node, "parent", problems));
    let leaf = table.require_text("leaf", problems);
    table.finish("in `build-path`", problems);
    let (parent, leaf) = (parent?, leaf?);
    Some(match leaf.as_str() {
        "equal-length" => Choice::Pick(Pick::EqualLengthLeaf { parent }),
        "own" => Choice::Fixed(Setting::BuildPath(BuildPath { parent, leaf: None })),
        _ => Choice::Fixed(Setting::BuildPath(BuildPath {
            parent,
            leaf: Some(leaf),
        })),
    })
}

fn user(node: Node, key: &'static str, problems: &mut Problems) -> Option<Choice> {
    if matches!(node.value, Value::Text(_)) {
        let caller = Choice::Fixed(Setting::User(UserIdentity::Caller));
        return among(node, key, &[("caller", caller)], problems);
    }
    let mut table = node.table(key, problems)?;
    let mut id = |key| table.require(key, problems)?.integer(key, problems);
    let (uid, gid) = (id("uid"), id("gid"));
    let name = table.require_text("name", problems);
    let group = table.require_text("group", problems);
    let gecos = table.require_text("gecos", problems);
    let login_shell = table
        .require("login-shell", problems)
        .and_then(|node| absolute(node, "login-shell", problems));
    table.finish("in `user`", problems);
    Some(Choice::Fixed(Setting::User(UserIdentity::Other {
        uid: uid?,
        gid: gid?,
        name: name?,
        group: group?,
        gecos: gecos?,
        login_shell: login_shell?,
    })))
}

fn variables(node: Node, key: &'static str, problems: &mut Problems) -> Option<Choice> {
    let table = node.table(key, problems)?;
    let mut variables = BTreeMap::new();
    for (name, _, node) in table.into_entries() {
        variables.insert(name.clone(), node.text(&name, problems)?);
    }
    Some(Choice::Fixed(Setting::Variables(variables)))
}

fn exec_path(node: Node, key: &'static str, problems: &mut Problems) -> Option<Choice> {
    let items = node.list(key, problems)?;
    let paths = items
        .into_iter()
        .map(|item| absolute(item, key, problems))
        .collect::<Option<_>>()?;
    Some(Choice::Fixed(Setting::ExecPath(paths)))
}

fn shell(node: Node, key: &'static str, problems: &mut Problems) -> Option<Choice> {
    match &node.value {
        Value::Text(path) if path.starts_with('/') => {
            let path = absolute(node, key, problems)?;
            Some(Choice::Fixed(Setting::Shell(Shell::Program { path })))
        }
        _ => among(
            node,
            key,
            &[
                ("host", Choice::Fixed(Setting::Shell(Shell::Host))),
                ("other", Choice::Pick(Pick::OtherShell)),
            ],
            problems,
        ),
    }
}

fn terminal(node: Node, key: &'static str, problems: &mut Problems) -> Option<Choice> {
    let mut table = node.table(key, problems)?;
    let term = table.require_text("term", problems);
    let columns = match table.take("columns") {
        Some(node) => Some(node.integer("columns", problems)?),
        None => None,
    };
    let tty = table
        .require("tty", problems)
        .and_then(|node| node.boolean("tty", problems));
    table.finish("in `terminal`", problems);
    Some(Choice::Fixed(Setting::Terminal(Terminal {
        term: term?,
        columns,
        tty: tty?,
    })))
}

fn directory_order(node: Node, key: &'static str, problems: &mut Problems) -> Option<Choice> {
    let pick = |reverse| Choice::Pick(Pick::DirectoryOrder { reverse });
    let host = Choice::Fixed(Setting::DirectoryOrder(DirectoryOrder::Host));
    let known = [
        ("host", host),
        ("keyed", pick(false)),
        ("keyed-reverse", pick(true)),
    ];
    among(node, key, &known, problems)
}

fn cpus(node: Node, key: &'static str, problems: &mut Problems) -> Option<Choice> {
    let fixed = |value| Choice::Fixed(Setting::Cpus(value));
    if matches!(node.value, Value::Text(_)) {
        return among(node, key, &[("all", fixed(Cpus::All))], problems);
    }
    let line = node.line;
    let count = node.integer(key, problems)?;
    if count == 0 {
        problems.add(line, "`cpus` must be at least 1");
        return None;
    }
    Some(fixed(Cpus::Count { count }))
}

fn kernel(node: Node, key: &'static str, problems: &mut Problems) -> Option<Choice> {
    let fixed = |value| Choice::Fixed(Setting::Kernel(value));
    if matches!(node.value, Value::Text(_)) {
        let known = [("host", fixed(Kernel::Host))];
        return among(node, key, &known, problems);
    }
    let mut table = node.table(key, problems)?;
    let release = table.require_text("release", problems);
    let version = table.require_text("version", problems);
    table.finish("in `kernel`", problems);
    Some(fixed(Kernel::Named {
        release: release?,
        version: version?,
    }))
}

fn randomness(node: Node, key: &'static str, problems: &mut Problems) -> Option<Choice> {
    if matches!(node.value, Value::Text(_)) {
        let host = Choice::Fixed(Setting::Randomness(Randomness::Host));
        return among(node, key, &[("host", host)], problems);
    }
    Some(Choice::Pick(Pick::Randomness(one(
        node, key, "stream", problems,
    )?)))
}

fn inodes(node: Node, key: &'static str, problems: &mut Problems) -> Option<Choice> {
    if matches!(node.value, Value::Text(_)) {
        let host = Choice::Fixed(Setting::Inodes(Inodes::Host));
        return among(node, key, &[("host", host)], problems);
    }
    let mut table = node.table(key, problems)?;
    let number = table.require("key", problems);
    let number = number.and_then(|node| node.integer("key", problems));
    let known = [("blocks", Accounting::Blocks), ("names", Accounting::Names)];
    let accounting = table.take("accounting").map(|node| {
        let line = node.line;
        let word = node.text("accounting", problems)?;
        keyword(line, "accounting", &word, &known, problems)
    });
    let accounting = accounting.unwrap_or(Some(Accounting::Blocks));
    table.finish("in `inodes`", problems);
    Some(Choice::Pick(Pick::Inodes(number?, accounting?)))
}

/// A table that holds one small number under `inner`.
fn one(node: Node, key: &str, inner: &'static str, problems: &mut Problems) -> Option<u8> {
    let mut table = node.table(key, problems)?;
    let number = table
        .require(inner, problems)
        .and_then(|node| node.integer(inner, problems));
    table.finish(&format!("in `{key}`"), problems);
    number
}

fn network(node: Node, key: &'static str, problems: &mut Problems) -> Option<Choice> {
    let fixed = |value| Choice::Fixed(Setting::Network(value));
    if matches!(node.value, Value::Text(_)) {
        let known = [
            ("loopback", fixed(Network::Loopback)),
            ("host", fixed(Network::Host)),
        ];
        return among(node, key, &known, problems);
    }
    let mut table = node.table(key, problems)?;
    let interface = table.require_text("interface", problems);
    let addresses = table.texts("addresses", problems);
    table.finish("in `network`", problems);
    Some(fixed(Network::Isolated {
        interface: interface?,
        addresses,
    }))
}
