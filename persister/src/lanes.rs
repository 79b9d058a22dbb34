//! How far the database has come with a journal, lane by lane.
//!
//! A lane is every second member (on Postgres; SQLite has one writer, and so one lane). Each has a mark and transactions
//! of its own, so that the database's cores share the work: sessions, snatches and members of two lanes are never the
//! same rows, and the torrents that they share are locked last and shortly.

use store::{Mark, Result, Store};
use tracker_core::ids::UserId;
use tracker_core::record::Record;

use crate::journal::Position;

/// All lanes of one journal.
#[derive(Debug)]
pub struct Lanes(pub(crate) Vec<Lane>);

/// One lane.
#[derive(Debug)]
pub(crate) struct Lane {
    /// Its mark's name.
    pub(crate) name: String,
    /// The database has its records up to here.
    pub(crate) position: u64,
    /// A transaction up to here was sent, and nobody knows yet whether it went through.
    pub(crate) doubt: Option<u64>,
    /// Batches that didn't fit, since all went well.
    pub(crate) misfits: u32,
    /// On their way.
    pub(crate) records: Vec<Record>,
}

impl Lanes {
    /// Asks the database how far it is, once and for all: see [`Store::settled_mark`].
    pub async fn settled(store: &Store, journal: &str) -> Result<Self> {
        let mut lanes = Vec::new();
        for name in names(store, journal) {
            lanes.push(Lane {
                position: store.settled_mark(&name).await?,
                name,
                doubt: None,
                misfits: 0,
                records: Vec::new(),
            });
        }
        Ok(Self(lanes))
    }

    /// How far the database is, at a glance: for who only looks.
    pub async fn glimpse(store: &Store, journal: &str) -> Result<Position> {
        let mut applied = u64::MAX;
        for name in names(store, journal) {
            applied = applied.min(store.mark(&name).await?.unwrap_or(0));
        }
        Ok(Position(applied))
    }

    /// The database has everything up to here, in every lane.
    pub fn applied(&self) -> Position {
        Position(self.0.iter().map(|lane| lane.position).min().unwrap_or(0))
    }

    /// What stands in `sessions.written_by` of each lane's members; a member's lane is their number modulo these.
    pub fn writers(&self) -> Vec<i64> {
        let writer = |lane: &Lane| {
            let mark = Mark {
                journal: lane.name.clone(),
                from: lane.position,
                to: lane.position,
            };
            mark.writer()
        };
        self.0.iter().map(writer).collect()
    }

    /// A member's.
    pub(crate) fn of(&mut self, user: UserId) -> Option<&mut Lane> {
        let count = self.0.len();
        self.0.get_mut(user.0 as usize % count.max(1))
    }
}

/// The number of lanes is in the marks' names. Should it ever change, what is in a journal has to be brought in before.
fn names(store: &Store, journal: &str) -> Vec<String> {
    match store.writers() {
        1 => vec![journal.to_owned()],
        count => (0..count)
            .map(|lane| format!("{journal}/{lane} of {count}"))
            .collect(),
    }
}
