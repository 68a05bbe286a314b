//! Picks become values: what the host has, what the seed gives, where the clocks start.

use std::ffi::OsStr;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::catalog::{Choice, Entry, LevelEntry, Pick};
use crate::model::{
    BuildPath, Capabilities, Clock, Cpus, DirectoryOrder, Inodes, Level, Locale, Missing,
    Randomness, Setting, Shell, SourceMode, SourceOwner, UserIdentity,
};

use super::moments::Moments;
use super::{DroppedLevel, Hold, Request};

/// Turns levels as files say them into levels that a trial can have.
#[derive(Debug)]
pub(super) struct Resolver<'a> {
    host: &'a Capabilities,
    seed: u64,
    hold: Hold,
    source_name: &'a OsStr,
    source_owner: (u32, u32),
    source_mode: u32,
    /// Where clocks start.
    pub moments: Moments,
}

/// What a key from the seed is for: each purpose has a stream of its own, so that a new one changes
/// none of the others.
#[derive(Clone, Copy)]
enum Purpose {
    DirectoryOrder,
    Randomness(u8),
    Inodes(u8),
}

impl<'a> Resolver<'a> {
    /// For this host and request.
    pub(super) fn new(host: &'a Capabilities, request: &'a Request) -> Self {
        Self {
            host,
            seed: request.seed,
            hold: request.clock,
            source_name: &request.source_name,
            source_owner: request.source_owner,
            source_mode: request.source_mode,
            moments: Moments::after(request.now),
        }
    }

    /// The varied levels that can act here, and those that cannot. The first that can carries the
    /// reasons of those before it.
    pub(super) fn varied(&self, entry: &Entry, control: &Level) -> (Vec<Level>, Vec<DroppedLevel>) {
        let mut levels: Vec<Level> = Vec::new();
        let mut dropped: Vec<DroppedLevel> = Vec::new();
        let mut varied: Vec<&LevelEntry> = entry.varied.iter().collect();
        // Of sources that somebody else owns, most become another's if they become the builder's.
        // What most sources have already varies few of them.
        varied.sort_by_key(|level| {
            let keeps_owners = self.are_foreign() && !gives_to_builder(level);
            (keeps_owners, self.keeps_modes(level))
        });
        for level in varied {
            let result = self.level(level).and_then(|resolved| {
                let earlier = std::iter::once(control).chain(&levels);
                distinct(&resolved, earlier)?;
                Ok(resolved)
            });
            match result {
                Ok(mut resolved) => {
                    if levels.is_empty() {
                        resolved.note = note(&dropped);
                    }
                    levels.push(resolved);
                }
                Err(missing) => dropped.push(DroppedLevel {
                    variation: entry.name.clone(),
                    level: level.name.clone(),
                    reason: missing.reason,
                    hint: missing.hint,
                }),
            }
        }
        (levels, dropped)
    }

    /// One level, resolved; or why it cannot act here.
    pub(super) fn level(&self, level: &LevelEntry) -> Result<Level, Missing> {
        if let Some(missing) = self.host.lacks(&level.needs) {
            return Err(missing.clone());
        }
        let settings: Vec<_> = level
            .settings
            .iter()
            .map(|choice| self.setting(choice))
            .collect::<Result<_, _>>()?;
        let runs = |setting: &Setting| matches!(setting, Setting::Clock(Clock::Running { .. }));
        Ok(Level {
            name: level.name.clone(),
            apart: level.apart,
            volatile: level.volatile || settings.iter().any(runs),
            settings,
            note: None,
        })
    }

    fn setting(&self, choice: &Choice) -> Result<Setting, Missing> {
        match choice {
            Choice::Fixed(Setting::Cpus(Cpus::Count { count })) if self.host.cpus <= *count => {
                Err(too_few_processors(self.host.cpus))
            }
            Choice::Fixed(Setting::User(other)) => {
                Ok(Setting::User(not_the_caller(other, self.host.caller)))
            }
            Choice::Fixed(Setting::SourceOwner(owner)) => {
                Ok(Setting::SourceOwner(self.source_owner(owner)))
            }
            Choice::Fixed(setting) => Ok(setting.clone()),
            Choice::Pick(pick) => self.pick(pick),
        }
    }

    /// Whether a level gives the directory of the sources the mode that it has.
    fn keeps_modes(&self, level: &LevelEntry) -> bool {
        let as_it_is = |choice: &Choice| match choice {
            Choice::Fixed(Setting::SourceMode(SourceMode::Checkout { umask })) => {
                0o777 & !umask == self.source_mode & 0o777
            }
            _ => false,
        };
        level.settings.iter().any(as_it_is)
    }

    /// Whether the directory of the sources is not the caller's.
    fn are_foreign(&self) -> bool {
        self.source_owner.0 != self.host.caller.0
    }

    /// Somebody else than the caller.
    fn source_owner(&self, owner: &SourceOwner) -> SourceOwner {
        let caller = self.host.caller;
        match owner {
            SourceOwner::Other {
                uid,
                gid,
                name,
                group,
            } => SourceOwner::Other {
                uid: other_id(*uid, caller.0),
                gid: other_id(*gid, caller.1),
                name: name.clone(),
                group: group.clone(),
            },
            given => given.clone(),
        }
    }

    fn pick(&self, pick: &Pick) -> Result<Setting, Missing> {
        Ok(match pick {
            Pick::Clock { running, start } => {
                Setting::Clock(self.clock(*running, self.moments.at(*start)))
            }
            Pick::AnotherDay => {
                let zone = self.moments.another_day().ok_or_else(no_such_day)?;
                Setting::Timezone(zone.to_owned())
            }
            Pick::LocaleAmong(names) => Setting::Locale(self.locale(names)?),
            Pick::EqualLengthLeaf { parent } => Setting::BuildPath(BuildPath {
                parent: parent.clone(),
                leaf: Some(equal_length(self.source_name)),
            }),
            Pick::OtherShell => Setting::Shell(self.other_shell()?),
            Pick::DirectoryOrder { reverse } => Setting::DirectoryOrder(DirectoryOrder::Keyed {
                key: self.key(Purpose::DirectoryOrder),
                reverse: *reverse,
            }),
            Pick::Randomness(stream) => Setting::Randomness(Randomness::Seeded {
                seed: self.key(Purpose::Randomness(*stream)),
            }),
            Pick::Inodes(number, accounting) => Setting::Inodes(Inodes::Numbered {
                key: self.key(Purpose::Inodes(*number)),
                accounting: *accounting,
            }),
        })
    }

    fn clock(&self, running: bool, start: i64) -> Clock {
        match self.hold {
            _ if running => Clock::Running { start },
            Hold::Stepped => Clock::Stepped { start },
            Hold::Creeping => Clock::Creeping { start },
            Hold::Running => Clock::Running { start },
        }
    }

    fn other_shell(&self) -> Result<Shell, Missing> {
        let path = self.host.shells.get(1).cloned();
        path.map(|path| Shell::Program { path })
            .ok_or_else(|| Missing {
                what: "a second shell".into(),
                reason: "no other shell than the one that is /bin/sh is installed".into(),
                hint: "install bash or dash".into(),
            })
    }

    /// The first name that is installed, else the first that can be compiled.
    fn locale(&self, names: &[String]) -> Result<Locale, Missing> {
        let installed = names.iter().find(|name| self.is_installed(name));
        if let Some(name) = installed {
            return Ok(locale_named(name, false));
        }
        let source = names
            .iter()
            .find(|name| self.host.locale_sources.contains(name));
        source
            .map(|name| locale_named(name, true))
            .ok_or_else(no_locale)
    }

    /// `locale -a` writes `et_EE.utf8` for what is asked for as `et_EE.UTF-8`.
    fn is_installed(&self, name: &str) -> bool {
        self.host.locales.iter().any(|installed| {
            let (base, codeset) = installed.split_once('.').unwrap_or((installed, ""));
            base == name && codeset.replace('-', "").eq_ignore_ascii_case("utf8")
        })
    }

    fn key(&self, purpose: Purpose) -> u64 {
        let stream = match purpose {
            Purpose::DirectoryOrder => 1 << 8,
            Purpose::Randomness(number) => 2 << 8 | u64::from(number),
            Purpose::Inodes(number) => 3 << 8 | u64::from(number),
        };
        let mut random = ChaCha12Rng::seed_from_u64(self.seed);
        random.set_stream(stream);
        random.next_u64()
    }
}

/// Whether a level's values differ from those of all earlier ones.
fn distinct<'l>(
    level: &Level,
    mut earlier: impl Iterator<Item = &'l Level>,
) -> Result<(), Missing> {
    match earlier.find(|other| other.settings == level.settings) {
        None => Ok(()),
        Some(other) => Err(Missing {
            what: "another value".into(),
            reason: format!("it is here the same as `{}`", other.name),
            hint: String::new(),
        }),
    }
}

/// What the levels before the first usable one would have tested; those with one reason together.
fn note(dropped: &[DroppedLevel]) -> Option<String> {
    let mut reasons: Vec<(Vec<String>, String)> = Vec::new();
    for level in dropped {
        let mut reason = level.reason.clone();
        if !level.hint.is_empty() {
            reason.push_str("; ");
            reason.push_str(&level.hint);
        }
        let name = format!("`{}`", level.level);
        match reasons.iter_mut().find(|(_, known)| *known == reason) {
            Some((names, _)) => names.push(name),
            None => reasons.push((vec![name], reason)),
        }
    }
    let notes: Vec<_> = reasons
        .into_iter()
        .map(|(names, reason)| format!("{} not tested: {reason}", names.join(" and ")))
        .collect();
    (!notes.is_empty()).then(|| notes.join(". "))
}

fn locale_named(name: &str, compiled: bool) -> Locale {
    let language = name.split_once('_').map_or(name, |(language, _)| language);
    Locale {
        lang: format!("{name}.UTF-8"),
        lc_all: format!("{name}.UTF-8"),
        language: format!("{name}:{language}"),
        compile: compiled.then(|| (name.to_owned(), "UTF-8".to_owned())),
    }
}

/// A name of the same length in bytes that shares no letter with most names, and is another one.
fn equal_length(name: &OsStr) -> String {
    let length = name.len().max(1);
    let draw = |letters: &str| letters.chars().cycle().take(length).collect::<String>();
    let leaf = draw("zoqajuxowyqevipu");
    if leaf.as_str() == name {
        return draw("qozaxujoqywepivu");
    }
    leaf
}

/// Another user stays another one where the caller happens to have the ids that were meant for it.
fn not_the_caller(user: &UserIdentity, caller: (u32, u32)) -> UserIdentity {
    let mut user = user.clone();
    if let UserIdentity::Other { uid, gid, .. } = &mut user {
        *uid = other_id(*uid, caller.0);
        *gid = other_id(*gid, caller.1);
    }
    user
}

/// Whether a level gives the sources to who builds.
fn gives_to_builder(level: &LevelEntry) -> bool {
    let builder = |choice: &Choice| {
        matches!(
            choice,
            Choice::Fixed(Setting::SourceOwner(SourceOwner::Builder))
        )
    };
    level.settings.iter().any(builder)
}

/// An id, or the next where it is the caller's.
fn other_id(id: u32, caller: u32) -> u32 {
    match id {
        _ if id != caller => id,
        // Below 65534, which stands for whoever has no id.
        0..60_000 => id + 1,
        _ => id - 1,
    }
}

fn too_few_processors(count: u32) -> Missing {
    let processors = if count == 1 {
        "one processor"
    } else {
        "too few processors"
    };
    Missing {
        what: "more processors".into(),
        reason: format!("the build has {processors} here in any case"),
        hint: "run on a machine, or with an affinity, of more processors".into(),
    }
}

fn no_such_day() -> Missing {
    Missing {
        what: "a calendar".into(),
        reason: "at the time that the host's clock shows, no zone has another day".into(),
        hint: "set the host's clock".into(),
    }
}

fn no_locale() -> Missing {
    Missing {
        what: "a locale with other rules".into(),
        reason: "no locale with other rules is installed, and none can be compiled".into(),
        hint: "install one (Debian: the package `locales-all`, or `locales`)".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_equal_length_is_always_another_name() {
        for name in ["x", "z", "hello-2.10", "zoqajuxo", "zoqajuxowyqevipuzo"] {
            let leaf = equal_length(OsStr::new(name));
            assert_eq!(leaf.len(), name.len());
            assert_ne!(leaf, name);
        }
    }
}
