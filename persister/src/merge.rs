//! Many records of a session become one change of its row. So what waits grows with the sessions, and not with the time
//! that the database is away.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use store::{Observation, SessionChange, SessionGrowth};
use tracker_core::ids::UnixTime;
use tracker_core::record::{Endpoint, Event, Record, Role, SessionKey, Ticket};

/// Observations kept of a session that memory doesn't know. At one announce in half an hour that is five days without a
/// database; after that the latest takes the place of the one before, which can only cost what a restarting client earned.
const OBSERVATIONS_MAX: usize = 256;

/// Sessions that there is always room for.
const CAPACITY_KEPT: usize = 65_536;

/// What has been taken out of the outbox and isn't on its way to the database yet.
#[derive(Debug, Default)]
pub struct Pending {
    sessions: HashMap<SessionKey, SessionChange>,
    /// Of those that memory doesn't know: their latest report.
    tickets: HashMap<SessionKey, Ticket>,
    records: u64,
    oldest: Option<UnixTime>,
}

impl Pending {
    /// Takes the next record of its session.
    pub fn add(&mut self, record: &Record) {
        self.records += 1;
        self.oldest = self.oldest.or(Some(record.at));
        let change = match self.sessions.entry(record.session) {
            Entry::Vacant(vacant) => vacant.insert(first_change(record)),
            Entry::Occupied(occupied) => {
                let change = occupied.into_mut();
                grow(&mut change.growth, record);
                change
            }
        };
        follow_up(change, record);
        if matches!(change.growth, SessionGrowth::Unresolved(_)) {
            self.tickets.insert(record.session, record.ticket);
        }
    }

    /// Everything so far, sorted by session, and nothing is pending any more.
    pub fn take(&mut self) -> Vec<SessionChange> {
        (self.records, self.oldest) = (0, None);
        let mut sessions: Vec<_> = self.sessions.drain().map(|(_, change)| change).collect();
        sessions.sort_unstable_by_key(|change| change.key);
        // An hour without the database shouldn't cost its memory for ever.
        if self.sessions.capacity() > CAPACITY_KEPT {
            self.sessions.shrink_to(CAPACITY_KEPT);
        }
        sessions
    }

    /// The latest report of each session that memory doesn't know: what it will be settled up to.
    pub fn take_tickets(&mut self) -> HashMap<SessionKey, Ticket> {
        std::mem::take(&mut self.tickets)
    }

    /// Sessions that have changed since the last [`take`](Self::take).
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Records merged since the last [`take`](Self::take).
    pub fn records(&self) -> u64 {
        self.records
    }

    /// When the oldest of them was announced.
    pub fn oldest(&self) -> Option<UnixTime> {
        self.oldest
    }
}

fn first_change(record: &Record) -> SessionChange {
    SessionChange {
        key: record.session,
        growth: match record.settled {
            Some(settled) => SessionGrowth::Known {
                growth: settled.growth,
                baseline: settled.baseline,
            },
            None => SessionGrowth::Unresolved(vec![observation(record)]),
        },
        bytes_left: record.left,
        role: record.role,
        active: true,
        endpoint4: None,
        endpoint6: None,
        first_at: record.at,
        announced_at: record.at,
        completed_at: None,
    }
}

fn grow(growth: &mut SessionGrowth, record: &Record) {
    match (growth, record.settled) {
        (SessionGrowth::Known { growth, baseline }, Some(settled)) => {
            *growth = growth.saturating_add(settled.growth);
            *baseline = settled.baseline;
        }
        // It left the swarm and came back: memory has forgotten it, and here its baseline still is.
        (SessionGrowth::Known { growth, baseline }, None) => {
            let observation = observation(record);
            *growth =
                growth.saturating_add(baseline.observe(observation.counters, observation.started));
        }
        // Even if memory knows it by now: the replay starts at the stored baseline and passes over what it has seen.
        (SessionGrowth::Unresolved(observations), _) => {
            if observations.len() >= OBSERVATIONS_MAX {
                observations.pop();
            }
            observations.push(observation(record));
        }
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
        started: record.event == Event::Started,
    }
}

#[cfg(test)]
mod tests {
    use tracker_core::accounting::{Baseline, Counters};
    use tracker_core::ids::{PeerId, TorrentId, UserId};
    use tracker_core::record::Settled;

    use super::*;

    fn record(user: u32, uploaded: u64, event: Event) -> Record {
        Record {
            session: SessionKey {
                user: UserId(user),
                torrent: TorrentId(1),
                peer_id: PeerId([1; 20]),
            },
            ticket: Ticket(uploaded),
            counters: Counters {
                uploaded,
                downloaded: 0,
            },
            settled: None,
            left: 0,
            role: Role::Seeder,
            in_swarm: event != Event::Stopped,
            event,
            at: UnixTime(100 + uploaded as u32),
            endpoint: Endpoint::V4([1; 6]),
        }
    }

    fn known(user: u32, uploaded: u64, growth: u64, event: Event) -> Record {
        let counters = |uploaded| Counters {
            uploaded,
            downloaded: 0,
        };
        let settled = Settled {
            growth: counters(growth),
            baseline: Baseline::starting_at(counters(uploaded)),
        };
        Record {
            settled: Some(settled),
            ..record(user, uploaded, event)
        }
    }

    fn merged(records: &[Record]) -> Vec<SessionChange> {
        let mut pending = Pending::default();
        records.iter().for_each(|record| pending.add(record));
        pending.take()
    }

    #[test]
    fn growth_of_a_known_session_adds_up() {
        let changes = merged(&[known(1, 10, 10, Event::None), known(1, 25, 15, Event::None)]);
        let [change] = &changes[..] else {
            panic!("one session, one change")
        };
        let SessionGrowth::Known { growth, baseline } = change.growth else {
            panic!("known")
        };
        assert_eq!((growth.uploaded, baseline.counters.uploaded), (25, 25));
        assert_eq!(
            (change.first_at, change.announced_at),
            (UnixTime(110), UnixTime(125))
        );
    }

    #[test]
    fn session_that_stopped_and_came_back_goes_on_from_its_baseline() {
        let changes = merged(&[
            known(1, 10, 10, Event::Stopped),
            record(1, 10, Event::Stopped),
            record(1, 13, Event::None),
        ]);
        let SessionGrowth::Known { growth, .. } = changes[0].growth else {
            panic!("known")
        };
        assert_eq!(growth.uploaded, 13);
        assert!(changes[0].active);
    }

    #[test]
    fn unknown_session_keeps_every_word_for_the_replay_up_to_a_limit() {
        let mut records: Vec<_> = (0..300)
            .map(|uploaded| record(1, uploaded, Event::None))
            .collect();
        records.push(known(1, 400, 1, Event::None));
        let changes = merged(&records);
        let SessionGrowth::Unresolved(observations) = &changes[0].growth else {
            panic!("unresolved")
        };
        assert_eq!(observations.len(), OBSERVATIONS_MAX);
        assert_eq!(observations.first().map(|o| o.counters.uploaded), Some(0));
        assert_eq!(observations.last().map(|o| o.counters.uploaded), Some(400));
    }

    #[test]
    fn both_endpoints_and_the_first_completion_are_kept() {
        let v6 = Record {
            endpoint: Endpoint::V6([2; 18]),
            ..record(1, 2, Event::Completed)
        };
        let changes = merged(&[record(1, 1, Event::Completed), v6]);
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
            merged(&[leecher])[0].completed_at,
            None,
            "nothing is complete with bytes left"
        );
    }

    #[test]
    fn changes_come_sorted_and_once() {
        let mut pending = Pending::default();
        for user in [3, 1, 2, 1] {
            pending.add(&record(user, 5, Event::None));
        }
        assert_eq!(
            (pending.records(), pending.oldest()),
            (4, Some(UnixTime(105)))
        );
        let users: Vec<_> = pending
            .take()
            .iter()
            .map(|change| change.key.user.0)
            .collect();
        assert_eq!(users, [1, 2, 3]);
        assert_eq!((pending.records(), pending.take()), (0, vec![]));
    }
}
