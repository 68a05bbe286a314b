//! About how many trials are left: the proofs of the likeliest explanations, and as many trials
//! besides as tell explanations apart or keep chance out. For a progress display; nothing is decided
//! by it.

use std::collections::BTreeSet;

use super::certificate;
use super::classify::{self, Progress, Purpose, Wanted};
use super::further;
use super::hypotheses::Hypothesis;
use super::log::Trial;
use super::set::Set;
use super::state::{State, halvings};
use super::types::{Observation, Step};
use super::view::{Class, View};
use crate::model::Row;

/// Culprits that a build is taken to have before anything is known.
const CULPRITS: usize = 2;

/// What the classes will need.
#[derive(Default)]
struct Need {
    /// Rows with the number of their copy.
    rows: BTreeSet<(Row, usize)>,
    /// Trials of any row, the same ones for all classes.
    besides: usize,
}

impl State<'_> {
    /// About how many trials are left.
    pub(super) fn left(&self) -> u32 {
        let Step::Run(next) = self.step() else {
            return 0;
        };
        let done = self.log.trials.len();
        let room = self.budget().saturating_sub(done);
        let needed = if self.all_varied().is_none() {
            let factors = self.options.factors.len();
            let halvings = usize::try_from(halvings(factors)).unwrap_or_default();
            (4 + halvings + 2 * CULPRITS.min(factors)).saturating_sub(done)
        } else if self.differs() {
            let masked = if self.options.thorough {
                self.masked_rows().len()
            } else {
                0
            };
            self.needed() + masked + further::left(self)
        } else {
            let repeats: usize = self.missing_repeats().iter().map(|(_, count)| count).sum();
            repeats + further::left(self)
        };
        u32::try_from(needed.max(next.len()).min(room)).unwrap_or(u32::MAX)
    }

    /// How many trials are left if nothing differs in them either.
    pub(super) fn if_clean(&self) -> Option<u32> {
        let built = |trial: &Trial| matches!(trial.result, Observation::Built(_));
        if self.differs() || !self.log.trials.values().all(built) {
            return None;
        }
        let repeats = if self.log.trials.is_empty() {
            2 * usize::try_from(self.options.repeats.max(1)).unwrap_or(usize::MAX)
        } else {
            self.missing_repeats().iter().map(|(_, count)| count).sum()
        };
        u32::try_from(repeats.saturating_add(further::left(self))).ok()
    }

    fn needed(&self) -> usize {
        let mut need = Need::default();
        for (index, view) in self.views.iter().enumerate() {
            // Each explanation is weighed as if those of the other classes were proven already.
            let likely = self.likeliest(index, view);
            for (number, progress) in self.progress_given(index, &likely) {
                let class = view.classes.get(number).filter(|class| class.active);
                let (Some(class), Progress::Needs(_) | Progress::Open(_)) = (class, &progress)
                else {
                    continue;
                };
                let (wanted, bits) = match progress {
                    Progress::Open(found) => {
                        let best = found.first().map(|best| best.sets(self.weights.len()));
                        let proofs = best.and_then(|sets| certificate::proofs(&sets, &view.top));
                        let proof = proofs.map(|proofs| self.proof(index, class, &proofs, &likely));
                        // An unsplit class may yet turn out to be several.
                        let more = usize::from(class.members.len() > 1);
                        (proof.unwrap_or_default(), bits(&found) + more)
                    }
                    Progress::Needs(wanted) => (wanted, 0),
                    Progress::Certified(_) | Progress::Unsettled(..) => continue,
                };
                need.add(wanted, bits, |set| view.scheme.row(set));
            }
        }
        need.rows.len() + need.besides
    }

    /// The sets of the likeliest explanations, where these are one set each.
    fn likeliest(&self, index: usize, view: &View) -> Vec<Set> {
        let setting = self.setting(index, &[], &[]);
        let active = view.classes.iter().filter(|class| class.active);
        let mut sets: Vec<Set> = active
            .filter_map(|class| classify::likeliest(view, class, &setting))
            .collect();
        sets.sort();
        sets.dedup();
        sets
    }

    /// What the proof of an explanation needs.
    fn proof(
        &self,
        index: usize,
        class: &Class,
        proofs: &[certificate::Proof],
        proven: &[Set],
    ) -> Vec<Wanted> {
        let Some(view) = self.views.get(index) else {
            return Vec::new();
        };
        match classify::prove(view, class, proofs, &self.setting(index, proven, proven)) {
            Progress::Needs(wanted) => wanted,
            _ => Vec::new(),
        }
    }
}

impl Need {
    /// Trials that tell explanations apart keep chance out, too.
    fn add(&mut self, wanted: Vec<Wanted>, bits: usize, row: impl Fn(&Set) -> Row) {
        let (besides, rows): (Vec<Wanted>, Vec<Wanted>) = wanted
            .into_iter()
            .partition(|wanted| wanted.purpose == Purpose::Spare);
        self.rows
            .extend(rows.iter().map(|wanted| (row(&wanted.set), wanted.copy)));
        self.besides = self.besides.max(besides.len()).max(bits);
    }
}

/// How many trials with two outcomes tell these explanations apart, on average.
fn bits(found: &[Hypothesis]) -> usize {
    let sum: f64 = found.iter().map(|hypothesis| hypothesis.weight).sum();
    let entropy: f64 = found
        .iter()
        .map(|hypothesis| hypothesis.weight / sum)
        .filter(|share| *share > 0.0)
        .map(|share| -share * share.log2())
        .sum();
    (0..64_u8)
        .find(|bits| f64::from(*bits) >= entropy)
        .map_or(64, usize::from)
}
