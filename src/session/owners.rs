//! What `user` does through the owners of the sources alone is `source-owner`'s: who builds owns
//! what he has checked out. After the search, the elements for which both were certified are looked
//! at in one more trial, in which another user builds and the sources keep their owners. The search
//! is not told of it.

use std::collections::BTreeSet;

use super::Error;
use super::run::Session;
use crate::model::{PartOf, Slot};
use crate::search::ElementVerdict;

impl Session<'_> {
    /// Finds the elements on which the user acts through the owners of the sources alone.
    pub(super) fn tell_owners_apart(&mut self) -> Result<(), Error> {
        let filling = |slot| self.plan.filling(slot);
        let (Some(user), Some(owner)) = (filling(Slot::User), filling(Slot::SourceOwner)) else {
            return Ok(());
        };
        let verdict = self.search.verdict();
        let mut elements = BTreeSet::new();
        let mut level = None;
        for (number, said) in verdict.elements.iter().enumerate() {
            let ElementVerdict::Certified { culprits } = said else {
                continue;
            };
            let alone = |factor: usize| culprits.iter().find(|culprit| culprit.set == [factor]);
            if let (Some(by_user), Some(_)) = (alone(user), alone(owner)) {
                level = by_user.levels.first().copied().or(level);
                elements.insert(number);
            }
        }
        let Some(level) = level else {
            return Ok(());
        };
        let Some(kept) = self.try_part(user, level, PartOf::ButOwners)? else {
            return Ok(());
        };
        let through = |number: &usize| self.ledger.shows(kept, *number) == Some(false);
        let through: Vec<usize> = elements.into_iter().filter(through).collect();
        self.fold(&through, user, owner, kept);
        Ok(())
    }
}
