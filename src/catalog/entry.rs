//! One variation as its file says it, picks unresolved.

use std::collections::BTreeMap;

use crate::model::{Attempt, Need, RemedyText, Slot, Varies};

use super::settings::{self, Choice};
use super::table::{self, Problem, Problems, Table, nearest};

/// One variation as its file says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The file, for messages.
    pub file: String,
    /// Our name, for example `build-path`.
    pub name: String,
    /// Names under which other tools know it.
    pub aliases: Vec<String>,
    /// The tag that Debian's bug tracker uses, where one exists.
    pub usertag: Option<String>,
    /// What it belongs to; the machine where the file does not say.
    pub varies: Varies,
    /// One line: what varies.
    pub summary: String,
    /// One line: which mistakes it finds.
    pub catches: String,
    /// How often it is to blame, relative to the others; at least 1.
    pub weight: u32,
    /// What the host must allow for the control level and every varied one.
    pub needs: Vec<Need>,
    /// The level that the first trial with everything varied uses; the first where none is named.
    pub opening: Option<String>,
    /// The level of the control trial.
    pub control: LevelEntry,
    /// The varied levels; the first is the one that the search uses.
    pub varied: Vec<LevelEntry>,
    /// What usually fixes an output that depends on it.
    pub remedies: Vec<RemedyText>,
}

/// One level as the file says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelEntry {
    /// Where it stands in the file, counted from 1.
    pub line: usize,
    /// Unique within the variation.
    pub name: String,
    /// What it fills.
    pub settings: Vec<Choice>,
    /// What the host must allow besides what the variation needs.
    pub needs: Vec<Need>,
    /// Tried in a row of its own.
    pub apart: bool,
    /// Its value differs from trial to trial.
    pub volatile: bool,
}

impl Entry {
    /// Its name and its aliases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str()).chain(self.aliases.iter().map(String::as_str))
    }

    /// All levels, the control first.
    pub fn levels(&self) -> impl Iterator<Item = &LevelEntry> {
        std::iter::once(&self.control).chain(&self.varied)
    }
}

impl LevelEntry {
    /// The slots that it fills, sorted.
    pub fn slots(&self) -> Vec<Slot> {
        let mut slots: Vec<_> = self.settings.iter().map(Choice::slot).collect();
        slots.sort_unstable();
        slots
    }
}

/// A name as names are compared: `Build_Path` is `build-path`.
pub(super) fn normal(name: &str) -> String {
    name.to_lowercase().replace('_', "-")
}

/// The needs by the names that the files use.
const NEEDS: &[(&str, Need)] = &[
    ("mounts", Need::Mounts),
    ("other-user", Need::OtherUser),
    ("host-name", Need::HostName),
    ("pids", Need::Pids),
    ("private-network", Need::PrivateNetwork),
    ("affinity", Need::Affinity),
    ("fixed-addresses", Need::FixedAddresses),
    ("second-shell", Need::SecondShell),
    ("time-zones", Need::TimeZones),
    ("terminals", Need::Terminals),
    ("monotonic-clocks", Need::MonotonicClocks),
    ("supervisor", Need::Supervisor),
    ("clock-hook", Need::ClockHook),
    ("file-times", Need::FileTimes),
    ("directory-entries", Need::DirectoryEntries),
    ("random-bytes", Need::RandomBytes),
    ("kernel-names", Need::KernelNames),
    ("inode-numbers", Need::InodeNumbers),
    ("source-owners", Need::SourceOwners),
];

/// Reads one file. `None` where too much is missing to go on; whatever is wrong joins `found`.
pub(super) fn read(file: &str, text: &str, found: &mut Vec<Problem>) -> Option<Entry> {
    let mut problems = Problems::new(file);
    let entry = table::parse(text, &mut problems)
        .and_then(|document| read_entry(file, document, &mut problems));
    found.extend(problems.into_list());
    entry
}

fn read_entry(file: &str, mut document: Table, problems: &mut Problems) -> Option<Entry> {
    let name = document.require_text("name", problems);
    let aliases = document.texts("aliases", problems);
    let usertag = optional_text(&mut document, "usertag", problems);
    let kind = varies(&mut document, problems);
    let summary = document.require_text("summary", problems);
    let catches = document.require_text("catches", problems);
    let weight = document
        .require("weight", problems)
        .and_then(|node| node.integer("weight", problems));
    let needs = needs(&mut document, problems);
    let opening = optional_text(&mut document, "opening", problems);
    let control = document
        .require("control", problems)
        .and_then(|node| node.table("control", problems))
        .and_then(|table| level(table, "in `[control]`", problems));
    let varied = document
        .take("varied")
        .and_then(|node| node.tables("varied", problems))
        .unwrap_or_default();
    let varied = varied
        .into_iter()
        .filter_map(|table| level(table, "in `[[varied]]`", problems))
        .collect();
    let remedies = document
        .take("remedy")
        .and_then(|node| node.tables("remedy", problems))
        .unwrap_or_default();
    let remedies = remedies
        .into_iter()
        .filter_map(|table| remedy(table, problems))
        .collect();
    document.finish("", problems);
    Some(Entry {
        file: file.to_owned(),
        name: name?,
        aliases,
        usertag,
        varies: kind?,
        summary: summary?,
        catches: catches?,
        weight: weight?,
        needs,
        opening,
        control: control?,
        varied,
        remedies,
    })
}

fn optional_text(table: &mut Table, key: &'static str, problems: &mut Problems) -> Option<String> {
    table.take(key)?.text(key, problems)
}

fn varies(table: &mut Table, problems: &mut Problems) -> Option<Varies> {
    let Some(node) = table.take("varies") else {
        return Some(Varies::Machine);
    };
    let known = [("checkout", Varies::Checkout), ("machine", Varies::Machine)];
    let line = node.line;
    let word = node.text("varies", problems)?;
    settings::keyword(line, "varies", &word, &known, problems)
}

fn needs(table: &mut Table, problems: &mut Problems) -> Vec<Need> {
    let Some(node) = table.take("needs") else {
        return Vec::new();
    };
    let line = node.line;
    let mut needs = Vec::new();
    for name in node.texts("needs", problems).unwrap_or_default() {
        match NEEDS.iter().find(|(known, _)| *known == name) {
            Some((_, need)) => needs.push(*need),
            None => problems.add(line, unknown_need(&name)),
        }
    }
    needs
}

fn unknown_need(name: &str) -> String {
    let known = || NEEDS.iter().map(|(known, _)| *known);
    if let Some(right) = nearest(name, known()) {
        return format!("unknown need `{name}`; did you mean `{right}`?");
    }
    let names: Vec<_> = known().collect();
    format!("unknown need `{name}`; known are {}", table::quoted(&names))
}

fn level(mut table: Table, place: &str, problems: &mut Problems) -> Option<LevelEntry> {
    let line = table.line;
    let name = table.require_text("name", problems);
    let needs = needs(&mut table, problems);
    let mut flag = |key| {
        table
            .take(key)
            .map_or(Some(false), |node| node.boolean(key, problems))
    };
    let (apart, volatile) = (flag("apart"), flag("volatile"));
    let settings = table
        .require("settings", problems)
        .and_then(|node| node.table("settings", problems))
        .map(|settings| settings::read(settings, problems));
    table.finish(place, problems);
    Some(LevelEntry {
        line,
        name: name?,
        settings: settings?,
        needs,
        apart: apart?,
        volatile: volatile?,
    })
}

/// What a difference may be seen to show.
const SHOWN: [&str; 4] = ["order", "uuid", "prefix-map", "lto"];

fn remedy(mut table: Table, problems: &mut Problems) -> Option<RemedyText> {
    let when = optional_text(&mut table, "when", problems).unwrap_or_default();
    let made_by = table.texts("made-by", problems);
    let text = table.require_text("text", problems);
    let line = table.line;
    let shows = optional_text(&mut table, "shows", problems);
    if let Some(shows) = &shows
        && !SHOWN.contains(&shows.as_str())
    {
        let known = SHOWN.join("`, `");
        problems.add(
            line,
            format!("`shows` must be one of `{known}`; this is `{shows}`"),
        );
    }
    let attempt = attempt(&mut table, problems);
    table.finish("in `[[remedy]]`", problems);
    Some(RemedyText {
        when,
        made_by,
        shows,
        text: text?,
        r#try: attempt,
    })
}

/// How a remedy is tried: `try` has variables, `try-before` a shell line.
fn attempt(table: &mut Table, problems: &mut Problems) -> Option<Attempt> {
    let line = table.line;
    let variables = optional_text(table, "try", problems);
    let before = optional_text(table, "try-before", problems);
    let neutral = optional_text(table, "try-neutral", problems);
    if neutral.is_some() && before.is_none() {
        problems.add(line, "`try-neutral` belongs to `try-before`".to_owned());
    }
    match (variables, before) {
        (Some(_), Some(_)) => {
            let text = "a remedy is tried in one way: `try` or `try-before`";
            problems.add(line, text.to_owned());
            None
        }
        (Some(text), None) => {
            let set = assignments(&text);
            if set.is_none() {
                let said = format!("`try` must be NAME=VALUE; this is `{text}`");
                problems.add(line, said);
            }
            Some(Attempt::Variables { set: set? })
        }
        (None, before) => before.map(|line| Attempt::Before { line, neutral }),
    }
}

/// `A=b C=d`; a word that is no assignment belongs to the value before it.
fn assignments(text: &str) -> Option<BTreeMap<String, String>> {
    let mut all: Vec<(String, String)> = Vec::new();
    for word in text.split(' ') {
        match (word.split_once('='), all.last_mut()) {
            (Some((name, value)), _) if is_name(name) => {
                all.push((name.to_owned(), value.to_owned()));
            }
            (_, Some((_, value))) => *value = format!("{value} {word}"),
            (_, None) => return None,
        }
    }
    Some(all.into_iter().collect())
}

fn is_name(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
