//! The moments at which clocks start, and a zone in which it is another day then.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Timelike};
use chrono_tz::Tz;

use crate::catalog::Moment;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// The moments of a session, whole seconds since 1970 (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moments {
    /// The control's.
    pub t0: i64,
    /// More than a year later.
    pub t1: i64,
    /// Forty days later.
    pub soon: i64,
}

impl Moments {
    /// The moments of a session that starts within the second after `now`.
    ///
    /// T0 is two days ahead, so that a time which the build itself sets to now is never mistaken
    /// for one that the kernel wrote.
    pub(super) fn after(now: i64) -> Self {
        let t0 = now.saturating_add(1).saturating_add(2 * DAY);
        Self {
            t0,
            t1: another_moment(t0),
            soon: t0.saturating_add(40 * DAY),
        }
    }

    /// The moment of that name.
    pub(super) fn at(self, moment: Moment) -> i64 {
        match moment {
            Moment::T0 => self.t0,
            Moment::T1 => self.t1,
            Moment::Soon => self.soon,
        }
    }

    /// A zone in which it is another calendar day than in UTC at every one of these moments; the
    /// moments lie in the same half of the day, so one of the two zones at the ends of the world
    /// always serves. `None` only for clocks set to before 1995, when Kiritimati was elsewhere, and
    /// for years that no calendar has.
    pub(super) fn another_day(self) -> Option<&'static str> {
        let zones = [
            ("Pacific/Kiritimati", Tz::Pacific__Kiritimati),
            ("Etc/GMT+12", Tz::Etc__GMTPlus12),
        ];
        zones
            .into_iter()
            .find(|(_, zone)| {
                [self.t0, self.t1, self.soon]
                    .into_iter()
                    .all(|at| date(at).is_some() && date(at) != date_in(at, *zone))
            })
            .map(|(name, _)| name)
    }
}

fn time(at: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp(at, 0).map(|moment| moment.naive_utc())
}

fn date(at: i64) -> Option<NaiveDate> {
    time(at).map(|time| time.date())
}

fn date_in(at: i64, zone: Tz) -> Option<NaiveDate> {
    let moment = DateTime::from_timestamp(at, 0)?;
    Some(moment.with_timezone(&zone).date_naive())
}

/// The first of a row of moments more than a year after `t0` that shares none of its fields.
fn another_moment(t0: i64) -> i64 {
    let candidate = |step: i64| {
        t0.saturating_add(400 * DAY + HOUR + 61)
            .saturating_add(step * (DAY + 5 * HOUR + 7 * 60 + 11))
    };
    let Some(start) = time(t0) else {
        return candidate(0);
    };
    (0..1000)
        .map(candidate)
        .find(|at| time(*at).is_some_and(|time| shares_nothing(start, time)))
        .unwrap_or_else(|| candidate(0))
}

fn shares_nothing(a: NaiveDateTime, b: NaiveDateTime) -> bool {
    // Above this hour +14 is tomorrow, below it -12 is yesterday.
    let same_half = (a.hour() < 12) == (b.hour() < 12);
    same_half
        && a.year() != b.year()
        && a.month() != b.month()
        && a.day() != b.day()
        && a.weekday() != b.weekday()
        && a.hour() != b.hour()
        && a.minute() != b.minute()
        && a.second() != b.second()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn at_any_time_a_zone_is_found_in_which_it_is_another_day(now in 946_684_800i64..8_000_000_000) {
            let moments = Moments::after(now);
            let zone = moments.another_day().expect("a zone");
            let zone: Tz = zone.parse().unwrap();
            for at in [moments.t0, moments.t1, moments.soon] {
                prop_assert_ne!(date(at), date_in(at, zone));
            }
        }

        #[test]
        fn t1_lies_more_than_a_year_later_and_shares_no_field(now in 946_684_800i64..8_000_000_000) {
            let moments = Moments::after(now);
            prop_assert!(moments.t0 > now + 2 * DAY);
            prop_assert!(moments.t1 - moments.t0 > 366 * DAY);
            prop_assert!(moments.t1 - moments.t0 < 800 * DAY);
            let (a, b) = (time(moments.t0).unwrap(), time(moments.t1).unwrap());
            prop_assert!(shares_nothing(a, b), "{a} {b}");
            prop_assert_eq!(moments.soon - moments.t0, 40 * DAY);
        }
    }
}
