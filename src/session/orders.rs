//! Orders that follow random numbers or addresses: a hash table with a random seed, a set of objects by
//! where they lie. Under the fixed seed of the control whatever makes a string longer or a variable more
//! moves such an order, too: each is a draw of the same lottery. Where an element holds the same words in
//! another order, as it does by random numbers or addresses alone, these are to blame, and what the
//! others do to the order cannot be told from it.

use std::ops::Range;

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
        let range = |culprit: &Certified| {
            let trial = culprit.shown_by()?;
            let other = self.bytes_of(number, trial)?;
            Some((range_moved(&control, &other)?, trial))
        };
        let Some((lottery, _)) = range(draw) else {
            return;
        };
        // What it moves elsewhere is no draw of this lottery.
        let moves = |culprit: &Certified| {
            let (own, trial) = range(culprit)?;
            (own.start < lottery.end && lottery.start < own.end).then_some(trial)
        };
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

/// Where words were moved, from the first to the last of them, counted with what is between words;
/// nothing where the words are not the same.
fn range_moved(control: &[u8], other: &[u8]) -> Option<Range<usize>> {
    let (own, others) = (words(control), words(other));
    let pairs = own.iter().zip(&others).enumerate();
    let mut moved = pairs.filter(|(_, (own, other))| own != other);
    let (first, _) = moved.next()?;
    let last = moved.next_back().map_or(first, |(last, _)| last);
    (sorted(own) == sorted(others)).then_some(first..last + 1)
}

fn sorted(mut words: Vec<&[u8]>) -> Vec<&[u8]> {
    words.sort_unstable();
    words
}

/// The words of bytes, and what is between them.
fn words(bytes: &[u8]) -> Vec<&[u8]> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-/".contains(byte) || *byte > 127;
    let words = bytes.chunk_by(|a, b| is_word(a) && is_word(b));
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_moved_where_they_are_the_same_in_another_order() {
        assert_eq!(range_moved(b"[3, 5, 1]\n", b"[1, 3, 5]\n"), Some(1..8));
        assert_eq!(
            range_moved(b"'a': 1, 'b': 2", b"'b': 2, 'a': 1"),
            Some(1..14)
        );
        assert_eq!(range_moved(b"x y\na b", b"x y\nb a"), Some(4..7));
        assert_eq!(range_moved(b"a b", b"a b"), None);
        assert_eq!(range_moved(b"a b", b"a c"), None);
        assert_eq!(range_moved(b"ab c", b"a bc"), None);
        assert_eq!(range_moved(b"a  b", b"a b"), None);
    }
}
