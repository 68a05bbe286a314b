//! `--fix`: which remedies fit what was found, the trials that try them, and what is said of them in
//! the end.

use std::collections::BTreeSet;

use super::Error;
use super::run::Session;
use crate::diff::Judged;
use crate::formats;
use crate::inquiry::fix::{self, Question, Said, Target};
use crate::model::{
    Attempt, Culprit, Element, Field, Finding, FindingState, Findings, Fix, FixChange, FixState,
    Place, RemedyText, TrialKind, Verdict, quoted,
};

/// So many trials may be run besides as many as were run before.
const BESIDES: usize = 8;
/// So many elements are named in a sentence.
const NAMED: usize = 3;

/// The remedies for one session, and what each of them is for.
struct Remedies {
    question: Question,
    /// For each attempt, the variations against which it is to help.
    against: Vec<BTreeSet<String>>,
    /// Variables that the user sets, and that would have been tried.
    kept: BTreeSet<String>,
}

impl Session<'_> {
    /// Tries remedies for what was found, and adds what became of it to the findings.
    pub(super) fn fix(&mut self, findings: &mut Findings) -> Result<(), Error> {
        if let Some(why) = nothing_to_fix(findings) {
            findings.fix = Some(nothing(why));
            return Ok(());
        }
        let remedies = self.remedies(findings);
        if remedies.question.attempts.is_empty() {
            let why = "no remedy that can be tried is known for what differs".to_owned();
            findings.fix = Some(nothing(with_kept(why, &remedies.kept)));
            return Ok(());
        }
        let most = self.trials.count() + BESIDES;
        let (said, ended) = self.ask(TrialKind::Remedy, most, |session, room, said: &mut Said| {
            vec![fix::fix(session.known(), &remedies.question, room, said)]
        });
        let mut fix = remedies.conclude(&said, findings);
        self.say_what_is_given(&mut fix);
        if ended.as_ref().is_err_and(Error::is_stop) {
            fix.why = String::from("it was stopped before the remedies were tried to the end");
        }
        mark(findings, &fix, &said);
        findings.fix = Some(fix);
        ended
    }

    /// Adds what the script does not set, and what it does to the tree.
    fn say_what_is_given(&self, fix: &mut Fix) {
        if fix.changes.is_empty() {
            self.say_what_is_not_seen(fix);
            return;
        }
        let given: Vec<&str> = self
            .options
            .build
            .variables
            .keys()
            .map(String::as_str)
            .collect();
        if !given.is_empty() {
            let given = given.join(", ");
            fix.why = format!(
                "{}; {given} must be set as here (--env, --pass-env)",
                fix.why
            );
        }
        if self.options.prepare.is_some() {
            fix.why = format!("{}; what --prepare did comes before", fix.why);
        }
        self.say_what_is_not_seen(fix);
        let changes_files = |line: &String| line.contains("touch ") || line.contains("chmod ");
        if fix.before.iter().any(changes_files) {
            fix.why = format!(
                "{}; the script changes times or modes of the files of the tree: run it in a copy",
                fix.why
            );
        }
    }

    /// Says where a normaliser might have helped, and could not be tried.
    fn say_what_is_not_seen(&self, fix: &mut Fix) {
        let is_packing =
            |place: &Place| formats::pass(&Field::from(place.field.as_str())).is_some();
        if !self.can_normalize() && fix.left.iter().any(is_packing) {
            fix.why = format!(
                "{}; reprobe normalize was not tried, for builds do not see {}",
                fix.why,
                self.options.sandbox.program.display()
            );
        }
    }

    /// What may be tried: for each element and variation the remedies that its finding names, then
    /// those of the variation for such a field of whoever made it, and in the end a normaliser.
    fn remedies(&self, findings: &Findings) -> Remedies {
        let mut remedies = Remedies {
            question: Question {
                attempts: Vec::new(),
                targets: Vec::new(),
                everything: self.plan.control_row(),
                culprits: Vec::new(),
                named: BTreeSet::new(),
                judged: Judged {
                    metadata: self.options.metadata,
                },
            },
            against: Vec::new(),
            kept: BTreeSet::new(),
        };
        for finding in &findings.findings {
            let field = Field::from(finding.field.as_str());
            let element = Element::new(finding.element.as_str(), field);
            let key = (element.output().to_owned(), element.field.clone());
            remedies.question.named.insert(key);
            if !is_target(finding) || !self.decides(&element) {
                continue;
            }
            for culprit in &finding.culprits {
                self.vary(culprit, &mut remedies.question);
                for name in &culprit.variations {
                    let alternatives = self.alternatives(finding, &element, name, &mut remedies);
                    remedies.question.targets.push(Target {
                        element: element.clone(),
                        alternatives,
                    });
                }
            }
        }
        remedies
    }

    fn decides(&self, element: &Element) -> bool {
        let number = self.ledger.number_of(element);
        number.is_some_and(|number| self.ledger.decides(number))
    }

    /// Adds a culprit to what is varied.
    fn vary(&self, culprit: &Culprit, question: &mut Question) {
        // The plan has all levels that culprits name.
        let Some(alone) = self.plan.row(&culprit.levels) else {
            return;
        };
        for (level, slot) in alone.0.iter().zip(&mut question.everything.0) {
            if *level != 0 {
                *slot = *level;
            }
        }
        if !question.culprits.contains(&alone) {
            question.culprits.push(alone);
        }
    }

    fn alternatives(
        &self,
        finding: &Finding,
        element: &Element,
        variation: &str,
        remedies: &mut Remedies,
    ) -> Vec<usize> {
        let of = |name: &Option<String>| name.as_deref() == Some(variation);
        let own = finding
            .remedies
            .iter()
            .filter(|remedy| of(&remedy.variation));
        let own = own.filter_map(|remedy| remedy.attempt.clone());
        let known = self.plan.variations.iter();
        let known = known.filter(|known| known.name == variation);
        let others = known.flat_map(|known| &known.remedies);
        // What is for other programs would only cost trials.
        let fits = |remedy: &&RemedyText| {
            remedy.made_by.is_empty() && remedy.shows.is_none() && remedy.applies_to(&element.field)
        };
        let others = others.filter(fits);
        let others = others.filter_map(|remedy| remedy.r#try.clone());
        let (mut own, mut others): (Vec<_>, Vec<_>) = (own.collect(), others.collect());
        // The classes stand in the order in which they are preferred.
        own.sort_by_key(class);
        others.sort_by_key(class);
        let normalize = formats::pass(&element.field).filter(|_| self.can_normalize());
        let normalize = normalize.map(|_| Attempt::Normalize {
            output: element.output().to_owned(),
        });
        let mut alternatives = Vec::new();
        for attempt in own.into_iter().chain(others).chain(normalize) {
            if let Some(number) = self.number(attempt, variation, remedies)
                && !alternatives.contains(&number)
            {
                alternatives.push(number);
            }
        }
        alternatives
    }

    /// Whether builds see this program: they have temporary directories of their own, and homes that
    /// are nearly empty.
    fn can_normalize(&self) -> bool {
        let program = &self.options.sandbox.program;
        let is_temporary = ["/tmp", "/var/tmp"]
            .iter()
            .any(|dir| program.starts_with(dir));
        !is_temporary && !self.sandbox.hides(program)
    }

    /// The number of an attempt; `None` where the user says himself what it would set.
    fn number(&self, attempt: Attempt, variation: &str, remedies: &mut Remedies) -> Option<usize> {
        if let Attempt::Variables { set } = &attempt {
            let given = &self.options.build.variables;
            let own: Vec<&String> = set
                .keys()
                .filter(|name| given.contains_key(*name))
                .collect();
            if !own.is_empty() {
                remedies.kept.extend(own.into_iter().cloned());
                return None;
            }
        }
        let attempts = &mut remedies.question.attempts;
        let known = attempts.iter().position(|known| *known == attempt);
        let number = known.unwrap_or_else(|| {
            attempts.push(attempt);
            remedies.against.push(BTreeSet::new());
            attempts.len() - 1
        });
        if let Some(against) = remedies.against.get_mut(number) {
            against.insert(variation.to_owned());
        }
        Some(number)
    }
}

impl Remedies {
    /// Says which attempts were refused for what they change besides.
    fn with_intrusive(&self, why: String, said: &Said) -> String {
        let mut why = why;
        for (number, trial) in &said.intrusive {
            if let Some(Attempt::Before { line, .. }) = self.question.attempts.get(*number) {
                why = format!(
                    "{why}; `{line}` would do more than that: a line of its kind that helps nothing changes the outputs as well (trial {})",
                    trial.0
                );
            }
        }
        why
    }

    fn conclude(&self, said: &Said, findings: &Findings) -> Fix {
        let chosen: Vec<(&Attempt, &BTreeSet<String>)> = said
            .chosen
            .iter()
            .filter_map(|n| self.question.attempts.get(*n).zip(self.against.get(*n)))
            .collect();
        let change = self.question.change(&said.chosen);
        let [before, after] = change.lines();
        let mut left: Vec<Place> = said.left.iter().map(place).collect();
        let others = findings.findings.iter().filter(|finding| is_open(finding));
        left.extend(others.map(|finding| Place {
            element: finding.element.clone(),
            field: finding.field.clone(),
        }));
        let normalizes = !change.normalized.is_empty();
        let (state, why) = state(said, &left, normalizes);
        Fix {
            state,
            why: self.with_intrusive(with_broken(with_kept(why, &self.kept), said), said),
            changes: chosen
                .into_iter()
                .map(|(attempt, against)| FixChange {
                    attempt: attempt.clone(),
                    variations: against.iter().cloned().collect(),
                })
                .collect(),
            script: script(&before, &findings.build.command, &after),
            before,
            after,
            trials: said.trials.clone(),
            left,
        }
    }
}

/// How far it goes, and why it is said.
fn state(said: &Said, left: &[Place], normalizes: bool) -> (FixState, String) {
    let gone = said.gone.len();
    let all = gone + left.len();
    if said.chosen.is_empty() {
        let why = if said.complete || gone + said.left.len() == 0 {
            "nothing that was tried does away with a difference"
        } else {
            "the trials that are allowed ended before anything was found to help"
        };
        return (FixState::Nothing, why.to_owned());
    }
    if let Some((trial, element)) = &said.parted {
        let why = format!(
            "it helps with the values of this session, and in trial {} {} differs all the same",
            trial.0,
            named(element)
        );
        return (FixState::Unproven, why);
    }
    if !said.complete {
        let why = "it helps, but the trials that are allowed ended before it was verified";
        return (FixState::Unproven, why.to_owned());
    }
    if !normalizes && !said.also.is_empty() {
        let shown: Vec<String> = said.also.iter().take(NAMED).map(named).collect();
        let more = said.also.len().saturating_sub(NAMED);
        let more = if more > 0 {
            format!(", {more} more")
        } else {
            String::new()
        };
        let why = format!(
            "it helps, and changes what did not differ as well: {}{more}",
            shown.join(", ")
        );
        return (FixState::Unproven, why);
    }
    let trials = said.trials.len();
    if !left.is_empty() {
        let why = format!(
            "{gone} of {all} differing elements are the same in {trials} trials, at two moments and with other names; the others need more"
        );
        return (FixState::Partly, why);
    }
    let why = format!(
        "all outputs are the same in {trials} trials: unvaried, under everything that was varied, under each culprit alone, at two moments and with other names"
    );
    let state = if normalizes {
        FixState::Normalized
    } else {
        FixState::Verified
    };
    (state, why)
}

/// The build with lines around it, as a script that changes nothing of the shell that it is pasted to:
/// what the build does to its own shell (`cd`, `exec`, jobs) ends with it.
fn script(before: &[String], command: &[String], after: &[String]) -> String {
    if before.is_empty() && after.is_empty() {
        return String::new();
    }
    let build = match command {
        [shell, flags, line] if shell == "sh" && flags == "-ec" => line.clone(),
        words => {
            let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
            words.join(" ")
        }
    };
    let lines = ["(set -e".to_owned()]
        .into_iter()
        .chain(before.iter().cloned());
    let build = ["(".to_owned(), build, ")".to_owned()];
    let lines = lines.chain(build).chain(after.iter().cloned());
    let lines: Vec<String> = lines.chain([")".to_owned()]).collect();
    lines.join("\n")
}

/// Why there is nothing to try.
fn nothing_to_fix(findings: &Findings) -> Option<String> {
    match findings.verdict {
        Verdict::Reproducible => Some("nothing differs that decides".to_owned()),
        Verdict::Inconclusive => Some("the check could not decide what differs".to_owned()),
        Verdict::NotReproducible if !findings.complete => {
            Some("the check was stopped before everything was known".to_owned())
        }
        Verdict::NotReproducible => {
            let known = findings.findings.iter().any(is_target);
            (!known).then(|| {
                "what differs is unstable or unsettled: no remedy could be told to help".to_owned()
            })
        }
    }
}

fn nothing(why: String) -> Fix {
    Fix {
        state: FixState::Nothing,
        why,
        changes: Vec::new(),
        before: Vec::new(),
        after: Vec::new(),
        script: String::new(),
        trials: Vec::new(),
        left: Vec::new(),
    }
}

fn with_kept(why: String, kept: &BTreeSet<String>) -> String {
    if kept.is_empty() {
        return why;
    }
    let names: Vec<&str> = kept.iter().map(String::as_str).collect();
    format!("{why}; {} stays as the build has it", names.join(", "))
}

fn with_broken(why: String, said: &Said) -> String {
    if said.broke.is_empty() {
        return why;
    }
    let trials: Vec<String> = said
        .broke
        .iter()
        .map(|(_, trial)| trial.0.to_string())
        .collect();
    let (count, trials) = (trials.len(), trials.join(", "));
    format!("{why}; the build fails with {count} of the remedies (trials {trials})")
}

/// Marks the remedies that were verified.
fn mark(findings: &mut Findings, fix: &Fix, said: &Said) {
    if !matches!(fix.state, FixState::Verified | FixState::Partly) {
        return;
    }
    let chosen: Vec<&Attempt> = fix.changes.iter().map(|change| &change.attempt).collect();
    for finding in &mut findings.findings {
        let field = Field::from(finding.field.as_str());
        if said
            .gone
            .contains(&Element::new(finding.element.as_str(), field))
        {
            for remedy in &mut finding.remedies {
                remedy.verified |= remedy.attempt.iter().any(|own| chosen.contains(&own));
            }
        }
    }
}

fn is_target(finding: &Finding) -> bool {
    finding.state == FindingState::Certified && !finding.culprits.is_empty()
}

/// Differs, and no remedy can be told for it.
fn is_open(finding: &Finding) -> bool {
    matches!(
        finding.state,
        FindingState::Unstable | FindingState::Unsettled
    )
}

fn class(attempt: &Attempt) -> u8 {
    match attempt {
        Attempt::Variables { .. } => 0,
        Attempt::Before { .. } => 1,
        Attempt::Normalize { .. } => 2,
    }
}

fn place(element: &Element) -> Place {
    Place {
        element: element.path.to_string(),
        field: element.field.as_str().to_owned(),
    }
}

fn named(element: &Element) -> String {
    format!("{} of {}", element.field.as_str(), element.path)
}
