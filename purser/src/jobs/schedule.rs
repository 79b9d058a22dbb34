//! Cron expressions, in UTC, to the second.

use croner::Cron;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use tracker_core::ids::UnixTime;

/// When it was due last: now, or before.
pub(super) fn last(schedule: &str, now: UnixTime) -> Option<UnixTime> {
    let found = parse(schedule)?.find_previous_occurrence(&zoned(now), true);
    unix(&found.ok()?)
}

/// When it is due next: after now.
pub(super) fn next(schedule: &str, now: UnixTime) -> Option<UnixTime> {
    let found = parse(schedule)?.find_next_occurrence(&zoned(now), false);
    unix(&found.ok()?)
}

/// A test parses those of all jobs.
fn parse(schedule: &str) -> Option<Cron> {
    schedule.parse().ok()
}

fn zoned(time: UnixTime) -> Zoned {
    // 32 bits of seconds are years that it knows.
    let time = Timestamp::from_second(time.0.into()).unwrap_or_default();
    time.to_zoned(TimeZone::UTC)
}

fn unix(time: &Zoned) -> Option<UnixTime> {
    u32::try_from(time.timestamp().as_second())
        .ok()
        .map(UnixTime)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::JOBS;

    #[test]
    fn each_jobs_schedule_says_when() {
        let now = UnixTime::now();
        for job in JOBS {
            let (last, next) = (last(job.schedule, now), next(job.schedule, now));
            let (Some(last), Some(next)) = (last, next) else {
                panic!("{}: {}", job.name, job.schedule);
            };
            assert!(last <= now && now < next, "{}", job.name);
            assert!(next.0 - last.0 <= 86_400, "{}: at least daily", job.name);
        }
    }

    #[test]
    fn a_schedule_is_due_from_its_second_to_the_next() {
        // 2026-11-24 18:10:00 UTC.
        let due = UnixTime(1_795_543_800);
        let at = |secs: u32| UnixTime(due.0 + secs);
        for secs in [0, 1, 3599] {
            assert_eq!(last("10 * * * *", at(secs)), Some(due));
            assert_eq!(next("10 * * * *", at(secs)), Some(at(3600)));
        }
        assert_eq!(last("10 * * * *", at(3600)), Some(at(3600)));
        assert_eq!(
            last("10 * * * *", UnixTime(due.0 - 1)),
            Some(UnixTime(due.0 - 3600))
        );
    }

    #[test]
    fn what_isnt_a_schedule_is_never_due() {
        assert_eq!(last("now and then", UnixTime(5)), None);
        assert_eq!(next("now and then", UnixTime(5)), None);
    }
}
