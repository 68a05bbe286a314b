//! Process ids are counted: whatever starts one process less moves all later ones (bash needs one less
//! than dash). Where `pid` is proven for an element, and another variation changes nothing there but
//! which of the counted ids stands in it, `pid` alone is to blame.

use super::run::Session;
use crate::model::{Setting, Slot, TrialId};
use crate::search::{Certified, ElementVerdict};

/// A build starts fewer processes than this, and the levels are further apart.
const MOST_PROCESSES: u32 = 10_000;

/// An element in the control, and where ids are counted from another number.
struct Ids {
    control: Vec<u8>,
    counted: Vec<u8>,
    /// After which the ids of each are counted.
    last: (u32, u32),
}

impl Session<'_> {
    /// Folds into `pid` what only moves process ids.
    pub(super) fn fold_ids(&mut self) {
        let Some(pid) = self.plan.filling(Slot::LastPid) else {
            return;
        };
        let verdict = self.search.verdict();
        for (number, said) in verdict.elements.iter().enumerate() {
            let ElementVerdict::Certified { culprits } = said else {
                continue;
            };
            let own = culprits.iter().find(|culprit| culprit.set == [pid]);
            if culprits.len() < 2 || !self.ledger.decides(number) {
                continue;
            }
            let Some(ids) = own.and_then(|own| self.ids(number, own)) else {
                continue;
            };
            for culprit in culprits {
                let ([factor], Some(trial)) = (culprit.set.as_slice(), culprit.shown_by()) else {
                    continue;
                };
                let moved = || Some(ids.are_moved_in(&self.bytes_of(number, trial)?));
                if *factor != pid && moved() == Some(true) {
                    self.fold(&[number], *factor, pid, trial);
                }
            }
        }
    }

    /// What an element is in the control, and in the trial that shows that it follows the ids.
    fn ids(&self, number: usize, own: &Certified) -> Option<Ids> {
        let variation = self.plan.variations.get(*own.set.first()?)?;
        let level = variation.level(*own.levels.first()?)?;
        let varied = level.settings.iter().find_map(|setting| match setting {
            Setting::LastPid(last) => *last,
            _ => None,
        })?;
        Some(Ids {
            control: self.bytes_of(number, self.ledger.control_trial()?)?,
            counted: self.bytes_of(number, own.shown_by()?)?,
            last: (self.plan.control.last_pid?, varied),
        })
    }

    pub(super) fn bytes_of(&self, number: usize, trial: TrialId) -> Option<Vec<u8>> {
        let element = self.ledger.elements().get(number)?;
        self.bytes(number, element, trial)
    }
}

impl Ids {
    /// Whether another trial differs from the control in nothing but ids, in places where ids follow
    /// what they are counted from.
    fn are_moved_in(&self, other: &[u8]) -> bool {
        let (own, counted, other) = (runs(&self.control), runs(&self.counted), runs(other));
        if own.len() != other.len() || own.len() != counted.len() {
            return false;
        }
        let places = own.iter().zip(&other).zip(&counted);
        let mut moved = places.filter(|((own, other), _)| own != other).peekable();
        moved.peek().is_some()
            && moved.all(|((own, other), counted)| {
                is_id(own, self.last.0) && is_id(other, self.last.0) && is_id(counted, self.last.1)
            })
    }
}

/// Whether it is the number of a process that was started after this one.
fn is_id(run: &[u8], last: u32) -> bool {
    let number = std::str::from_utf8(run)
        .ok()
        .and_then(|text| text.parse::<u32>().ok());
    number.is_some_and(|number| number > last && number - last <= MOST_PROCESSES)
}

/// Runs of digits, and what is between them.
fn runs(bytes: &[u8]) -> Vec<&[u8]> {
    bytes
        .chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(control: &str, counted: &str, other: &str) -> bool {
        let ids = Ids {
            control: control.into(),
            counted: counted.into(),
            last: (11003, 23460),
        };
        ids.are_moved_in(other.as_bytes())
    }

    #[test]
    fn another_id_of_the_same_count_is_moved_and_nothing_else_is() {
        assert!(moved("pid 11010\n", "pid 23467\n", "pid 11009\n"));
        assert!(moved("11010 v1 11012", "23467 v1 23469", "11009 v1 11012"));
        assert!(
            !moved("pid 11010\n", "pid 23467\n", "id 11009\n"),
            "other words"
        );
        assert!(
            !moved("11010 2026", "23467 2026", "11009 2027"),
            "another number"
        );
        assert!(
            !moved("11010 11500", "23467 11500", "11010 11501"),
            "it follows no count"
        );
        assert!(!moved("11010", "23467", "11010"), "the same");
    }
}
