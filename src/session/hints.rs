//! Hints for the search: elements that hold values which the levels of a trial chose.

use super::run::Session;
use crate::explain::Marks;
use crate::model::{Field, Row, TrialId};
use crate::search::Seen;

/// Into so many elements of one trial it is looked.
const MOST: usize = 400;

impl Session<'_> {
    /// Looks into the elements that differ in a trial in which nearly everything varies, once into
    /// each, and tells the search what it found.
    pub(super) fn look_for_marks(&mut self, trial: TrialId, row: &Row, seen: &[Seen]) {
        let varied = row.varied().count();
        let most = self.plan.variations.len().saturating_sub(2);
        let Some(control) = self.ledger.control_trial() else {
            return;
        };
        if varied < most.max(2) {
            return;
        }
        let mut marks = None;
        let numbers = (0..seen.len()).filter(|number| {
            let known = self.hinted.contains(number);
            !known && seen.get(*number).is_some_and(|seen| seen.differs())
        });
        let numbers: Vec<usize> = numbers.take(MOST).collect();
        for number in numbers {
            self.hinted.insert(number);
            let Some(element) = self.ledger.elements().get(number) else {
                continue;
            };
            let marks = marks.get_or_insert_with(|| Marks::of(&self.plan, row));
            let factors = if element.field == Field::CONTENT {
                let bytes = |trial| self.contents.bytes(trial, &element.path);
                match (bytes(control), bytes(trial)) {
                    (Some(control), Some(varied)) => marks.found(&control, &varied),
                    _ => continue,
                }
            } else {
                let values = self.ledger.control_value(number);
                match values.zip(self.ledger.value_in(number, trial)) {
                    Some((control, varied)) => marks.in_values(control, varied),
                    None => continue,
                }
            };
            let Ok(number) = u32::try_from(number) else {
                continue;
            };
            for factor in factors {
                self.search.hint(number, factor);
            }
        }
    }
}
