//! Properties of the search over elements in which several culprits meet: a compressed file, a digest
//! of many things. Its values choose the rows, and they may mislead it to more trials, never to a
//! wrong claim.
#![expect(
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::panic,
    unreachable_pub,
    dead_code,
    reason = "a test harness fails by panicking, and shares its truth with the bench"
)]

#[path = "../benches/search/packages.rs"]
mod packages;
#[path = "../benches/search/truth.rs"]
mod truth;

use packages::{exact, opaque};
use reprobe::search::Options;
use truth::{Hidden, Random, Session, Truth, named, session, verify};

/// Runs a search to its end and checks its claims.
fn check(truth: &Truth, options: &Options, seed: u64) -> Session {
    let done = session(truth, options, seed, |_| {});
    verify(&done.records, &done.verdict).unwrap_or_else(|error| panic!("{error}"));
    done
}

/// How many trials so many culprits of one element take on average; each of them is named.
fn average(culprits: usize, seeds: u64) -> f64 {
    let trials = (0..seeds).map(|seed| {
        let (truth, options) = opaque(culprits, false, seed);
        let done = check(&truth, &options, seed);
        exact(&truth, &done).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        done.records.len()
    });
    trials.sum::<usize>() as f64 / seeds as f64
}

#[test]
fn seven_culprits_of_one_opaque_element_take_at_most_25_trials_on_average() {
    let trials = average(7, 20);
    assert!(trials <= 25.0, "{trials}");
}

#[test]
fn four_and_five_culprits_of_one_opaque_element_take_at_most_20_and_21_trials_on_average() {
    for (culprits, most) in [(4, 20.0), (5, 21.0)] {
        let trials = average(culprits, 12);
        assert!(trials <= most, "{culprits} culprits: {trials}");
    }
}

/// The sets of an opaque element with so many culprits, and what the search is told.
fn drawn(culprits: usize, seed: u64) -> (Vec<Vec<usize>>, Options) {
    let (truth, options) = opaque(culprits, false, seed);
    let Hidden::Sets { sets, .. } = &truth.elements[0] else {
        panic!("{truth:?}");
    };
    (sets.clone(), options)
}

/// Each kind of element whose values do not tell each combination of its culprits apart.
fn misleading(seed: u64) -> (Hidden, Options) {
    let mut random = Random(seed);
    let (mut sets, options) = drawn(3 + random.below(4), seed);
    let hidden = match seed % 5 {
        0 => Hidden::Hiding(sets),
        1 => Hidden::Colliding(sets, 2 + random.below(3) as u32),
        2 => Hidden::Colliding(sets, 8 + random.below(30) as u32),
        kind => {
            // Two of them act only together.
            let mut pair = [sets.remove(0), sets.remove(0)].concat();
            pair.sort_unstable();
            sets.push(pair);
            Hidden::Sets {
                sets,
                distinct: kind == 3,
            }
        }
    };
    (hidden, options)
}

#[test]
fn values_that_mislead_do_not_lead_to_other_culprits() {
    for seed in 0..25 {
        let (hidden, options) = misleading(seed);
        let truth = Truth {
            elements: vec![hidden],
            ..Truth::default()
        };
        let done = check(&truth, &options, seed);
        let said = &done.verdict.elements[0];
        exact(&truth, &done).unwrap_or_else(|error| panic!("seed {seed}: {error}: {said:?}"));
    }
}

#[test]
fn workers_elements_beside_it_and_second_levels_change_no_culprit_of_an_opaque_element() {
    for seed in 0..6 {
        for workers in [1, 3, 8] {
            let (mut truth, mut options) = opaque(5, seed % 2 == 0, seed);
            options.workers = workers;
            let Some(sets) = truth.elements[0].culprits() else {
                panic!("no culprits");
            };
            for set in sets.into_iter().take(seed as usize % 3) {
                truth.elements.push(Hidden::Sets {
                    sets: vec![set],
                    distinct: false,
                });
            }
            let done = check(&truth, &options, seed);
            exact(&truth, &done).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        }
    }
}

#[test]
fn what_undoes_another_culprit_of_an_element_is_never_claimed_wrongly() {
    for seed in 0..16 {
        let (sets, options) = drawn(6, seed);
        let (on, off) = (sets[4][0], sets[5][0]);
        let hidden = if seed % 2 == 0 {
            Hidden::Xor(on, off)
        } else {
            Hidden::Masked(on, off)
        };
        let truth = Truth {
            elements: vec![Hidden::Beside(Box::new(hidden), sets[..4].to_vec())],
            ..Truth::default()
        };
        let done = check(&truth, &options, seed);
        // What stands alone in a claim differs alone, and nothing else is a culprit.
        for set in named(&done.verdict, 0).into_iter().flatten() {
            assert!(sets.contains(&set), "seed {seed}: {set:?} of {sets:?}");
        }
    }
}

#[test]
fn chance_beside_the_culprits_of_an_opaque_element_is_seldom_blamed_on_a_variation() {
    let (mut noisy, mut blamed) = (0, 0);
    for rate in [0.02, 0.05, 0.25, 0.5] {
        for fresh in [false, true] {
            for seed in 0..12 {
                let (sets, options) = drawn(3 + seed as usize % 5, seed);
                let chance = Hidden::Noise { rate, fresh };
                let truth = Truth {
                    elements: vec![Hidden::Beside(Box::new(chance), sets.clone())],
                    ..Truth::default()
                };
                let done = check(&truth, &options, seed);
                noisy += 1;
                let said = named(&done.verdict, 0).unwrap_or_default();
                blamed += usize::from(said.iter().any(|set| !sets.contains(set)));
            }
        }
    }
    // Some: a trial that is odd by chance adds a culprit.
    assert!(blamed * 50 <= noisy, "{blamed} of {noisy}");
}
