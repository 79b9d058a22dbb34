//! Random clients against random batches: the database comes to the same totals as a model of a page, which adds up
//! every announce by itself. What memory believes is right, wrong or forgotten, and must make no difference.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use store::{Applied, Batch, Care, Observation, SessionChange, StoreError};
use tracker_core::accounting::{Baseline, Counters, Suspect, SuspectKind};
use tracker_core::ids::{TorrentId, UserId};
use tracker_core::record::{Event, SessionKey};

use crate::harness::{self, Database, NOW, counters, key};

on_both_databases!(random_batches_come_to_the_totals_of_the_model);

const BATCHES: u64 = 60;
const USERS: u32 = 6;
const TORRENTS: u8 = 4;

/// What the accounts should be.
#[derive(Default)]
struct Model {
    /// What each client says next, and where its counted growth ends.
    clients: BTreeMap<SessionKey, (Counters, Option<Baseline>)>,
    users: HashMap<UserId, Counters>,
    torrents: HashMap<TorrentId, Counters>,
    snatches: BTreeSet<(UserId, TorrentId)>,
}

async fn random_batches_come_to_the_totals_of_the_model(db: Database) {
    let mut random = StdRng::seed_from_u64(20_261_122);
    let mut model = Model::default();
    let (users, torrents) = site(&db).await;

    let mut stale = 0;
    for position in 0..BATCHES {
        let batch = model.random_batch(&mut random, &users, &torrents, position);
        let applied = apply(&db, &batch, &mut stale).await;
        for (change, baseline) in batch.sessions.iter().zip(applied.baselines) {
            let (_, expected) = model.clients[&change.key];
            assert_eq!(baseline, expected, "{:?} in batch {position}", change.key);
        }
        if random.random_bool(0.3) {
            let again = db.store.apply(&batch, Care::Trusting).await;
            let moved =
                matches!(again, Err(StoreError::Moved { found: Some(at) }) if at == position + 1);
            assert!(moved, "batch {position}, again: {again:?}");
        }
    }
    assert!(
        (BATCHES / 4..BATCHES * 3 / 4).contains(&stale),
        "both ways were taken: {stale}"
    );

    model.compare(&db, &users, &torrents).await;
}

async fn apply(db: &Database, batch: &Batch, stale: &mut u64) -> Applied {
    match db.store.apply(batch, Care::Trusting).await {
        Err(StoreError::Stale) => {
            *stale += 1;
            db.store.apply(batch, Care::Careful).await.unwrap()
        }
        outcome => outcome.unwrap(),
    }
}

async fn site(db: &Database) -> (Vec<UserId>, Vec<TorrentId>) {
    let mut users = Vec::new();
    for number in 0..USERS {
        users.push(db.user(&format!("user {number}")).await);
    }
    let mut torrents = Vec::new();
    for byte in 0..TORRENTS {
        torrents.push(db.torrent(byte).await);
    }
    (users, torrents)
}

impl Model {
    /// Some clients announce, each a few times.
    fn random_batch(
        &mut self,
        random: &mut StdRng,
        users: &[UserId],
        torrents: &[TorrentId],
        position: u64,
    ) -> Batch {
        let mut sessions = Vec::new();
        for &user in users {
            for &torrent in torrents {
                for peer in [1, 200] {
                    if random.random_bool(0.4) {
                        sessions.push(self.announces(random, key(user, torrent, peer)));
                    }
                }
            }
        }
        harness::batch(position, position + 1, sessions)
    }

    /// One client's announces in a batch, and what memory believes of them.
    fn announces(&mut self, random: &mut StdRng, key: SessionKey) -> SessionChange {
        let (_, earlier) = self.clients.get(&key).copied().unwrap_or_default();
        let mut observations = Vec::new();
        for _ in 0..random.random_range(1..4) {
            let observation = self.announce(random, key);
            self.observe(key, observation);
            observations.push(observation);
        }
        let mut change = harness::change(key, &[Counters::default()]);
        change.first = observations.remove(0);
        change.rest = observations;
        change.known = if random.random_bool(0.03) {
            Some(wrong(random, earlier))
        } else {
            earlier.filter(|_| random.random_bool(0.7))
        };
        if random.random_bool(0.2) {
            change.completed_at = Some(NOW);
            self.snatches.insert((key.user, key.torrent));
        }
        change
    }

    /// Mostly grows; sometimes begins anew, with or without saying so; sometimes an old announce comes late.
    fn announce(&mut self, random: &mut StdRng, key: SessionKey) -> Observation {
        let said = &mut self.clients.entry(key).or_default().0;
        let started = random.random_bool(0.1);
        if started || random.random_bool(0.05) {
            *said = Counters::default();
        }
        *said = said.saturating_add(counters(
            random.random_range(0..1000),
            random.random_range(0..1000),
        ));
        let late = counters(said.uploaded / 2, said.downloaded / 2);
        let counters = if random.random_bool(0.1) { late } else { *said };
        let event = if started { Event::Started } else { Event::None };
        Observation {
            counters,
            event,
            at: NOW,
        }
    }

    fn observe(&mut self, key: SessionKey, reported: Observation) {
        let (_, baseline) = self.clients.entry(key).or_default();
        let baseline = baseline.get_or_insert(Baseline::starting_at(reported.counters));
        let growth = baseline.observe(reported.counters, reported.event);
        for total in [
            self.users.entry(key.user).or_default(),
            self.torrents.entry(key.torrent).or_default(),
        ] {
            *total = total.saturating_add(growth);
        }
    }

    async fn compare(&self, db: &Database, users: &[UserId], torrents: &[TorrentId]) {
        let mut sum = Counters::default();
        for user in users {
            let expected = self.users[user];
            assert_eq!(db.store.totals(*user).await.unwrap(), expected, "{user:?}");
            sum = sum.saturating_add(expected);
        }
        for torrent in torrents {
            let snatches = self
                .snatches
                .iter()
                .filter(|(_, snatched)| snatched == torrent)
                .count();
            let stored = db.store.torrent(*torrent).await.unwrap().unwrap();
            assert_eq!(stored.completed as usize, snatches, "{torrent:?}");
        }
        assert!(sum.uploaded > 100_000, "the test tested something: {sum:?}");
        let (uploaded, downloaded) = (sum.uploaded as i64, sum.downloaded as i64);
        assert_eq!(
            db.number("select cast(sum(credited_uploaded) as bigint) from sessions")
                .await,
            uploaded
        );
        assert_eq!(
            db.number("select cast(sum(credited_downloaded) as bigint) from sessions")
                .await,
            downloaded
        );
        assert_eq!(
            db.number("select cast(sum(uploaded) as bigint) from torrents")
                .await,
            uploaded
        );
        assert_eq!(
            db.number("select cast(sum(downloaded) as bigint) from torrents")
                .await,
            downloaded
        );
        assert_eq!(
            db.number("select count(*) from sessions").await,
            self.clients.len() as i64
        );
        for session in db.store.active_sessions(NOW, None, 10_000).await.unwrap() {
            assert_eq!(
                Some(session.baseline),
                self.clients[&session.key].1,
                "{:?}",
                session.key
            );
        }
    }
}

/// Another baseline, a little beside the right one.
fn wrong(random: &mut StdRng, right: Option<Baseline>) -> Baseline {
    let Some(mut wrong) = right else {
        return Baseline::default();
    };
    wrong.suspect = match wrong.suspect {
        None if random.random_bool(0.5) => Some(Suspect {
            counters: Counters::default(),
            kind: SuspectKind::Fell,
        }),
        None => {
            wrong.counters.uploaded += 1;
            None
        }
        Some(suspect) if random.random_bool(0.5) => Some(Suspect {
            kind: match suspect.kind {
                SuspectKind::Fell => SuspectKind::Ended,
                _ => SuspectKind::Fell,
            },
            ..suspect
        }),
        Some(_) => None,
    };
    wrong
}
