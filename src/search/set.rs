//! A set of variations: which of them are varied in a trial, and which together are a culprit.

/// A set of numbers below a fixed bound. Sets with the same bound compare by content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Set {
    words: Vec<u64>,
}

impl Set {
    /// No number below `bound`.
    pub(super) fn empty(bound: usize) -> Self {
        Self {
            words: vec![0; bound.div_ceil(64)],
        }
    }

    /// These numbers, all of them below `bound`.
    pub(super) fn of(bound: usize, members: impl IntoIterator<Item = usize>) -> Self {
        let mut set = Self::empty(bound);
        for member in members {
            set.insert(member);
        }
        set
    }

    /// All numbers in it are below this.
    pub(super) fn bound(&self) -> usize {
        self.words.len() * 64
    }

    /// Adds a number.
    pub(super) fn insert(&mut self, member: usize) {
        if let Some(word) = self.words.get_mut(member / 64) {
            *word |= 1 << (member % 64);
        }
    }

    /// Takes a number away.
    pub(super) fn remove(&mut self, member: usize) {
        if let Some(word) = self.words.get_mut(member / 64) {
            *word &= !(1 << (member % 64));
        }
    }

    /// Adds a number that it lacks, takes away one that it holds.
    pub(super) fn flip(&mut self, member: usize) {
        if let Some(word) = self.words.get_mut(member / 64) {
            *word ^= 1 << (member % 64);
        }
    }

    /// Whether it holds a number.
    pub(super) fn has(&self, member: usize) -> bool {
        self.words
            .get(member / 64)
            .is_some_and(|word| word >> (member % 64) & 1 == 1)
    }

    /// This set with one number more.
    pub(super) fn with(&self, member: usize) -> Self {
        let mut set = self.clone();
        set.insert(member);
        set
    }

    /// This set with one number less.
    pub(super) fn without(&self, member: usize) -> Self {
        let mut set = self.clone();
        set.remove(member);
        set
    }

    /// What is in this set and not in `other`.
    pub(super) fn minus(&self, other: &Self) -> Self {
        self.combine(other, |mine, theirs| mine & !theirs)
    }

    /// What is in either.
    pub(super) fn union(&self, other: &Self) -> Self {
        self.combine(other, |mine, theirs| mine | theirs)
    }

    /// What is in both.
    pub(super) fn intersection(&self, other: &Self) -> Self {
        self.combine(other, |mine, theirs| mine & theirs)
    }

    /// Whether everything in this set is in `other`.
    pub(super) fn is_subset(&self, other: &Self) -> bool {
        self.words
            .iter()
            .zip(&other.words)
            .all(|(mine, theirs)| mine & !theirs == 0)
    }

    /// Whether something is in both.
    pub(super) fn meets(&self, other: &Self) -> bool {
        self.words
            .iter()
            .zip(&other.words)
            .any(|(mine, theirs)| mine & theirs != 0)
    }

    /// Whether nothing is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// How many numbers it holds.
    pub(super) fn len(&self) -> usize {
        self.words
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum()
    }

    /// The numbers, rising.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(index, word)| {
            (0..64)
                .filter(move |bit| word >> bit & 1 == 1)
                .map(move |bit| index * 64 + bit)
        })
    }

    fn combine(&self, other: &Self, operation: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            words: self
                .words
                .iter()
                .zip(&other.words)
                .map(|(mine, theirs)| operation(*mine, *theirs))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_hold_what_was_put_in_across_words() {
        let set = Set::of(200, [3, 64, 199]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [3, 64, 199]);
        assert_eq!(set.len(), 3);
        assert!(set.without(64).is_subset(&set));
        assert!(!set.is_subset(&set.without(64)));
        assert_eq!(set.minus(&Set::of(200, [3, 5])), Set::of(200, [64, 199]));
        assert_eq!(set.without(3).with(3), set);
        assert!(Set::empty(200).is_empty());
    }
}
