//! The smallest part of a level that suffices: for culprits whose level has parts, each part is tried
//! alone until it is known which one each element follows; everything else of the level is the
//! counterproof. The search is told of none of these trials.

use std::collections::{BTreeMap, BTreeSet};

use super::{Ended, Known, Looking, Open};
use crate::explain::PartFound;
use crate::model::{Acting, Asked, PartOf, TrialId};
use crate::search::{ElementVerdict, Verdict};

/// The parts that suffice, by element and variation.
pub type Found = BTreeMap<(usize, usize), PartFound>;

/// A level that is to blame for elements, alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    factor: usize,
    level: u8,
    elements: BTreeSet<usize>,
}

/// The levels behind all certified culprits of one variation, but for elements that are left out.
pub fn targets(
    known: Known<'_>,
    verdict: &Verdict,
    left_out: impl Fn(usize) -> bool,
) -> Vec<Target> {
    let mut targets: BTreeMap<usize, Target> = BTreeMap::new();
    for (number, said) in verdict.elements.iter().enumerate() {
        let ElementVerdict::Certified { culprits } = said else {
            continue;
        };
        if let [only] = culprits.as_slice()
            && let ([factor], [level]) = (only.set.as_slice(), only.levels.as_slice())
            && known.ledger.decides(number)
            && !left_out(number)
        {
            let target = targets.entry(*factor).or_insert_with(|| Target {
                factor: *factor,
                level: *level,
                elements: BTreeSet::new(),
            });
            if target.level == *level {
                target.elements.insert(number);
            }
        }
    }
    targets.into_values().collect()
}

/// The parts behind a level, as far as they are known; what is to be seen before more is, of which
/// `room` trials may be run.
pub fn parts(known: Known<'_>, target: &Target, room: usize, found: &mut Found) -> Vec<Asked> {
    let looking = Looking::new(known, room);
    // Where it is open, what was found before it stands.
    let _ = looking.parts(target, found);
    looking.wants()
}

impl Looking<'_> {
    fn parts(&self, target: &Target, found: &mut Found) -> Result<(), Open> {
        let mut open = target.elements.clone();
        let parts = self.known.plan.parts(target.factor, target.level);
        let mut names = parts.into_iter().map(|part| part.name);
        while let Some(name) = names.next().filter(|_| !open.is_empty()) {
            let only = PartOf::Only { name: name.clone() };
            let alone = match self.built_part(target, only) {
                Err(Open) => {
                    for name in names {
                        self.guess(&self.part(target, PartOf::Only { name }));
                    }
                    return Err(Open);
                }
                Ok(None) => continue,
                Ok(Some(alone)) => alone,
            };
            let follows: BTreeSet<usize> = open
                .iter()
                .copied()
                .filter(|number| self.known.ledger.shows(alone, *number) == Some(true))
                .collect();
            if follows.is_empty() {
                continue;
            }
            open.retain(|number| !follows.contains(number));
            self.confirm(target, &name, alone, &follows, found)?;
        }
        Ok(())
    }

    /// The counterproof: without the part, the elements are as in the control.
    fn confirm(
        &self,
        target: &Target,
        name: &str,
        alone: TrialId,
        follows: &BTreeSet<usize>,
        found: &mut Found,
    ) -> Result<(), Open> {
        let name = name.to_owned();
        let but = PartOf::AllBut { name: name.clone() };
        let Some(without) = self.built_part(target, but)? else {
            return Ok(());
        };
        for number in follows {
            if self.known.ledger.shows(without, *number) == Some(false) {
                let part = PartFound {
                    name: name.clone(),
                    differs: alone,
                    same: without,
                };
                found.insert((*number, target.factor), part);
            }
        }
        Ok(())
    }

    fn part(&self, target: &Target, part: PartOf) -> Asked {
        Asked {
            row: self.known.plan.alone(target.factor, target.level),
            acting: Acting::Part { part },
        }
    }

    /// The trial of a part, if it built.
    fn built_part(&self, target: &Target, part: PartOf) -> Result<Option<TrialId>, Open> {
        let ended = self.trial(&self.part(target, part))?;
        Ok(ended.and_then(Ended::built))
    }
}
