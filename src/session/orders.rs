//! Orders that follow random numbers or addresses: a hash table with a random seed, a set of objects by
//! where they lie. Under the fixed seed of the control whatever makes a string longer or a variable more
//! moves such an order, too: each is a draw of the same lottery. Where an element holds the same words in
//! another order, as it does by random numbers or addresses alone, these are to blame, and what the
//! others do to the order cannot be told from it.

use std::collections::BTreeMap;

use super::run::Session;
use crate::explain::Folded;
use crate::model::Slot;
use crate::search::{Certified, ElementVerdict};

impl Session<'_> {
    /// Folds into random numbers and addresses what only moves words that they move as well.
    pub(super) fn fold_orders(&mut self) {
        let filling = |slot| self.plan.filling(slot);
        let draws: Vec<usize> = [Slot::Randomness, Slot::RandomAddresses]
            .into_iter()
            .filter_map(filling)
            .collect();
        for (number, said) in self.search.verdict().elements.iter().enumerate() {
            if let ElementVerdict::Certified { culprits } = said
                && culprits.len() > 1
                && self.ledger.decides(number)
            {
                self.fold_order(number, culprits, &draws);
            }
        }
    }

    fn fold_order(&mut self, number: usize, culprits: &[Certified], draws: &[usize]) {
        let is_draw = |culprit: &&Certified| draws.iter().any(|draw| culprit.set == [*draw]);
        let (own, others): (Vec<&Certified>, Vec<_>) = culprits.iter().partition(is_draw);
        let control = self.ledger.control_trial();
        let control = control.and_then(|trial| self.bytes_of(number, trial));
        let (Some(draw), Some(control)) = (own.first(), control) else {
            return;
        };
        let moves = |culprit: &Certified| {
            let trial = culprit.shown_by()?;
            let other = self.bytes_of(number, trial)?;
            (other != control && words(&other) == words(&control)).then_some(trial)
        };
        if moves(draw).is_none() {
            return;
        }
        let sets = others
            .iter()
            .filter_map(|culprit| Some((culprit.set.clone(), moves(culprit)?)));
        let sets: Vec<_> = sets.collect();
        for (set, trial) in sets {
            let folded = Folded {
                into: draw.set.first().copied().unwrap_or_default(),
                trial,
                is_all: false,
            };
            self.folded.entry((number, set)).or_insert(folded);
        }
    }
}

/// How often each word stands in bytes, and each byte between words.
fn words(bytes: &[u8]) -> BTreeMap<&[u8], usize> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-/".contains(byte) || *byte > 127;
    let mut counts = BTreeMap::new();
    for word in bytes.chunk_by(|a, b| is_word(a) && is_word(b)) {
        *counts.entry(word).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_same_in_any_order_and_no_others_are() {
        assert_eq!(words(b"[3, 5, 1]\n"), words(b"[1, 3, 5]\n"));
        assert_eq!(words(b"'a': 1, 'b': 2"), words(b"'b': 2, 'a': 1"));
        assert_ne!(words(b"a b"), words(b"a c"));
        assert_ne!(words(b"ab c"), words(b"a bc"));
        assert_ne!(words(b"a  b"), words(b"a b"));
    }
}
