//! A row from words: `umask`, `umask=002`, `all`. For whoever wants one environment, not a search.

use crate::catalog::{nearest, quoted};
use crate::model::{Row, Variation};

use super::Plan;

/// The words name no environment of this plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaryError {
    /// A name that no variation has.
    #[error("no variation is named `{name}`; {hint}")]
    Unknown {
        /// As it was given.
        name: String,
        /// The nearest one, or all.
        hint: String,
    },
    /// A level that the variation does not have.
    #[error("`{variation}` has no level `{level}`; {hint}")]
    UnknownLevel {
        /// The variation.
        variation: String,
        /// As it was given.
        level: String,
        /// The nearest one, or all.
        hint: String,
    },
    /// It cannot be varied here.
    #[error("`{name}` cannot be varied here: {reason}{}{hint}", if hint.is_empty() { "" } else { "; " })]
    Unable {
        /// The variation, or the variation and its level.
        name: String,
        /// Why.
        reason: String,
        /// The way out.
        hint: String,
    },
}

impl Plan {
    /// The row that varies these: `NAME` (its first level), `NAME=LEVEL`, or `all` (the first level
    /// of everything that can be varied here). Later words win.
    pub fn vary<S: AsRef<str>>(&self, words: &[S]) -> Result<Row, VaryError> {
        let mut row = self.control_row();
        for word in words {
            let word = word.as_ref();
            if word == "all" {
                row.0.fill(1);
                continue;
            }
            let (name, level) = match word.split_once('=') {
                Some((name, level)) => (name, Some(level)),
                None => (word, None),
            };
            let (index, variation) = self.named(name)?;
            let number = match level {
                Some(level) => self.numbered(variation, level)?,
                None => 1,
            };
            if let Some(slot) = row.0.get_mut(index) {
                *slot = number;
            }
        }
        Ok(row)
    }

    fn named(&self, name: &str) -> Result<(usize, &Variation), VaryError> {
        let wanted = name.to_lowercase().replace('_', "-");
        let is = |known: &str| known.to_lowercase().replace('_', "-") == wanted;
        let mut variations = self.variations.iter().enumerate();
        let found = variations.find(|(_, v)| is(&v.name) || v.aliases.iter().any(|a| is(a)));
        if let Some(found) = found {
            return Ok(found);
        }
        let left = self.left_out.iter();
        let mut left = left.filter(|left| is(&left.name) || left.aliases.iter().any(|a| is(a)));
        if let Some(left) = left.next() {
            return Err(VaryError::Unable {
                name: left.name.clone(),
                reason: left.reason.clone(),
                hint: left.hint.clone(),
            });
        }
        let tried = self.variations.iter().map(|v| v.name.as_str());
        let known: Vec<_> = tried
            .chain(self.left_out.iter().map(|l| l.name.as_str()))
            .collect();
        Err(VaryError::Unknown {
            name: name.to_owned(),
            hint: hint(name, &known),
        })
    }

    fn numbered(&self, variation: &Variation, level: &str) -> Result<u8, VaryError> {
        if level == variation.control.name {
            return Ok(0);
        }
        let position = variation.varied.iter().position(|l| l.name == level);
        if let Some(number) = position.and_then(|at| u8::try_from(at + 1).ok()) {
            return Ok(number);
        }
        let mut dropped = self.dropped.iter();
        let dropped = dropped.find(|d| d.variation == variation.name && d.level == level);
        if let Some(dropped) = dropped {
            return Err(VaryError::Unable {
                name: format!("{}={level}", variation.name),
                reason: dropped.reason.clone(),
                hint: dropped.hint.clone(),
            });
        }
        let known: Vec<_> = variation.varied.iter().map(|l| l.name.as_str()).collect();
        Err(VaryError::UnknownLevel {
            variation: variation.name.clone(),
            level: level.to_owned(),
            hint: hint(level, &known),
        })
    }
}

fn hint(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(right) => format!("did you mean `{right}`?"),
        None => format!("known are {}", quoted(known)),
    }
}
