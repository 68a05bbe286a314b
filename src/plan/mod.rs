//! Which variations are tried, at which levels, with which values: catalogue, host and request in,
//! one plan out. Everything in a plan is resolved and serialises, so that a journal which holds it
//! can be replayed on its own. Nothing is looked up here: the moment and the seed are parameters.

mod describe;
mod elsewhere;
mod moments;
mod parts;
mod resolve;
mod select;
mod vary;

use std::collections::BTreeMap;
use std::ffi::OsString;

use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Entry, UnknownName};
use crate::model::{
    Acting, Asked, Capabilities, Drawn, Environment, Level, Missing, Need, Network, Row, Setting,
    Slot, Variation, Varies,
};

pub use describe::{describe, describe_level};
pub use parts::Part;
pub use vary::VaryError;

use resolve::Resolver;
use select::Selection;

/// What the user asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The variations to try, `all` for every one; `None` where nobody chose.
    pub only: Option<Vec<String>>,
    /// Variations to leave out of what `only` leaves; never resets the set.
    pub skip: Vec<String>,
    /// Variations without which there is no verdict, `all` for every one that is to be tried.
    pub require: Vec<String>,
    /// What everything random in the session comes from.
    pub seed: u64,
    /// The session's start, whole seconds since 1970 (UTC), rounded down.
    pub now: i64,
    /// Whether builds may reach the network.
    pub network: bool,
    /// How clocks are held.
    pub clock: Hold,
    /// The name of the source directory on the host.
    pub source_name: OsString,
    /// The user and the group that own the source directory.
    pub source_owner: (u32, u32),
    /// The mode of the source directory.
    pub source_mode: u32,
}

/// How the clocks of all trials are held, from the best way to the last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hold {
    /// They stand still and move with sleeps and steps.
    #[default]
    Stepped,
    /// As stepped, and the times of files creep.
    Creeping,
    /// They run, each from its start.
    Running,
}

/// What is tried, with resolved values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// What everything random in the session comes from.
    #[serde(with = "decimal")]
    pub seed: u64,
    /// Where the control's clock starts: whole seconds since 1970 (UTC).
    pub t0: i64,
    /// How clocks are held.
    pub clock: Hold,
    /// The environment of the control trial, left-out variations included.
    pub control: Environment,
    /// The variations that are tried, in the order of the catalogue.
    pub variations: Vec<Variation>,
    /// For each of `variations`, how often it is to blame relative to the others.
    pub weights: Vec<u32>,
    /// For each of `variations`, the level of the first trial with everything varied.
    pub opening: Vec<u8>,
    /// The variations that are not tried.
    pub left_out: Vec<LeftOut>,
    /// Levels that cannot act here, of variations that are tried.
    pub dropped: Vec<DroppedLevel>,
}

/// A variation that is not tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Its name.
    pub name: String,
    /// Names under which other tools know it.
    pub aliases: Vec<String>,
    /// What it belongs to.
    pub varies: Varies,
    /// Why.
    pub why: Why,
    /// Why, as a sentence's fragment.
    pub reason: String,
    /// The way out; empty where the user chose so.
    pub hint: String,
    /// Named by `--only`, `--require` or the configuration: there is no verdict without it.
    pub asked: bool,
    /// The name of its control level.
    pub control: String,
    /// The names of its varied levels.
    pub varied: Vec<String>,
}

/// Why a variation is not tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// `--only` does not name it, or `--skip` does.
    Chosen,
    /// Another option stands against it.
    Overruled,
    /// The host lacks what it needs.
    Lacking,
    /// None of its levels differs from the control here.
    NoEffect,
}

/// A level that cannot act here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedLevel {
    /// The variation.
    pub variation: String,
    /// The level.
    pub level: String,
    /// Why.
    pub reason: String,
    /// The way out.
    pub hint: String,
}

/// The request cannot be planned: a wrong command line or configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A name that no variation has.
    #[error(transparent)]
    Unknown(#[from] UnknownName),
    /// Nothing is left to vary.
    #[error("{choice} leaves nothing to vary; known are {known}")]
    Empty {
        /// The options as they were given.
        choice: String,
        /// All names, in backquotes.
        known: String,
    },
    /// What is required is not to be tried.
    #[error("`{name}` is required, but {choice} leaves it out")]
    Contradiction {
        /// The variation.
        name: String,
        /// The options as they were given.
        choice: String,
    },
}

/// Plans a session.
pub fn plan(catalog: &Catalog, host: &Capabilities, request: &Request) -> Result<Plan, Error> {
    let selection = Selection::of(catalog, request)?;
    let resolver = Resolver::new(host, request);
    let mut plan = Plan {
        seed: request.seed,
        t0: resolver.moments.t0,
        clock: request.clock,
        control: Environment::default(),
        variations: Vec::new(),
        weights: Vec::new(),
        opening: Vec::new(),
        left_out: Vec::new(),
        dropped: Vec::new(),
    };
    for entry in catalog.entries() {
        let asked = selection.asked.contains(&entry.name);
        match consider(entry, host, request, &selection, &resolver) {
            Decision::Try(tried) => plan.admit(entry, tried),
            Decision::Leave(refusal) => plan.leave_out(entry, asked, refusal),
        }
    }
    // Where a network of the trial's own cannot be had, the build finds the host's in any case.
    if request.network || host.lacks(&[Need::PrivateNetwork]).is_some() {
        plan.control.network = Network::Host;
    }
    Ok(plan)
}

/// Whether a variation is tried.
enum Decision {
    Try(Tried),
    Leave(Refusal),
}

/// A variation that can be tried.
struct Tried {
    control: Level,
    varied: Vec<Level>,
    dropped: Vec<DroppedLevel>,
}

/// Why a variation is not tried, and what the control has all the same.
struct Refusal {
    why: Why,
    missing: Missing,
    control: Option<Level>,
}

fn consider(
    entry: &Entry,
    host: &Capabilities,
    request: &Request,
    selection: &Selection,
    resolver: &Resolver<'_>,
) -> Decision {
    let choice = selection.left_out_by(&entry.name);
    let control = match host.lacks(&entry.needs) {
        Some(missing) => Err(missing.clone()),
        None => resolver.level(&entry.control),
    };
    // What the user left out is held at its control all the same, where the host can.
    if let Some(choice) = choice {
        return refuse(Why::Chosen, chosen(choice), control.ok());
    }
    let control = match control {
        Ok(control) => control,
        Err(missing) => return refuse(Why::Lacking, missing, None),
    };
    if request.network && entry.control.slots().contains(&Slot::Network) {
        return refuse(Why::Overruled, network_is_open(), Some(control));
    }
    let (varied, dropped) = resolver.varied(entry, &control);
    if varied.is_empty() {
        let (why, missing) = nothing_left(dropped);
        return refuse(why, missing, Some(control));
    }
    Decision::Try(Tried {
        control,
        varied,
        dropped,
    })
}

fn refuse(why: Why, missing: Missing, control: Option<Level>) -> Decision {
    Decision::Leave(Refusal {
        why,
        missing,
        control,
    })
}

fn chosen(choice: String) -> Missing {
    Missing {
        what: "a choice".into(),
        reason: choice,
        hint: String::new(),
    }
}

fn network_is_open() -> Missing {
    Missing {
        what: "a closed network".into(),
        reason: "the network is open to the build".into(),
        hint: "without --network it is tested; let --prepare fetch what the build needs".into(),
    }
}

/// What to say of a variation none of whose levels can act: its first level's reason.
fn nothing_left(dropped: Vec<DroppedLevel>) -> (Why, Missing) {
    let why = if dropped.iter().all(|level| level.hint.is_empty()) {
        Why::NoEffect
    } else {
        Why::Lacking
    };
    let first = dropped.into_iter().next();
    let (reason, hint) = first.map_or_else(Default::default, |level| (level.reason, level.hint));
    let missing = Missing {
        what: "a level that differs from the control".into(),
        reason,
        hint,
    };
    (why, missing)
}

impl Plan {
    fn admit(&mut self, entry: &Entry, tried: Tried) {
        fill(&mut self.control, &tried.control);
        let opening = entry.opening.as_ref().and_then(|name| {
            let position = tried.varied.iter().position(|level| level.name == *name)?;
            u8::try_from(position + 1).ok()
        });
        self.opening.push(opening.unwrap_or(1));
        self.weights.push(entry.weight);
        self.dropped.extend(tried.dropped);
        self.variations.push(Variation {
            name: entry.name.clone(),
            aliases: entry.aliases.clone(),
            usertag: entry.usertag.clone(),
            varies: entry.varies,
            summary: entry.summary.clone(),
            catches: entry.catches.clone(),
            needs: entry.needs.clone(),
            control: tried.control,
            varied: tried.varied,
            remedies: entry.remedies.clone(),
        });
    }

    fn leave_out(&mut self, entry: &Entry, asked: bool, refusal: Refusal) {
        if let Some(control) = &refusal.control {
            fill(&mut self.control, control);
        }
        self.left_out.push(LeftOut {
            name: entry.name.clone(),
            aliases: entry.aliases.clone(),
            varies: entry.varies,
            why: refusal.why,
            reason: refusal.missing.reason,
            hint: refusal.missing.hint,
            asked,
            control: entry.control.name.clone(),
            varied: entry.varied.iter().map(|l| l.name.clone()).collect(),
        });
    }

    /// The environment of a trial. Numbers that the plan does not have count as the control; see
    /// [`Plan::admits`].
    pub fn environment(&self, row: &Row) -> Environment {
        let mut environment = self.control.clone();
        for (variation, number) in self.variations.iter().zip(&row.0) {
            if let (1.., Some(level)) = (*number, variation.level(*number)) {
                empty(&mut environment, &variation.control);
                fill(&mut environment, level);
            }
        }
        environment
    }

    /// The environment of a trial that asks this. A scope of its own is no part of it.
    pub fn environment_of(&self, asked: &Asked) -> Environment {
        match &asked.acting {
            Acting::Whole | Acting::Witnessed => self.environment(&asked.row),
            Acting::Remedied { drawn, .. } => match drawn {
                Drawn::Here => self.environment(&asked.row),
                Drawn::Elsewhere | Drawn::ElsewhereAgain => {
                    self.elsewhere().environment(&asked.row)
                }
            },
            Acting::Within { .. } => self.environment(&self.control_row()),
            Acting::Part { part } => self.environment_of_part(&asked.row, part),
        }
    }

    /// Whether the row has one level of this plan for each variation.
    pub fn admits(&self, row: &Row) -> bool {
        row.0.len() == self.variations.len()
            && self
                .variations
                .iter()
                .zip(&row.0)
                .all(|(variation, number)| variation.level(*number).is_some())
    }

    /// The row of the control trial.
    pub fn control_row(&self) -> Row {
        Row::control(self.variations.len())
    }

    /// The row in which one variation alone varies.
    pub fn alone(&self, factor: usize, level: u8) -> Row {
        Row::alone(self.variations.len(), factor, level)
    }

    /// The row of the first trial with everything varied.
    pub fn opening_row(&self) -> Row {
        Row(self.opening.clone())
    }

    /// The variation that fills a slot, by its index; none where it is not tried.
    pub fn filling(&self, slot: Slot) -> Option<usize> {
        let fills = |setting: &Setting| setting.slot() == slot;
        let mut variations = self.variations.iter();
        variations.position(|variation| variation.control.settings.iter().any(fills))
    }

    /// What a row varies: names of variations and of their levels.
    pub fn varied(&self, row: &Row) -> BTreeMap<String, String> {
        let levels = self.variations.iter().zip(&row.0);
        levels
            .filter(|(_, number)| **number != 0)
            .filter_map(|(variation, number)| {
                let level = variation.level(*number)?;
                Some((variation.name.clone(), level.name.clone()))
            })
            .collect()
    }

    /// What a trial that asks this varies: names of variations and of their levels, or of the part of
    /// a level that it tries.
    pub fn varied_by(&self, asked: &Asked) -> BTreeMap<String, String> {
        let mut varied = self.varied(&asked.row);
        if let Acting::Part { part } = &asked.acting {
            for level in varied.values_mut() {
                *level = format!("{level}, {part}");
            }
        }
        varied
    }

    /// The row that varies these: the inverse of [`Plan::varied`]. `None` where the plan has no
    /// such variation or level.
    pub fn row(&self, varied: &BTreeMap<String, String>) -> Option<Row> {
        let mut row = self.control_row();
        for (name, level) in varied {
            let index = self.variations.iter().position(|v| v.name == *name)?;
            let levels = &self.variations.get(index)?.varied;
            let position = levels.iter().position(|l| l.name == *level)?;
            *row.0.get_mut(index)? = u8::try_from(position + 1).ok()?;
        }
        Some(row)
    }

    /// The number of trials' environments that only one variation tells from the control.
    pub fn levels(&self) -> usize {
        self.variations.iter().map(|v| v.varied.len()).sum()
    }

    /// The left-out variations without which there is no verdict.
    pub fn unmet(&self) -> impl Iterator<Item = &LeftOut> {
        self.left_out.iter().filter(|left| left.asked)
    }
}

/// Fills a level's slots. Variables are added to those of other variations: each variation owns
/// its names, not the slot.
fn fill(environment: &mut Environment, level: &Level) {
    for setting in &level.settings {
        match setting {
            Setting::Variables(variables) => environment.variables.extend(variables.clone()),
            other => environment.apply(other),
        }
    }
}

/// Takes away what the control level added, where another level need not replace it.
fn empty(environment: &mut Environment, control: &Level) {
    for setting in &control.settings {
        if let Setting::Variables(variables) = setting {
            environment
                .variables
                .retain(|name, _| !variables.contains_key(name));
        }
    }
}

/// 64 bits do not survive readers of JSON that hold numbers as doubles.
mod decimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes fields by reference"
    )]
    pub(super) fn serialize<S: Serializer>(seed: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(seed)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}
