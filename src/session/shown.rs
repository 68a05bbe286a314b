//! The bytes of an element as they are shown in the end, taken from where they cost least.

use super::run::Session;
use crate::model::{Element, Field, TrialId};
use crate::search::Seen;

impl Session<'_> {
    /// The bytes of an element in a trial: without addresses, where they were told apart.
    pub(super) fn content(&self, trial: TrialId, element: &Element) -> Option<Vec<u8>> {
        let trial = self.twin(trial, element);
        let bytes = self.contents.bytes(trial, &element.path)?;
        Some(match self.addresses.positions.get(element) {
            Some(Some(positions)) => positions.blank(&bytes),
            _ => bytes,
        })
    }

    /// Unpacks the archives of a trial that will be shown, while there is time, unless others hold
    /// the same.
    pub(super) fn unpack(&self, trial: TrialId) {
        let seen = self.ledger.seen(trial).unwrap_or_default();
        let elements = self.ledger.elements().iter().zip(seen);
        let members = elements
            .filter(|(element, seen)| seen.differs() && element.field == Field::CONTENT)
            .filter(|(element, _)| element.path.contains("!/"));
        for (element, _) in members {
            let at_hand = self.contents.unpacked(element.output());
            if !at_hand.contains(&self.twin(trial, element)) {
                self.contents.bytes(trial, &element.path);
            }
        }
    }

    /// A trial in which the element was the same, and whose archives were unpacked already.
    fn twin(&self, trial: TrialId, element: &Element) -> TrialId {
        let number = self.ledger.number_of(element);
        let seen = |trial| {
            let seen = self.ledger.seen(trial)?.get(number?).copied();
            Some(seen.unwrap_or(Seen::Value(0)))
        };
        let own = seen(trial).filter(|seen| matches!(seen, Seen::Value(_)));
        let mut others = self.contents.unpacked(element.output()).into_iter();
        let twin = others.find(|other| *other == trial || (own.is_some() && seen(*other) == own));
        twin.unwrap_or(trial)
    }
}
