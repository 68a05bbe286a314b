//! What does away with the differences of a build: the remedies that fit are put around it all
//! together; where elements still differ the next ones are added; what is not needed is taken away
//! again; and what is left over is verified with other values, under everything that was tried and
//! under each culprit alone. The search is told of none of these trials.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::{Ended, Known, Looking, Open};
use crate::diff::{self, Judged};
use crate::formats::{self, Kind};
use crate::model::{
    Acting, Asked, Attempt, Change, Drawn, Element, Field, Row, Snapshot, TrialId, TrialResult,
    Value,
};

/// An element that differs because of a variation, and what may do away with it.
#[derive(Debug, Clone)]
pub struct Target {
    /// The element.
    pub element: Element,
    /// Numbers of attempts, the best one first.
    pub alternatives: Vec<usize>,
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// All that may be tried.
    pub attempts: Vec<Attempt>,
    /// What is to go away; an element stands here once for each variation that changes it.
    pub targets: Vec<Target>,
    /// Everything varied that has a part in the targets.
    pub everything: Row,
    /// Each culprit alone.
    pub culprits: Vec<Row>,
    /// The outputs and fields that are known to differ: a remedy may change these.
    pub named: BTreeSet<(String, Field)>,
    /// Which elements are compared.
    pub judged: Judged,
}

impl Question {
    /// What these attempts, by their numbers, change together.
    pub fn change(&self, chosen: &[usize]) -> Change {
        let mut change = Change::default();
        for attempt in chosen.iter().filter_map(|n| self.attempts.get(*n)) {
            let added = change.add(attempt);
            debug_assert!(added, "attempts that contradict each other are not chosen");
        }
        change
    }
}

/// What is known of it so far.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// The attempts that help, by their numbers.
    pub chosen: Vec<usize>,
    /// Targets that are the same in both builds with them.
    pub gone: BTreeSet<Element>,
    /// The others.
    pub left: BTreeSet<Element>,
    /// Attempts with which the build does not end, and the trials that show it.
    pub broke: Vec<(usize, TrialId)>,
    /// Attempts that change what is built by the mere fact that they are there, and the trials that show it.
    pub intrusive: Vec<(usize, TrialId)>,
    /// The trials that verified it: all of them had the same outputs.
    pub trials: Vec<TrialId>,
    /// What differs between two trials with the remedy, where something that is to be gone does.
    pub parted: Option<(TrialId, Element)>,
    /// What the remedy changes besides what differed.
    pub also: BTreeSet<Element>,
    /// All trials that are needed were run.
    pub complete: bool,
}

/// What two builds with attempts showed.
enum Effect {
    /// One of them did not end well.
    Failed(TrialId),
    /// The targets that are the same in both, and the others.
    Built {
        gone: BTreeSet<Element>,
        left: BTreeSet<Element>,
    },
}

/// What does away with the targets, as far as it is known; what is to be seen before more is, of which
/// `room` trials may be run.
pub fn fix(known: Known<'_>, question: &Question, room: usize, said: &mut Said) -> Vec<Asked> {
    let asking = Asking {
        looking: Looking::new(known, room),
        question,
    };
    // Where it is open, what was found before it stands.
    let _ = asking.fix(said);
    asking.looking.wants()
}

struct Asking<'q, 'k> {
    looking: Looking<'k>,
    question: &'q Question,
}

impl<'k> Asking<'_, 'k> {
    fn fix(&self, said: &mut Said) -> Result<(), Open> {
        if !self.choose(said)? {
            return Ok(());
        }
        self.drop_what_helps_nothing(said);
        if !self.drop_what_is_not_neutral(said)? {
            return Ok(());
        }
        if said.chosen.is_empty() {
            said.complete = true;
            return Ok(());
        }
        self.minimise(said)?;
        self.verify(said)
    }

    /// Adds attempts until nothing is left, or there are no more; false where the trials ended before.
    fn choose(&self, said: &mut Said) -> Result<bool, Open> {
        let targets = &self.question.targets;
        let mut next = vec![0; targets.len()];
        said.left = targets.iter().map(|t| t.element.clone()).collect();
        loop {
            if !self.advance(&mut next, said) {
                return Ok(true);
            }
            if !self.settle(said)? {
                return Ok(false);
            }
        }
    }

    /// What the chosen attempts do, without those that break the build; false where the trials ended before.
    fn settle(&self, said: &mut Said) -> Result<bool, Open> {
        while !said.chosen.is_empty() {
            match self.effect(&said.chosen)? {
                None => return Ok(false),
                Some(Effect::Built { gone, left }) => {
                    (said.gone, said.left) = (gone, left);
                    return Ok(true);
                }
                Some(Effect::Failed(trial)) => {
                    if !self.leave_out_what_breaks(trial, said)? {
                        return Ok(false);
                    }
                }
            }
        }
        said.left.append(&mut said.gone);
        Ok(true)
    }

    /// Adds the next attempt for each element that is left; false where there is none.
    fn advance(&self, next: &mut [usize], said: &mut Said) -> bool {
        let before = said.chosen.len();
        for (target, next) in self.question.targets.iter().zip(next) {
            if !said.left.contains(&target.element) {
                continue;
            }
            while let Some(attempt) = target.alternatives.get(*next).copied() {
                *next += 1;
                let broke = said.broke.iter().any(|(broke, _)| *broke == attempt);
                match said.chosen.iter().position(|chosen| *chosen == attempt) {
                    // It had its chance.
                    Some(at) if at < before => {}
                    // Another target has brought it in.
                    Some(_) => break,
                    None if !broke && self.fits(&said.chosen, attempt) => {
                        said.chosen.push(attempt);
                        break;
                    }
                    None => {}
                }
            }
        }
        said.chosen.len() > before
    }

    fn fits(&self, chosen: &[usize], attempt: usize) -> bool {
        let mut change = self.question.change(chosen);
        let attempt = self.question.attempts.get(attempt);
        attempt.is_some_and(|attempt| change.add(attempt))
    }

    fn asked(&self, row: &Row, chosen: &[usize], drawn: Drawn) -> Asked {
        Asked {
            row: row.clone(),
            acting: Acting::Remedied {
                change: self.question.change(chosen),
                drawn,
            },
        }
    }

    fn control(&self, chosen: &[usize]) -> Asked {
        let row = self.looking.known.plan.control_row();
        self.asked(&row, chosen, Drawn::Here)
    }

    /// What becomes of the targets with these attempts.
    fn effect(&self, chosen: &[usize]) -> Result<Option<Effect>, Open> {
        let varied = self.asked(&self.question.everything, chosen, Drawn::Here);
        let control = self.looking.trial(&self.control(chosen));
        let varied = self.looking.trial(&varied);
        let (Some(control), Some(varied)) = (control?, varied?) else {
            return Ok(None);
        };
        let [Some(own), Some(other)] = [control, varied].map(Ended::remedied) else {
            let failed = if control.record.result == TrialResult::Built {
                varied
            } else {
                control
            };
            return Ok(Some(Effect::Failed(failed.id())));
        };
        let seen = diff::compare(&own, &other, self.question.judged).seen;
        let is_gone = |element: &Element| {
            let output = element.output();
            let made = |snapshot: &Snapshot| snapshot.outputs.contains_key(output);
            !seen.contains_key(element) && made(&own) && made(&other)
        };
        let elements = self.question.targets.iter().map(|t| t.element.clone());
        let (gone, left) = elements.partition(is_gone);
        Ok(Some(Effect::Built { gone, left }))
    }

    /// Leaves out the attempts that break the build by themselves, or else the one that came last; false
    /// where the trials ended before.
    fn leave_out_what_breaks(&self, trial: TrialId, said: &mut Said) -> Result<bool, Open> {
        if let [only] = said.chosen.as_slice() {
            said.broke.push((*only, trial));
            said.chosen.clear();
            return Ok(true);
        }
        let alone = said.chosen.iter();
        let alone = alone.map(|n| (*n, self.looking.trial(&self.control(&[*n]))));
        // All of them are wanted at once.
        let ended: Vec<_> = alone.collect();
        let before = said.broke.len();
        for (attempt, ended) in ended {
            let Some(ended) = ended? else {
                return Ok(false);
            };
            if ended.record.result != TrialResult::Built {
                said.broke.push((attempt, ended.id()));
            }
        }
        if said.broke.len() == before {
            said.broke
                .extend(said.chosen.last().map(|last| (*last, trial)));
        }
        let broke: BTreeSet<usize> = said.broke.iter().map(|(attempt, _)| *attempt).collect();
        said.chosen.retain(|attempt| !broke.contains(attempt));
        Ok(true)
    }

    /// The elements that an attempt is for.
    fn elements_of(&self, attempt: usize) -> BTreeSet<&Element> {
        let targets = self.question.targets.iter();
        let of = targets.filter(|target| target.alternatives.contains(&attempt));
        of.map(|target| &target.element).collect()
    }

    fn drop_what_helps_nothing(&self, said: &mut Said) {
        let helps = |attempt: &usize| {
            let mut elements = self.elements_of(*attempt).into_iter();
            elements.any(|element| said.gone.contains(element))
        };
        let helping = said.chosen.iter().copied().filter(helps).collect();
        said.chosen = helping;
    }

    /// Leaves out the attempts that change the build by the mere fact that they are there; false where
    /// the trials ended before.
    fn drop_what_is_not_neutral(&self, said: &mut Said) -> Result<bool, Open> {
        let mut others = Vec::new();
        for number in &said.chosen {
            let attempt = self.question.attempts.get(*number);
            if let Some(Attempt::Before {
                neutral: Some(line),
                ..
            }) = attempt
            {
                let change = Change {
                    before: vec![line.clone()],
                    ..Change::default()
                };
                let row = self.looking.known.plan.control_row();
                let drawn = Drawn::Here;
                let acting = Acting::Remedied { change, drawn };
                others.push((*number, self.looking.trial(&Asked { row, acting })));
            }
        }
        for (number, ended) in others {
            let Some(ended) = ended? else {
                return Ok(false);
            };
            let control = self.looking.known.ledger.control();
            let is_neutral = control.zip(ended.remedied()).is_some_and(|(own, other)| {
                let compared = diff::compare(own, &other, self.question.judged);
                !compared.differing().any(|element| decides(own, element))
            });
            if !is_neutral {
                said.intrusive.push((number, ended.id()));
            }
        }
        if said.intrusive.is_empty() {
            return Ok(true);
        }
        let intrusive = said.intrusive.iter().map(|(number, _)| *number);
        let intrusive: BTreeSet<usize> = intrusive.collect();
        said.chosen.retain(|number| !intrusive.contains(number));
        self.settle(said)
    }

    /// Leaves out one attempt after the other where another one speaks about the same elements, the
    /// last one first.
    fn minimise(&self, said: &mut Said) -> Result<(), Open> {
        for attempt in said.chosen.clone().into_iter().rev() {
            let others: Vec<usize> = said
                .chosen
                .iter()
                .copied()
                .filter(|n| *n != attempt)
                .collect();
            let covered: BTreeSet<&Element> = others
                .iter()
                .flat_map(|other| self.elements_of(*other))
                .collect();
            let own = self.elements_of(attempt).into_iter();
            let mut own = own.filter(|element| said.gone.contains(*element));
            if others.is_empty() || !own.all(|element| covered.contains(element)) {
                continue;
            }
            if let Some(Effect::Built { gone, left }) = self.effect(&others)?
                && left.is_subset(&said.left)
            {
                said.chosen = others;
                (said.gone, said.left) = (gone, left);
            }
        }
        Ok(())
    }

    /// Whether all trials with other values make the same of what is gone.
    fn verify(&self, said: &mut Said) -> Result<(), Open> {
        let known = self.looking.known;
        let control = known.plan.control_row();
        let again = self.asked(&control, &said.chosen, Drawn::ElsewhereAgain);
        let mut rows: BTreeSet<Row> = self.question.culprits.iter().cloned().collect();
        rows.extend([control, self.question.everything.clone()]);
        rows.extend([1, 2].iter().filter_map(|level| self.widest(*level)));
        let rows = rows.iter();
        let rows = rows.map(|row| self.asked(row, &said.chosen, Drawn::Elsewhere));
        let asked: Vec<Asked> = rows.chain([again]).collect();
        // What effects were seen of was built, but for attempts that were left out since.
        let own = self.looking.trial(&self.control(&said.chosen));
        let ended: Vec<_> = asked
            .iter()
            .map(|asked| self.looking.trial(asked))
            .collect();
        let Some(own) = own? else {
            return Ok(());
        };
        let ended: Vec<Option<&'k Ended>> = ended.into_iter().collect::<Result<_, Open>>()?;
        let Some(ended) = ended.into_iter().collect::<Option<Vec<_>>>() else {
            return Ok(());
        };
        let Some(first) = own.remedied() else {
            return Ok(());
        };
        said.complete = true;
        said.also = self.also(&first);
        said.trials.push(own.id());
        for ended in ended {
            said.trials.push(ended.id());
            if said.parted.is_none() {
                let parted = self.parted(&first, ended.remedied(), &said.left);
                said.parted = parted.map(|element| (ended.id(), element));
            }
        }
        Ok(())
    }

    /// The row that was built in which the most variations stand at this level.
    fn widest(&self, level: u8) -> Option<Row> {
        let at = |row: &Row| {
            row.varied()
                .filter(|factor| row.0.get(*factor) == Some(&level))
                .count()
        };
        let whole = |ended: &&Ended| ended.asked.acting == Acting::Whole;
        let rows = self.looking.known.trials.iter().filter(whole);
        let rows = rows.filter(|ended| ended.built().is_some());
        let rows = rows.map(|ended| &ended.asked.row).filter(|row| at(row) > 0);
        rows.max_by_key(|row| at(row)).cloned()
    }

    /// What two trials with the remedy make otherwise, but for what is known to be left.
    fn parted(
        &self,
        first: &Snapshot,
        other: Option<Rc<Snapshot>>,
        left: &BTreeSet<Element>,
    ) -> Option<Element> {
        let built = || Element::new("the build", Field::PRESENCE);
        let Some(other) = other else {
            return Some(built());
        };
        let compared = diff::compare(first, &other, self.question.judged);
        // Where something is left, what is around it differs, too.
        let is_left = |element: &Element| {
            let inside = format!("{}!/", element.path);
            left.contains(element) || left.iter().any(|left| left.path.starts_with(&inside))
        };
        let mut differing = compared.differing();
        differing
            .find(|element| decides(first, element) && !is_left(element))
            .cloned()
    }

    /// What the remedy changes in the unvaried build besides what differed, and outputs that are
    /// missing or empty with it.
    fn also(&self, remedied: &Snapshot) -> BTreeSet<Element> {
        let Some(control) = self.looking.known.ledger.control() else {
            return BTreeSet::new();
        };
        let compared = diff::compare(control, remedied, self.question.judged);
        let is_named = |element: &Element| {
            let key = (element.output().to_owned(), element.field.clone());
            self.question.named.contains(&key)
        };
        // A header that says nothing of what is inside may go.
        let is_header = |element: &Element| formats::kind(&element.field) == Kind::Header;
        let counts = |element: &&Element| {
            decides(control, element) && !is_named(element) && !is_header(element)
        };
        let changed = compared.differing().filter(counts);
        let empty = |output: &String| {
            let content = Element::new(output.as_str(), Field::CONTENT);
            let size = |snapshot: &Snapshot| match snapshot.elements.get(&content) {
                Some(Value::Digest { size, .. }) => Some(*size),
                _ => None,
            };
            (size(remedied) == Some(0) && size(control) != Some(0)).then_some(content)
        };
        let empty = control.outputs.keys().filter_map(empty);
        changed.cloned().chain(empty).collect()
    }
}

/// Whether the output that an element belongs to decides.
fn decides(snapshot: &Snapshot, element: &Element) -> bool {
    let decides = snapshot.outputs.get(element.output());
    decides.is_none_or(|decides| *decides)
}
