//! Whether the held clock went the same way in two builds that were alike, and what moved it where it
//! did not. What differs between them then may be the clock's doing, and is blamed on nothing else.

use std::collections::BTreeMap;

use crate::model::{Outcome, Row};
use crate::sandbox::TrialReport;
use crate::sandbox::supervisor::{Course, Mover};

const SECOND: i64 = 1_000_000_000;

/// How the clock went in the first build of each environment, and whether one parted since.
#[derive(Debug, Default)]
pub(super) struct Courses {
    first: BTreeMap<Row, Course>,
    /// What moved it differently in two builds alike.
    pub(super) moved: Option<String>,
}

impl Courses {
    /// One more build of an environment: its clock should have gone the way of the others.
    pub(super) fn compare(&mut self, row: &Row, course: &Course) {
        match self.first.get(row) {
            None => drop(self.first.insert(row.clone(), course.clone())),
            Some(first) if self.moved.is_none() => self.moved = difference(first, course),
            Some(_) => {}
        }
    }
}

/// How the clock of a trial went, where it was held and the build came to its end.
pub(super) fn course(report: &TrialReport) -> Option<&Course> {
    let ended = matches!(report.outcome, Outcome::Built { .. });
    let supervisor = report.supervisor.as_ref().filter(|_| ended)?;
    supervisor.course.as_ref()
}

/// Whether something moved it by less than a second at a time: how often it did may depend on the
/// load of the machine, where the build waits for what cannot be seen from inside.
pub(super) fn has_naps(course: &Course) -> bool {
    let is_nap = |mover: &Mover| {
        let times = i64::try_from(mover.times).unwrap_or(i64::MAX);
        !mover.process.is_empty() && mover.nanoseconds < times.saturating_mul(SECOND)
    };
    course.movers.iter().any(is_nap)
}

/// What moved the clock differently in two builds alike; `None` where it went the same way.
pub(super) fn difference(one: &Course, other: &Course) -> Option<String> {
    if one.nanoseconds == other.nanoseconds {
        return None;
    }
    let apart = one
        .nanoseconds
        .abs_diff(other.nanoseconds)
        .div_ceil(1_000_000);
    let said: Vec<String> = one
        .differing(other)
        .into_iter()
        .map(|(mover, others)| {
            let who = match mover.process.as_str() {
                "" => String::new(),
                name => format!(" of {}", crate::model::escape_bytes(name.as_bytes())),
            };
            format!(
                "{}{who}, {} times and {others} times",
                mover.what, mover.times
            )
        })
        .collect();
    let by = if said.is_empty() {
        String::new()
    } else {
        format!(": {}", said.join("; "))
    };
    Some(format!(
        "two builds alike moved the held clock differently, by {apart} ms{by}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(nanoseconds: i64, movers: &[(&str, u64)]) -> Course {
        let mover = |(process, times): &(&str, u64)| Mover {
            process: (*process).into(),
            what: "nanosleep".into(),
            times: *times,
            nanoseconds: SECOND / 10,
        };
        Course {
            nanoseconds,
            movers: movers.iter().map(mover).collect(),
        }
    }

    #[test]
    fn what_moved_the_clock_differently_is_named_and_only_then() {
        let one = course(300_000_000, &[("php", 3), ("sleep", 1)]);
        assert_eq!(difference(&one, &one.clone()), None);
        let two = course(100_000_000, &[("php", 1), ("sleep", 1)]);
        assert_eq!(
            difference(&one, &two).unwrap(),
            "two builds alike moved the held clock differently, by 200 ms: nanosleep of php, 3 times \
             and 1 times"
        );
    }

    #[test]
    fn builds_of_one_environment_are_compared_with_each_other_alone() {
        let build = |times| course(times * SECOND, &[("php", 1)]);
        let mut courses = Courses::default();
        let (control, varied) = (Row(vec![0, 0]), Row(vec![0, 1]));
        courses.compare(&control, &build(1));
        courses.compare(&varied, &build(2));
        courses.compare(&control, &build(1));
        assert_eq!(courses.moved, None);
        courses.compare(&varied, &build(3));
        assert!(courses.moved.unwrap().contains("by 1000 ms"));
    }

    #[test]
    fn only_what_moves_the_clock_by_less_than_a_second_is_looked_into() {
        assert!(has_naps(&course(0, &[("sleep", 1)])));
        assert!(!has_naps(&course(0, &[("", 1)])));
        let mut long = course(0, &[("sleep", 2)]);
        long.movers[0].nanoseconds = 2 * SECOND;
        assert!(!has_naps(&long));
    }
}
