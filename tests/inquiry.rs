//! The questions of a session, asked of builds that are only imagined: whether the truth is found, in
//! how many trials and rounds, whatever the number of workers, and whether a session that is
//! interrupted anywhere asks for nothing twice.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails, in its helpers as well"
)]

mod plans;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use plans::{able, request};
use reprobe::catalog::Catalog;
use reprobe::diff::{Judged, Seen};
use reprobe::explain::Ledger;
use reprobe::inquiry::fix::{Question, Said, Target, fix};
use reprobe::inquiry::place::{self, Causes, SLOTS, TRIALS};
use reprobe::inquiry::{self, Ended, Glimpse, Known, Shown, Trials};
use reprobe::model::{
    Acting, Asked, Attempt, Change, Chosen, Drawn, Element, Expect, Field, Observed, Process,
    Reading, Row, Scope, Slot, Snapshot, Source, TrialId, TrialKind, TrialRecord, TrialResult,
    Value,
};
use reprobe::plan::{Plan, Request, plan};
use reprobe::search::{Certified, ElementVerdict, Options, Search, Verdict};

/// What is asked about, by the name of the variation.
const NAMES: [&str; 3] = ["file-order", "randomness", "time"];

fn planned() -> Plan {
    let request = Request {
        only: Some(NAMES.map(str::to_owned).to_vec()),
        ..request()
    };
    plan(&Catalog::builtin().unwrap(), &able(), &request).unwrap()
}

/// A build that is only imagined: its processes, what they read, and which of that reaches which
/// output.
struct Build {
    plan: Plan,
    lines: Vec<Reading>,
    /// Output, the process, what it reads, and of a directory, which.
    guilty: Vec<(&'static str, usize, Source, Option<&'static str>)>,
}

impl Build {
    /// So many processes below `make`, each of which looks at the clock, at files and at its own
    /// directory, and takes random bytes.
    fn of(processes: usize, guilty: &[(&'static str, usize, Source)]) -> Self {
        let mut lines = vec![process(0, None, "sh"), process(1, Some(0), "make")];
        for number in 2..processes {
            lines.push(process(number, Some(1), &format!("tool{}", number % 7)));
            for source in [Source::Clock, Source::FileTime, Source::Random] {
                lines.push(read(number, source, None));
            }
            for directory in [number, number % 5] {
                let path = format!("/build/x/d{directory}");
                lines.push(read(number, Source::Directory, Some(&path)));
            }
        }
        let guilty = guilty.iter();
        Self {
            plan: planned(),
            lines,
            guilty: guilty
                .map(|(output, process, source)| (*output, *process, *source, None))
                .collect(),
        }
    }

    fn process(&self, number: usize) -> &Process {
        let found = self.lines.iter().find_map(|line| match line {
            Reading::Process(process) if process.number == number => Some(process),
            _ => None,
        });
        found.unwrap()
    }

    /// Whether a level that varies this reading, in a scope, acts for a process.
    fn acts(&self, scope: &Scope, number: usize, source: Source) -> bool {
        scope.holds(self.process(number))
            && scope.holds_for(source)
            && scope.holds_in(|| Some(format!("/build/x/d{number}").into()))
    }

    /// The outputs that differ where the levels of a row act in a scope, and by which processes.
    fn differing(&self, row: &Row, scope: &Scope) -> BTreeMap<&'static str, Vec<usize>> {
        let varies = |source| {
            let slot = match source {
                Source::Directory => Slot::DirectoryOrder,
                Source::Random => Slot::Randomness,
                Source::Clock | Source::FileTime => Slot::Clock,
            };
            row.0[self.plan.filling(slot).unwrap()] != 0
        };
        let mut differing: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (output, process, source, _) in &self.guilty {
            if varies(*source) && self.acts(scope, *process, *source) {
                differing.entry(*output).or_default().push(*process);
            }
        }
        differing
    }

    fn run(&self, id: u32, asked: &Asked) -> Ended {
        let scope = match &asked.acting {
            Acting::Within { scope } => scope.clone(),
            _ => Scope {
                devices: true,
                ..Scope::default()
            },
        };
        let differing = self.differing(&asked.row, &scope);
        let seen = differing.iter().map(|(output, by)| {
            let value = Value::Text(format!("{by:?}"));
            (element(output), Seen::Value(value))
        });
        let glimpse = Glimpse {
            trial: TrialId(id),
            seen: seen.collect(),
            lines: self.lines.clone(),
            directory: "/build/x".into(),
        };
        ended(id, asked.clone(), Shown::Glimpse(Rc::new(glimpse)))
    }

    /// What the control and a row with one variation make.
    fn snapshot(&self, row: &Row) -> Snapshot {
        let everywhere = Scope {
            devices: true,
            ..Scope::default()
        };
        let differing = self.differing(row, &everywhere);
        let mut snapshot = Snapshot::default();
        for (output, ..) in &self.guilty {
            let by = differing.get(output);
            let value = Value::Text(by.map_or("control".into(), |by| format!("{by:?}")));
            snapshot.outputs.insert((*output).into(), true);
            let observed = Observed {
                value,
                offset: None,
            };
            snapshot.elements.insert(element(output), observed);
        }
        snapshot
    }
}

fn process(number: usize, parent: Option<usize>, program: &str) -> Reading {
    Reading::Process(Process {
        number,
        parent,
        name: number as u64,
        executable: format!("/usr/bin/{program}"),
        arguments: vec![program.into(), number.to_string()],
        stack: None,
    })
}

fn read(process: usize, source: Source, path: Option<&str>) -> Reading {
    Reading::Read {
        process,
        source,
        path: path.map(str::to_owned),
        times: 1,
    }
}

fn element(output: &str) -> Element {
    Element::new(output, Field::CONTENT)
}

fn ended(id: u32, asked: Asked, shown: Shown) -> Ended {
    Ended {
        record: TrialRecord {
            id: TrialId(id),
            kind: TrialKind::Location,
            varied: BTreeMap::new(),
            result: TrialResult::Built,
            seconds: 1.0,
        },
        asked,
        shown,
    }
}

/// What a session found out, in how many trials and rounds.
#[derive(Debug, PartialEq)]
struct Found {
    causes: Causes,
    trials: usize,
    rounds: usize,
}

/// A search for nothing.
fn nothing() -> Options {
    Options {
        factors: Vec::new(),
        first_levels: Vec::new(),
        apart: Vec::new(),
        draws: Vec::new(),
        workers: 1,
        budget_trials: None,
        repeats: 2,
        thorough: false,
        clock_runs: false,
        seed: 1,
    }
}

/// A session that has ended its search.
struct Session {
    build: Build,
    ledger: Ledger,
    trials: Trials,
    targets: Vec<Vec<place::Target>>,
}

impl Session {
    fn new(build: Build) -> Self {
        let plan = &build.plan;
        let mut ledger = Ledger::new(Judged::default());
        let mut trials = Trials::default();
        let control = plan.control_row();
        let rows = (0..plan.variations.len()).map(|factor| plan.alone(factor, 1));
        for (id, row) in (0..).zip([control].into_iter().chain(rows)) {
            ledger.observe(TrialId(id), &build.snapshot(&row), &[]);
            trials.push(ended(id, Asked::whole(row), Shown::Observed));
        }
        let elements = ledger.elements().iter().map(|element| {
            let own = build.guilty.iter();
            let own = own.filter(|(output, ..)| element.path.as_ref() == *output);
            let slots: BTreeSet<usize> = own
                .map(|(_, _, source, _)| {
                    let slot = match source {
                        Source::Directory => Slot::DirectoryOrder,
                        Source::Random => Slot::Randomness,
                        Source::Clock | Source::FileTime => Slot::Clock,
                    };
                    plan.filling(slot).unwrap()
                })
                .collect();
            let culprits = slots.into_iter().map(|factor| Certified {
                set: vec![factor],
                levels: vec![1],
                certificate: vec![(TrialId(0), Expect::Same)],
            });
            ElementVerdict::Certified {
                culprits: culprits.collect(),
            }
        });
        let verdict = Verdict {
            elements: elements.collect(),
            ..Search::new(nothing()).verdict()
        };
        let known = Known {
            plan,
            ledger: &ledger,
            trials: &trials,
        };
        let targets = SLOTS.map(|slot| place::targets(known, &verdict, slot, |_, _| false));
        Self {
            targets: targets.to_vec(),
            ledger,
            trials,
            build,
        }
    }

    /// Asks until nothing is wanted, with so many workers, or for so many rounds.
    fn ask(&mut self, workers: usize, most: usize) -> Found {
        let before = self.trials.count();
        let mut rounds = 0;
        loop {
            let room = TRIALS.saturating_sub(self.trials.count() - 1 - NAMES.len());
            let known = Known {
                plan: &self.build.plan,
                ledger: &self.ledger,
                trials: &self.trials,
            };
            let mut causes = Causes::new();
            let wants = self.targets.iter();
            let wants = wants.map(|targets| place::causes(known, targets, room, &mut causes));
            let batch = inquiry::schedule(&wants.collect::<Vec<_>>(), workers.min(room));
            if batch.is_empty() || rounds == most {
                return Found {
                    causes,
                    trials: self.trials.count() - before,
                    rounds,
                };
            }
            rounds += 1;
            for asked in &batch {
                assert!(self.trials.first(asked).is_none(), "{asked:?} again");
                let id = self.trials.next().0;
                self.trials.push(self.build.run(id, asked));
            }
        }
    }
}

/// Who is named for an output, by the arguments of the process.
fn named(found: &Found, output: &str) -> Vec<Vec<String>> {
    let causes = found.causes.get(&element(output)).into_iter().flatten();
    let first = causes.filter_map(|(_, cause)| cause.processes.first().cloned());
    first.collect()
}

/// Three outputs, each by one process and another variation.
fn three(processes: usize) -> Build {
    Build::of(
        processes,
        &[
            ("a", 5, Source::Directory),
            ("b", processes - 2, Source::Random),
            ("c", processes / 2, Source::Clock),
        ],
    )
}

#[test]
fn who_did_it_is_named_however_many_processes_there_are_and_however_many_workers() {
    for processes in [8, 30, 200] {
        let mut before = None;
        for workers in [1, 2, 4, 8] {
            let found = Session::new(three(processes)).ask(workers, usize::MAX);
            for (output, number) in [("a", 5), ("b", processes - 2), ("c", processes / 2)] {
                let arguments = vec![format!("tool{}", number % 7), number.to_string()];
                assert_eq!(named(&found, output), [arguments], "{processes} {workers}");
            }
            let words = |found: &Found| -> Vec<Vec<Vec<String>>> {
                let causes = found.causes.values().flat_map(BTreeMap::values);
                causes.map(|cause| cause.processes.clone()).collect()
            };
            let said = words(&found);
            assert_eq!(
                *before.get_or_insert(said.clone()),
                said,
                "{workers} workers"
            );
        }
    }
}

#[test]
fn workers_save_rounds_and_cost_few_trials() {
    let found = [1, 4, 8].map(|workers| Session::new(three(30)).ask(workers, usize::MAX));
    let [one, four, eight] = &found;
    for found in &found {
        println!("{} trials in {} rounds", found.trials, found.rounds);
    }
    assert_eq!(
        one.trials, one.rounds,
        "one worker runs what is wanted alone"
    );
    assert!(2 * four.rounds <= one.rounds, "{found:?}");
    assert!(eight.rounds <= four.rounds, "{found:?}");
    assert!(4 * four.trials <= 5 * one.trials, "{found:?}");
}

#[test]
fn what_is_interrupted_after_any_round_finds_the_same_and_asks_for_nothing_twice() {
    for workers in [1, 4] {
        let whole = Session::new(three(30)).ask(workers, usize::MAX);
        for cut in 0..whole.rounds {
            let mut session = Session::new(three(30));
            let before = session.ask(workers, cut);
            let after = session.ask(workers, usize::MAX);
            assert_eq!(before.trials + after.trials, whole.trials);
            assert_eq!(after.causes, whole.causes);
        }
    }
}

#[test]
fn one_of_several_is_named_as_one_of_several() {
    let guilty = [("a", 4, Source::Clock), ("a", 9, Source::Clock)];
    let found = Session::new(Build::of(16, &guilty)).ask(1, usize::MAX);
    let causes = &found.causes[&element("a")];
    let words: Vec<&str> = causes.values().map(|cause| cause.words.as_str()).collect();
    assert!(
        words[0].contains("as others do for the same output"),
        "{words:?}"
    );
}

#[test]
fn no_more_trials_are_run_than_there_is_room_for() {
    let guilty = [
        ("a", 4, Source::Random),
        ("b", 9, Source::Random),
        ("c", 90, Source::Random),
        ("d", 50, Source::Clock),
        ("e", 60, Source::Clock),
        ("f", 70, Source::Clock),
    ];
    for workers in [1, 4, 8] {
        let found = Session::new(Build::of(400, &guilty)).ask(workers, usize::MAX);
        assert!(
            found.trials <= TRIALS,
            "{workers} workers: {}",
            found.trials
        );
    }
}

#[test]
fn a_scope_of_nobody_changes_nothing_in_an_imagined_build_either() {
    let build = three(30);
    let row = build.plan.alone(0, 1);
    let nobody = Scope {
        processes: Chosen::Only(BTreeSet::new()),
        ..Scope::default()
    };
    assert!(build.differing(&row, &nobody).is_empty());
}

/// A build that is only imagined: what it makes under a row and a remedy, `None` where it fails.
type Imagined = dyn Fn(&Plan, &Row, &Change, Drawn) -> Option<Vec<(&'static str, String)>>;

/// The remedies `A=1`, `B=1` and so on, each for all of these outputs.
fn question(plan: &Plan, attempts: usize, outputs: &[&'static str]) -> Question {
    let set = |n: usize| BTreeMap::from([(["A", "B", "C", "D"][n].to_owned(), "1".to_owned())]);
    let everything = Row(vec![1; plan.variations.len()]);
    Question {
        attempts: (0..attempts)
            .map(|n| Attempt::Variables { set: set(n) })
            .collect(),
        targets: outputs
            .iter()
            .map(|output| Target {
                element: element(output),
                alternatives: (0..attempts).collect(),
            })
            .collect(),
        culprits: (0..plan.variations.len())
            .map(|factor| plan.alone(factor, 1))
            .collect(),
        everything,
        named: BTreeSet::new(),
        judged: Judged::default(),
    }
}

/// Asks until nothing more is wanted; what is said then, and in how many trials.
fn fixed(imagined: &Imagined, question: &Question, workers: usize) -> (Said, usize) {
    let plan = planned();
    let ledger = Ledger::new(Judged::default());
    let mut trials = Trials::default();
    let whole = [question.everything.clone(), plan.alone(0, 2)];
    for (id, row) in (0..).zip(whole) {
        trials.push(ended(id, Asked::whole(row), Shown::Observed));
    }
    loop {
        let known = Known {
            plan: &plan,
            ledger: &ledger,
            trials: &trials,
        };
        let mut said = Said::default();
        let wants = fix(known, question, 100, &mut said);
        let batch = inquiry::schedule(&[wants], workers);
        if batch.is_empty() {
            return (said, trials.count() - 2);
        }
        for asked in batch {
            let Acting::Remedied { change, drawn } = &asked.acting else {
                unreachable!("no other trials are asked for");
            };
            let made = imagined(&plan, &asked.row, change, *drawn);
            let snapshot = made.map(|outputs| {
                let mut snapshot = Snapshot::default();
                for (output, value) in outputs {
                    snapshot.outputs.insert(output.to_owned(), true);
                    let observed = Observed {
                        value: Value::Text(value),
                        offset: None,
                    };
                    snapshot.elements.insert(element(output), observed);
                }
                Rc::new(snapshot)
            });
            let failed = snapshot.is_none();
            let shown = snapshot.map_or(Shown::Observed, Shown::Remedied);
            let mut ended = ended(trials.next().0, asked.clone(), shown);
            if failed {
                ended.record.result = TrialResult::Failed;
            }
            trials.push(ended);
        }
    }
}

fn has(change: &Change, name: &str) -> bool {
    change.variables.contains_key(name)
}

/// An output that shows whether anything varies, unless a remedy is there.
fn unless(row: &Row, fixed: bool) -> String {
    if fixed || row.is_control() {
        "same".to_owned()
    } else {
        "other".to_owned()
    }
}

#[test]
fn remedies_are_reduced_to_those_that_are_needed_and_verified() {
    let build: &Imagined = &|_, row, change, _| {
        Some(vec![
            ("one", unless(row, has(change, "B"))),
            ("two", unless(row, has(change, "B") || has(change, "C"))),
        ])
    };
    let question = question(&planned(), 4, &["one", "two"]);
    for workers in [1, 2, 4] {
        let (said, trials) = fixed(build, &question, workers);
        assert_eq!(said.chosen, [1], "{workers}");
        assert!(said.complete && said.parted.is_none() && said.left.is_empty());
        assert!(trials <= 6 + 9, "{trials} trials with {workers} workers");
    }
}

#[test]
fn what_breaks_a_build_is_left_out_alone_or_with_others() {
    let alone: &Imagined = &|_, row, change, _| {
        (!has(change, "A")).then(|| vec![("one", unless(row, has(change, "B")))])
    };
    let together: &Imagined = &|_, row, change, _| {
        let fails = has(change, "A") && has(change, "B");
        (!fails).then(|| {
            let one = unless(row, has(change, "A"));
            vec![("one", one), ("two", unless(row, has(change, "B")))]
        })
    };
    let (said, _) = fixed(alone, &question(&planned(), 2, &["one"]), 1);
    assert_eq!((said.chosen.as_slice(), said.broke[0].0), (&[1][..], 0));
    assert!(said.complete && said.left.is_empty());
    let (said, _) = fixed(together, &question(&planned(), 2, &["one", "two"]), 2);
    assert_eq!((said.chosen.as_slice(), said.broke[0].0), (&[0][..], 1));
    assert_eq!(said.left, BTreeSet::from([element("two")]));
}

#[test]
fn what_helps_with_these_values_alone_is_not_verified() {
    let build: &Imagined = &|_, row, change, drawn| {
        let fixed = has(change, "A") && drawn == Drawn::Here;
        Some(vec![("one", unless(row, fixed))])
    };
    let (said, _) = fixed(build, &question(&planned(), 1, &["one"]), 1);
    assert_eq!(said.chosen, [0]);
    assert_eq!(said.parted.unwrap().1, element("one"));
    // A repeat that differs is none, either.
    let build: &Imagined = &|_, row, change, drawn| {
        let again = drawn == Drawn::ElsewhereAgain;
        let one = if again {
            "again".to_owned()
        } else {
            unless(row, has(change, "A"))
        };
        Some(vec![("one", one)])
    };
    let (said, _) = fixed(build, &question(&planned(), 1, &["one"]), 1);
    assert!(said.parted.is_some());
}
