//! Which variations change an element only by where memory lies. An address that goes into an output
//! is what random addresses vary. Under fixed ones the stack stands below the variables and the
//! arguments of a program, so that whoever makes these longer moves it, and is not to blame: where the
//! stack is put back, the element is the control's.

use std::collections::BTreeMap;

use super::run::Session;
use super::{Error, Left};
use crate::explain::Folded;
use crate::inquiry::Ended;
use crate::model::{Acting, Asked, PartOf, Reading, Row, Setting, Slot, TrialId, TrialKind};
use crate::search::{Certified, ElementVerdict};

/// So many places to which the stack was moved are tried for one level: programs that are called by
/// other names have it in other places.
const SHIFTS: usize = 3;

/// An element that random addresses change, and another variation as well.
struct Moved {
    element: usize,
    /// The trial in which the other one alone varied.
    alone: TrialId,
}

impl Session<'_> {
    /// Folds into random addresses what acts by the layout of memory alone.
    pub(super) fn fold_layout(&mut self) -> Result<(), Error> {
        let Some(aslr) = self.random_addresses() else {
            return Ok(());
        };
        for ((factor, level), moved) in self.moved(aslr) {
            let mut open = Vec::new();
            for one in moved {
                if self.pages_explain(one.element, one.alone) {
                    self.fold(&[one.element], factor, aslr, one.alone);
                } else {
                    open.push(one.element);
                }
            }
            self.put_back(factor, level, aslr, open)?;
        }
        Ok(())
    }

    /// What random addresses change and another level that can move memory changes, too, by that
    /// level.
    fn moved(&self, aslr: usize) -> BTreeMap<(usize, u8), Vec<Moved>> {
        let mut all: BTreeMap<_, Vec<Moved>> = BTreeMap::new();
        for (element, said) in self.search.verdict().elements.iter().enumerate() {
            let ElementVerdict::Certified { culprits } = said else {
                continue;
            };
            let alone = |culprit: &Certified| culprit.set == [aslr];
            if !self.ledger.decides(element) || !culprits.iter().any(alone) {
                continue;
            }
            for culprit in culprits {
                let ([factor], [level]) = (culprit.set.as_slice(), culprit.levels.as_slice())
                else {
                    continue;
                };
                let alone = culprit.shown_by();
                if let Some(alone) = alone.filter(|_| self.may_move_memory(*factor)) {
                    let moved = all.entry((*factor, *level)).or_default();
                    moved.push(Moved { element, alone });
                }
            }
        }
        all
    }

    fn may_move_memory(&self, factor: usize) -> bool {
        let variation = self.plan.variations.get(factor);
        let slots = variation.iter().flat_map(|v| &v.control.settings);
        slots.map(Setting::slot).any(Slot::moves_memory)
    }

    /// Runs the level with the stack where the control has it, and folds what is the control's then.
    fn put_back(
        &mut self,
        factor: usize,
        level: u8,
        aslr: usize,
        mut open: Vec<usize>,
    ) -> Result<(), Error> {
        if open.is_empty() {
            return Ok(());
        }
        let row = self.plan.alone(factor, level);
        for by in self.stack_moved_by(&row)? {
            let Some(trial) = self.try_part(factor, level, PartOf::Stack { by })? else {
                continue;
            };
            let is_back = |number: &usize| self.ledger.shows(trial, *number) == Some(false);
            let (back, rest) = open.into_iter().partition::<Vec<_>, _>(is_back);
            self.fold(&back, factor, aslr, trial);
            open = rest;
            if open.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// What a variation does to these elements is told of another one, as a trial shows.
    pub(super) fn fold(&mut self, elements: &[usize], factor: usize, into: usize, trial: TrialId) {
        for element in elements {
            let folded = Folded {
                into,
                trial,
                is_all: true,
            };
            self.folded.insert((*element, vec![factor]), folded);
        }
    }

    /// By how many bytes the stacks of programs begin higher under a row than in the control, the
    /// commonest first.
    fn stack_moved_by(&mut self, row: &Row) -> Result<Vec<i64>, Error> {
        let own = self.stacks(&Row::control(row.0.len()))?;
        let other = self.stacks(row)?;
        let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
        for (name, stack) in &other {
            if let Some(own) = own.get(name).filter(|own| *own != stack) {
                *counts
                    .entry(stack.wrapping_sub(*own).cast_signed())
                    .or_default() += 1;
            }
        }
        let mut counts: Vec<(i64, usize)> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let shifts = counts.into_iter().map(|(by, _)| by);
        Ok(shifts.take(SHIFTS).collect())
    }

    /// Where the stack of each program of the build begins, by the name of its process.
    fn stacks(&mut self, row: &Row) -> Result<BTreeMap<u64, u64>, Error> {
        let asked = Asked {
            row: row.clone(),
            acting: Acting::Witnessed,
        };
        let ended = self.once(&asked, TrialKind::Location, Left::AtMost(0))?;
        let Some(glimpse) = ended.and_then(Ended::glimpse) else {
            return Ok(BTreeMap::new());
        };
        let stacks = glimpse.lines.iter().filter_map(|line| match line {
            Reading::Process(process) => Some((process.name, process.stack?)),
            Reading::Read { .. } => None,
        });
        Ok(stacks.collect())
    }
}
