//! Records become the changes of a batch: one a session, in the order of their keys.

use store::{Observation, SessionChange};
use tracker_core::accounting::Baseline;
use tracker_core::record::{Endpoint, Event, Record, Role, SessionKey};

/// Sorts the records by session, each session's in the order in which they happened, and merges them.
///
/// A seeder that is silent for longer than `silence_secs` has left its swarm meanwhile.
pub fn merge(
    records: &mut [Record],
    silence_secs: u32,
    hint: impl Fn(&SessionKey) -> Option<Baseline>,
) -> Vec<SessionChange> {
    // Stable: the order within a session is what its credit hangs on.
    records.sort_by_key(|record| record.session);
    let mut changes = Vec::<SessionChange>::with_capacity(records.len());
    for record in &*records {
        match changes.last_mut().filter(|last| last.key == record.session) {
            Some(change) => {
                change.rest.push(observation(record));
                change.seeded_secs += seeded_until(change, record, silence_secs);
                follow_up(change, record);
            }
            None => changes.push(first_change(record, hint(&record.session))),
        }
    }
    changes
}

fn first_change(record: &Record, known: Option<Baseline>) -> SessionChange {
    let mut change = SessionChange {
        key: record.session,
        known,
        first: observation(record),
        rest: Vec::new(),
        bytes_left: record.left,
        role: record.role,
        active: true,
        endpoint4: None,
        endpoint6: None,
        first_at: record.at,
        announced_at: record.at,
        seeded_secs: 0,
        completed_at: None,
    };
    follow_up(&mut change, record);
    change
}

/// From its last announce on, if it was a seeder then.
fn seeded_until(change: &SessionChange, record: &Record, silence_secs: u32) -> u32 {
    let secs = record.at.secs_since(change.announced_at);
    match change.active && change.role == Role::Seeder && secs <= silence_secs {
        true => secs,
        false => 0,
    }
}

/// All but the counters: the latest word counts.
fn follow_up(change: &mut SessionChange, record: &Record) {
    change.bytes_left = record.left;
    change.role = record.role;
    change.active = record.in_swarm;
    change.announced_at = record.at;
    match record.endpoint {
        Endpoint::V4(compact) => change.endpoint4 = Some(compact),
        Endpoint::V6(compact) => change.endpoint6 = Some(compact),
    }
    if record.event == Event::Completed && record.role == Role::Seeder {
        change.completed_at = change.completed_at.or(Some(record.at));
    }
}

fn observation(record: &Record) -> Observation {
    Observation {
        counters: record.counters,
        event: record.event,
        at: record.at,
    }
}

#[cfg(test)]
mod tests {
    use tracker_core::accounting::Counters;
    use tracker_core::ids::{PeerId, TorrentId, UnixTime, UserId};

    use super::*;

    fn record(user: u32, uploaded: u64, event: Event) -> Record {
        Record {
            session: SessionKey {
                user: UserId(user),
                torrent: TorrentId(1),
                peer_id: PeerId([1; 20]),
            },
            counters: Counters {
                uploaded,
                downloaded: 0,
            },
            left: 0,
            role: Role::Seeder,
            in_swarm: event != Event::Stopped,
            event,
            at: UnixTime(100 + uploaded as u32),
            endpoint: Endpoint::V4([1; 6]),
        }
    }

    fn merged(mut records: Vec<Record>) -> Vec<SessionChange> {
        merge(&mut records, 60, |_| None)
    }

    #[test]
    fn every_word_of_a_session_is_kept_in_order() {
        let changes = merged(vec![
            record(2, 9, Event::None),
            record(1, 0, Event::Started),
            record(1, 7, Event::None),
            record(1, 5, Event::Stopped),
        ]);
        let [one, two] = &changes[..] else {
            panic!("two sessions, two changes")
        };
        assert_eq!((one.key.user, two.key.user), (UserId(1), UserId(2)));
        let said: Vec<_> = std::iter::once(&one.first)
            .chain(&one.rest)
            .map(|word| (word.counters.uploaded, word.event))
            .collect();
        assert_eq!(
            said,
            [(0, Event::Started), (7, Event::None), (5, Event::Stopped)]
        );
        assert_eq!(
            (one.first_at, one.announced_at),
            (UnixTime(100), UnixTime(105))
        );
        assert!(!one.active && two.active);
    }

    #[test]
    fn seed_time_is_that_between_a_seeders_words() {
        let at = |secs, event, role| Record {
            at: UnixTime(secs),
            role,
            in_swarm: event != Event::Stopped,
            ..record(1, 0, event)
        };
        let changes = merged(vec![
            at(100, Event::Started, Role::Leecher),
            at(150, Event::Completed, Role::Seeder),
            at(200, Event::None, Role::Seeder),
            // Silent for too long, but not a second longer.
            at(260, Event::None, Role::Seeder),
            at(321, Event::Stopped, Role::Seeder),
            at(340, Event::Started, Role::Seeder),
            at(345, Event::None, Role::Seeder),
        ]);
        assert_eq!(changes[0].seeded_secs, 50 + 60 + 5);
    }

    #[test]
    fn both_endpoints_and_the_first_completion_are_kept() {
        let v6 = Record {
            endpoint: Endpoint::V6([2; 18]),
            ..record(1, 2, Event::Completed)
        };
        let changes = merged(vec![record(1, 1, Event::Completed), v6]);
        assert_eq!(
            (changes[0].endpoint4, changes[0].endpoint6),
            (Some([1; 6]), Some([2; 18]))
        );
        assert_eq!(changes[0].completed_at, Some(UnixTime(101)));
        let leecher = Record {
            role: Role::Leecher,
            left: 1,
            ..record(1, 1, Event::Completed)
        };
        assert_eq!(
            merged(vec![leecher])[0].completed_at,
            None,
            "nothing is complete with bytes left"
        );
    }

    #[test]
    fn hint_is_asked_for_once_a_session() {
        let asked = std::cell::Cell::new(0);
        let hint = |_: &SessionKey| {
            asked.set(asked.get() + 1);
            Some(Baseline::default())
        };
        let mut records = vec![record(1, 1, Event::None), record(1, 2, Event::None)];
        let changes = merge(&mut records, 60, hint);
        assert_eq!(
            (asked.get(), changes[0].known),
            (1, Some(Baseline::default()))
        );
    }
}
