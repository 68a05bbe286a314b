//! How many trials the search takes, over simulated packages, next to linear search and ddmin.
//! The parameters of the packages stand at the top and are not tuned to the search.
//!
//! `cargo bench --bench search` prints the table; with a number as argument, each cell draws so
//! many packages instead of 2000; further words select cells by name (`rivals`, `opaque` and `noise` too).
#![expect(
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    unreachable_pub,
    dead_code,
    reason = "a bench prints its table, fails by panicking, and shares its truth with the tests"
)]

#[path = "search/packages.rs"]
mod packages;
#[path = "search/rivals.rs"]
mod rivals;
#[path = "search/truth.rs"]
mod truth;

use std::fmt::Write as _;
use std::time::Instant;

use packages::{Generator, draw, exact};
use rivals::Found;
use truth::{Hidden, Truth, named, session, verify};

/// One to three culprits that follow Zipf's law; files that hold the values of several; now and
/// then a pair, noise, a breaker.
const REALISTIC: Generator = Generator {
    factors: 14,
    singles: &[0.5, 0.3, 0.2],
    mixed: (1, 0.20),
    widest: 3,
    distinct: 0.65,
    pairs: (1, 0.05),
    noisy: (1, 0.10),
    rates: &[0.1, 0.25, 0.5, 0.9],
    fresh: 0.5,
    masked: 0,
    breaker: 0.05,
    volatile: 0.0,
    clean: 20,
    zipf: true,
    hinted: 0.0,
};

/// Five culprits, two pairs, alternatives that cannot be told apart by value, a masked element,
/// two that flip a coin, and often a breaker.
const ADVERSARIAL: Generator = Generator {
    factors: 14,
    singles: &[0.0, 0.0, 0.0, 0.0, 1.0],
    mixed: (3, 1.0),
    widest: 5,
    distinct: 0.0,
    pairs: (2, 1.0),
    noisy: (2, 1.0),
    rates: &[0.5],
    fresh: 0.5,
    masked: 1,
    breaker: 0.20,
    volatile: 0.0,
    clean: 20,
    zipf: false,
    hinted: 0.0,
};

/// Rates of the elements that differ by chance alone; each also with a fresh value every time.
const NOISE: &[f64] = &[0.05, 0.1, 0.25, 0.5, 0.75, 1.0];

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let count = arguments
        .iter()
        .find_map(|word| word.parse().ok())
        .unwrap_or(2000);
    let chosen: Vec<&String> = arguments
        .iter()
        .filter(|word| word.parse::<u64>().is_err())
        .collect();
    println!("{count} packages per cell");
    println!(
        "{:<34} {:>15} {:>4} {:>13} {:>7} {:>17} {:>8}",
        "cell", "trials", "p95", "rounds", "exact", "95 % interval", "ms/step"
    );
    for (name, generator, workers) in cells() {
        if chosen.is_empty() || chosen.iter().any(|word| name.contains(word.as_str())) {
            cell(&name, &generator, workers, count);
        }
    }
    for (name, generator) in [("realistic", REALISTIC), ("adversarial", ADVERSARIAL)] {
        if chosen.is_empty() || chosen.iter().any(|word| word.as_str() == "rivals") {
            rival(
                &format!("{name} n=14 linear"),
                &generator,
                count,
                rivals::linear,
            );
            rival(
                &format!("{name} n=14 ddmin"),
                &generator,
                count,
                rivals::ddmin,
            );
        }
    }
    if chosen.is_empty() || chosen.iter().any(|word| word.as_str() == "opaque") {
        for levels in [false, true] {
            for culprits in 1..=7 {
                opaque(culprits, levels, count.div_ceil(5));
            }
        }
    }
    if chosen.is_empty() || chosen.iter().any(|word| word.as_str() == "noise") {
        let sessions = count.div_ceil(NOISE.len() as u64 * 2).max(1) * 5;
        noise(sessions);
    }
    if chosen.is_empty() || chosen.iter().any(|word| word.as_str() == "pace") {
        pace("14 factors, 5000 elements", 14, 5000);
        pace("24 factors, 5000 elements", 24, 5000);
        pace("200 factors, 100 elements", 200, 100);
    }
    if chosen.is_empty() || chosen.iter().any(|word| word.as_str() == "bound") {
        bound(count.div_ceil(100));
    }
}

/// How many trials the culprits of one opaque element take, and how often they are exact.
fn opaque(culprits: usize, levels: bool, count: u64) {
    let mut trials = Vec::new();
    let mut right = 0;
    for seed in 0..count {
        let (truth, options) = packages::opaque(culprits, levels, seed);
        let done = session(&truth, &options, seed, |_| {});
        if let Err(error) = verify(&done.records, &done.verdict) {
            println!("seed {seed}: {error}");
        }
        right += u64::from(exact(&truth, &done).is_ok());
        trials.push(done.records.len() as f64);
    }
    let (mean, half) = mean(&trials);
    trials.sort_by(f64::total_cmp);
    let p95 = trials[trials.len() * 95 / 100];
    let levels = if levels { ", second levels" } else { "" };
    println!(
        "opaque element, {culprits} of 22{levels}: {mean:.2} ±{half:.2} trials, p95 {p95}, exact {:.4}",
        right as f64 / count as f64
    );
}

/// The longest time that deciding what comes next took, over a whole session.
fn pace(name: &str, factors: usize, elements: usize) {
    let generator = Generator {
        factors,
        clean: 0,
        ..ADVERSARIAL
    };
    let (mut truth, options) = draw(&generator, 8, 1);
    truth.breakers.clear();
    let kinds = truth.elements.clone();
    let more = (kinds.len()..elements).map(|number| kinds[number % kinds.len()].clone());
    truth.elements.extend(more);
    let mut search = reprobe::search::Search::new(options);
    let (mut longest, mut id) = (0.0_f64, 0);
    loop {
        let began = Instant::now();
        let step = search.next();
        longest = longest.max(began.elapsed().as_secs_f64() * 1000.0);
        let reprobe::search::Step::Run(tries) = step else {
            break;
        };
        for attempt in tries {
            let mut random = truth::Random(id);
            let observation = truth.run(&attempt.row, &mut random);
            search.record(reprobe::model::TrialId(id as u32), &attempt, observation);
            id += 1;
        }
    }
    println!("{name}: at most {longest:.1} ms to decide, in {id} trials");
}

/// How many trials k single culprits of n factors take at most, all factors alike, next to their
/// bound.
fn bound(seeds: u64) {
    for factors in 1..=24 {
        let mut line = format!("n={factors:<3}");
        for count in 1..=5.min(factors) {
            let most = (0..seeds).map(|seed| {
                let (truth, options) = packages::singles(factors, count, seed);
                session(&truth, &options, seed, |_| {}).records.len()
            });
            let most = most.max().unwrap_or_default();
            let bound = packages::bound(factors, count);
            let over = if most > bound { "!" } else { " " };
            let _ = write!(line, "  k={count}: {most:>2} of {bound:>2}{over}");
        }
        println!("{line}");
    }
}

/// How often a rival is exact, and what it costs.
fn rival(
    name: &str,
    generator: &Generator,
    count: u64,
    search: impl Fn(&Truth, usize, u64) -> Found,
) {
    let mut trials = Vec::new();
    let mut right = 0;
    for seed in 0..count {
        let (truth, _) = draw(generator, 1, seed);
        let found = search(&truth, generator.factors, seed);
        right += u64::from(rivals::exact(&truth, &found));
        trials.push(f64::from(found.trials));
    }
    let (mean, half) = mean(&trials);
    let (low, high) = interval(right, count);
    println!(
        "{name:<34} {mean:>8.2} ±{half:>5.2} {:>4} {:>13} {:>7.4} {low:>8.4}-{high:<8.4}",
        "",
        "",
        right as f64 / count as f64
    );
}

/// How often an element that only differs by chance is blamed on a variation, over 14 factors.
fn noise(sessions: u64) {
    let alike = Generator {
        zipf: false,
        ..REALISTIC
    };
    let (mut elements, mut blamed) = (0, 0);
    for rate in NOISE {
        for fresh in [false, true] {
            let before = (elements, blamed);
            for seed in 0..sessions {
                let truth = Truth {
                    elements: vec![Hidden::Noise { rate: *rate, fresh }],
                    ..Truth::default()
                };
                let (_, options) = draw(&alike, 1, seed);
                let done = session(&truth, &options, seed * 77 + 1, |_| {});
                elements += 1;
                blamed += u64::from(named(&done.verdict, 0).is_some());
            }
            let (new, wrong) = (elements - before.0, blamed - before.1);
            let values = if fresh { "fresh values" } else { "two values" };
            let (low, high) = interval(wrong, new);
            println!(
                "chance with p = {rate}, {values}: blamed {wrong} of {new}, {low:.4}-{high:.4}"
            );
        }
    }
    let (low, high) = interval(blamed, elements);
    println!(
        "chance blamed on a variation: {blamed} of {elements} elements, {:.4} ({low:.4}-{high:.4})",
        blamed as f64 / elements as f64
    );
}

fn cells() -> Vec<(String, Generator, usize)> {
    let mut cells = Vec::new();
    for (kind, base) in [("realistic", REALISTIC), ("adversarial", ADVERSARIAL)] {
        for (hints, hinted) in [("", 0.0), (" hinted", 0.9)] {
            for factors in [14, 24, 200] {
                for workers in [1, 4, 8] {
                    let generator = Generator {
                        factors,
                        hinted,
                        ..base
                    };
                    cells.push((
                        format!("{kind}{hints} n={factors} P={workers}"),
                        generator,
                        workers,
                    ));
                }
            }
        }
    }
    let volatile = Generator {
        volatile: 0.3,
        ..REALISTIC
    };
    cells.push(("realistic volatile n=14 P=1".into(), volatile, 1));
    cells
}

fn cell(name: &str, generator: &Generator, workers: usize, count: u64) {
    let mut trials = Vec::new();
    let mut rounds = Vec::new();
    let mut right = 0;
    let started = Instant::now();
    for seed in 0..count {
        let (truth, options) = draw(generator, workers, seed);
        let done = session(&truth, &options, seed, |_| {});
        if let Err(error) = verify(&done.records, &done.verdict) {
            println!("seed {seed}: {error}");
        }
        match exact(&truth, &done) {
            Ok(()) => right += 1,
            Err(error) if std::env::var_os("SHOW").is_some() => println!("seed {seed}: {error}"),
            Err(_) => {}
        }
        trials.push(done.records.len() as f64);
        rounds.push(done.rounds as f64);
    }
    let steps: f64 = rounds.iter().sum();
    let pace = started.elapsed().as_secs_f64() * 1000.0 / steps;
    let (mean, half) = mean(&trials);
    let (mean_rounds, half_rounds) = self::mean(&rounds);
    trials.sort_by(f64::total_cmp);
    let p95 = trials[trials.len() * 95 / 100];
    let (low, high) = interval(right, count);
    println!(
        "{name:<34} {mean:>8.2} ±{half:>5.2} {p95:>4} {mean_rounds:>6.2} ±{half_rounds:>5.2} {:>7.4} {low:>8.4}-{high:<8.4} {pace:>8.2}",
        right as f64 / count as f64
    );
}

/// The mean and half of its 95 % interval.
fn mean(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let square: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (
        mean,
        1.96 * (square / (count - 1.0).max(1.0) / count).sqrt(),
    )
}

/// The 95 % Wilson interval of a rate.
fn interval(hits: u64, count: u64) -> (f64, f64) {
    let (n, z) = (count as f64, 1.96_f64);
    let rate = hits as f64 / n;
    let centre = rate + z * z / (2.0 * n);
    let half = z * (rate * (1.0 - rate) / n + z * z / (4.0 * n * n)).sqrt();
    (
        (centre - half) / (1.0 + z * z / n),
        (centre + half) / (1.0 + z * z / n),
    )
}
