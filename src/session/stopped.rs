//! What may be said of a search that was stopped: what only its next steps would have put right is
//! not claimed.

use super::run::Session;
use crate::search::{ElementVerdict, FactorVerdict, Reason, Verdict};

impl Session<'_> {
    /// What is said in the end. Of a search that was stopped, nothing is claimed of addresses, nor of
    /// what may be some and was not told apart yet: whatever moves the stack would be blamed for them.
    pub(super) fn conclusion(&self) -> Verdict {
        let mut verdict = self.verdict();
        if self.searched {
            return verdict;
        }
        for number in self.may_be_addresses() {
            let Some(element) = verdict.elements.get_mut(number) else {
                continue;
            };
            if let ElementVerdict::Certified { culprits } = element {
                let mut possible: Vec<usize> =
                    culprits.iter().flat_map(|c| c.set.clone()).collect();
                possible.sort_unstable();
                possible.dedup();
                *element = ElementVerdict::Unsettled {
                    reason: Reason::Unfinished,
                    possible,
                };
            }
        }
        let elements = &verdict.elements;
        let proven = |factor| {
            elements.iter().any(|element| match element {
                ElementVerdict::Certified { culprits } => {
                    culprits.iter().any(|culprit| culprit.set.contains(&factor))
                }
                _ => false,
            })
        };
        for (factor, said) in verdict.factors.iter_mut().enumerate() {
            if *said == FactorVerdict::Culprit && !proven(factor) {
                *said = FactorVerdict::Unsettled;
            }
        }
        verdict
    }
}
