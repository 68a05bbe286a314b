//! How often the search is right where chance has a hand in it, over sessions with fixed seeds of the
//! chance. The bench counts the same over thousands.
#![expect(
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::panic,
    unreachable_pub,
    dead_code,
    reason = "a test harness fails by panicking, and its truth is shared with the bench"
)]

#[path = "../benches/search/truth.rs"]
mod truth;

use reprobe::model::TrialId;
use reprobe::search::{ElementVerdict, FactorVerdict, Options, Search, Step};
use truth::{Hidden, Random, Session, Truth, alike, named, session, verify};

const SESSIONS: u64 = 12;

fn options(seed: u64) -> Options {
    Options {
        workers: 1 + (seed % 3) as usize,
        ..alike(14, seed)
    }
}

fn sets(sets: &[&[usize]]) -> Hidden {
    Hidden::Sets {
        sets: sets.iter().map(|set| set.to_vec()).collect(),
        distinct: false,
    }
}

fn coin(rate: f64) -> Hidden {
    Hidden::Noise { rate, fresh: false }
}

fn check(elements: &[Hidden], options: &Options, seed: u64) -> Session {
    let truth = Truth {
        elements: elements.to_vec(),
        ..Truth::default()
    };
    let done = session(&truth, options, seed, |_| {});
    verify(&done.records, &done.verdict).unwrap_or_else(|error| panic!("{error}"));
    done
}

/// Whether a session calls an element the same that differs by chance. It cannot once it differed.
fn goes_unnoticed(rate: f64, repeats: u32, seed: u64) -> bool {
    let truth = Truth {
        elements: vec![coin(rate)],
        ..Truth::default()
    };
    let mut search = Search::new(Options {
        repeats,
        ..options(seed)
    });
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut next = 0;
    while let Step::Run(tries) = search.next() {
        for attempt in tries {
            let observation = truth.run(&attempt.row, &mut random);
            search.record(TrialId(next), &attempt, observation);
            next += 1;
        }
        if !matches!(search.verdict().elements[0], ElementVerdict::Same { .. }) {
            return false;
        }
    }
    true
}

#[test]
fn a_coin_flip_is_called_reproducible_in_no_session_of_a_hundred_with_eight_repeats() {
    let unnoticed = (0..1000).filter(|seed| goes_unnoticed(0.5, 8, *seed));
    let unnoticed = unnoticed.count();
    assert!(unnoticed <= 10, "{unnoticed} of 1000");
    // Sixteen trials show what differs in one build of ten four times in five.
    let rare = (0..1000)
        .filter(|seed| goes_unnoticed(0.1, 8, *seed))
        .count();
    assert!((100..300).contains(&rare), "{rare} of 1000");
}

#[test]
fn the_rate_of_an_unstable_element_comes_with_an_interval_that_holds_it() {
    let mut held = 0;
    for seed in 0..40 {
        let done = check(&[coin(0.5), sets(&[&[2]])], &options(seed), seed);
        if let ElementVerdict::Unstable {
            low, high, trials, ..
        } = done.verdict.elements[0]
        {
            assert!(trials > 0 && low < high);
            held += u32::from((low..=high).contains(&0.5));
        }
    }
    assert!(held >= 25, "{held} of 40");
}

#[test]
fn sets_that_act_together_or_alone_are_named_in_every_session() {
    let truths: [(&str, Vec<Hidden>); 4] = [
        ("A and B", vec![sets(&[&[3, 8]])]),
        ("A or B", vec![sets(&[&[3], &[8]])]),
        (
            "three culprits in three artifacts",
            vec![sets(&[&[1]]), sets(&[&[5]]), sets(&[&[9]])],
        ),
        ("three culprits in one", vec![sets(&[&[1], &[5], &[9]])]),
    ];
    for (name, elements) in &truths {
        for seed in 0..SESSIONS {
            let done = check(elements, &options(seed), seed);
            for (number, hidden) in elements.iter().enumerate() {
                let said = named(&done.verdict, number);
                assert_eq!(said, hidden.culprits(), "{name}, session {seed}");
            }
        }
    }
}

#[test]
fn what_undoes_itself_shows_when_thorough_and_is_never_blamed_wrongly() {
    for (hidden, on) in [
        (Hidden::Xor(3, 8), [3, 8].as_slice()),
        (Hidden::Masked(3, 8), &[3]),
    ] {
        for seed in 0..SESSIONS / 2 {
            let options = Options {
                thorough: true,
                ..options(seed)
            };
            let done = check(std::slice::from_ref(&hidden), &options, seed);
            match &done.verdict.elements[0] {
                ElementVerdict::Unsettled { possible, .. } => {
                    assert!(possible.contains(&on[0]), "{possible:?}");
                }
                ElementVerdict::Certified { culprits } => {
                    assert!(
                        culprits
                            .iter()
                            .all(|c| c.set.len() == 1 && on.contains(&c.set[0]))
                    );
                }
                other => panic!("{hidden:?}, session {seed}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_culprit_is_named_next_to_a_breaker_and_next_to_noise() {
    for seed in 0..SESSIONS {
        let truth = Truth {
            elements: vec![sets(&[&[3]]), sets(&[])],
            breakers: vec![vec![(6, 0)]],
            ..Truth::default()
        };
        let done = session(&truth, &options(seed), seed, |_| {});
        assert_eq!(named(&done.verdict, 0), Some(vec![vec![3]]));
        assert_eq!(done.verdict.factors[6], FactorVerdict::Breaks);
        let noise = Hidden::Noise {
            rate: 0.9,
            fresh: true,
        };
        let done = check(&[noise, sets(&[&[3]]), sets(&[])], &options(seed), seed);
        assert!(matches!(
            done.verdict.elements[0],
            ElementVerdict::Unstable { .. }
        ));
        assert_eq!(named(&done.verdict, 1), Some(vec![vec![3]]));
        assert!(matches!(
            done.verdict.elements[2],
            ElementVerdict::Same { .. }
        ));
    }
}

#[test]
fn hardly_any_coin_flip_is_blamed_on_a_variation() {
    let blamed = (0..200).filter(|seed| {
        let options = Options {
            workers: 1,
            ..options(*seed)
        };
        named(&check(&[coin(0.5)], &options, *seed).verdict, 0).is_some()
    });
    let blamed = blamed.count();
    assert!(blamed <= 3, "{blamed} of 200");
}
