//! The same variations with other values: as a session at another moment, with another seed and other
//! names would have them. What a remedy does is not to depend on the values that it was found with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Plan, fill};
use crate::model::{
    BuildPath, Clock, DirectoryOrder, Inodes, Level, Randomness, Setting, UserIdentity,
};

/// Whole days, so that the zones of the plan are on the other day as before.
const LATER: i64 = 101 * 24 * 3600;
/// What keys are mixed with.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
/// The syllables that the names of our own have, and those that they get.
const NAMES: [(&str, &str); 2] = [("kivu", "fexu"), ("zoqa", "bajo")];

impl Plan {
    /// The plan with other moments, keys and names. The levels keep their numbers.
    #[must_use]
    pub fn elsewhere(&self) -> Self {
        let mut plan = self.clone();
        plan.seed ^= MIX;
        plan.t0 = plan.t0.saturating_add(LATER);
        for variation in &mut plan.variations {
            move_away(&mut variation.control);
            variation.varied.iter_mut().for_each(move_away);
        }
        for variation in &plan.variations {
            fill(&mut plan.control, &variation.control);
        }
        plan
    }
}

fn move_away(level: &mut Level) {
    for setting in &mut level.settings {
        *setting = moved(setting.clone());
    }
}

fn moved(setting: Setting) -> Setting {
    match setting {
        Setting::Clock(clock) => Setting::Clock(later(clock)),
        Setting::BuildPath(BuildPath { parent, leaf }) => Setting::BuildPath(BuildPath {
            parent: path(&parent),
            leaf: leaf.map(|leaf| name(&leaf)),
        }),
        Setting::Hostname(host) => Setting::Hostname(name(&host)),
        Setting::Domain(domain) => Setting::Domain(name(&domain)),
        Setting::Home(home) => Setting::Home(path(&home)),
        Setting::ExecPath(paths) => Setting::ExecPath(paths.iter().map(|p| path(p)).collect()),
        Setting::Variables(variables) => {
            let other = variables
                .into_iter()
                .map(|(key, value)| (key, name(&value)));
            Setting::Variables(other.collect::<BTreeMap<_, _>>())
        }
        Setting::User(UserIdentity::Other {
            uid,
            gid,
            name: login,
            group,
            gecos,
            login_shell,
        }) => Setting::User(UserIdentity::Other {
            uid: uid + 1,
            gid: gid + 1,
            name: name(&login),
            group: name(&group),
            gecos: name(&gecos),
            login_shell,
        }),
        Setting::DirectoryOrder(DirectoryOrder::Keyed { key, reverse }) => {
            let key = key ^ MIX;
            Setting::DirectoryOrder(DirectoryOrder::Keyed { key, reverse })
        }
        Setting::Randomness(Randomness::Seeded { seed }) => {
            Setting::Randomness(Randomness::Seeded { seed: seed ^ MIX })
        }
        Setting::Inodes(Inodes::Numbered { key, accounting }) => {
            let key = key ^ MIX;
            Setting::Inodes(Inodes::Numbered { key, accounting })
        }
        // What the host gives, or what has few values.
        other => other,
    }
}

fn later(clock: Clock) -> Clock {
    match clock {
        Clock::Host => Clock::Host,
        Clock::Stepped { start } => Clock::Stepped {
            start: start.saturating_add(LATER),
        },
        Clock::Creeping { start } => Clock::Creeping {
            start: start.saturating_add(LATER),
        },
        Clock::Running { start } => Clock::Running {
            start: start.saturating_add(LATER),
        },
    }
}

fn name(text: &str) -> String {
    let mut text = text.to_owned();
    for (own, other) in NAMES {
        text = text.replace(own, other);
    }
    text
}

fn path(path: &Path) -> PathBuf {
    path.to_str()
        .map_or_else(|| path.to_owned(), |text| PathBuf::from(name(text)))
}
