//! A tracker process, without the network and with its threads laid open: each of their steps is taken by hand.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use persister::flush::{FlushError, Persister};
use persister::journal::{self, JournalId, Options, Writer};
use persister::lanes::Lanes;
use persister::load::{load, replay};
use rand::rngs::{SmallRng, StdRng};
use rand::{RngExt, SeedableRng};
use store::Store;
use tracker_core::ids::UnixTime;
use tracker_core::key::TokenKey;
use tracker_core::outbox::Round;
use tracker_core::record::Event;
use tracker_core::settings::Settings;
use tracker_core::tracker::{Announced, Outcome, Scratch, Tracker};

use crate::client::{Report, Session};

pub(crate) struct Node {
    dir: PathBuf,
    pub(crate) tracker: Arc<Tracker>,
    writer: Writer,
    pub(crate) persister: Persister,
    scratch: Scratch,
}

/// How a process dies.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Death {
    /// Between two writes.
    Quiet,
    /// In the middle of a write: some of its bytes are there.
    TornWrite,
    /// After a write, and the disk has its bytes twice.
    DoubleWrite,
}

impl Node {
    pub(crate) async fn start(store: Store, dir: &Path, name: u8, now: UnixTime) -> Self {
        let id = JournalId([name; 8]);
        let options = Options {
            dir: dir.to_owned(),
            id,
            segment_bytes: 16 << 10,
            limit_bytes: 1 << 30,
        };
        let lanes = Lanes::settled(&store, &id.to_string()).await.unwrap();
        let applied = lanes.applied();
        let (writer, log, recovery) = journal::open(options, applied).unwrap();
        let findings = recovery.findings.iter();
        let serious: Vec<_> = findings.filter(|finding| finding.is_serious()).collect();
        assert!(serious.is_empty(), "{serious:?}");

        let settings = Settings {
            min_interval_secs: 0,
            ..Settings::default()
        };
        let tracker = Arc::new(Tracker::new(TokenKey::from_bytes([7; 32]), settings));
        let loaded = load(&store, &tracker, now, &mut |_| {}).await.unwrap();
        replay(&log, applied, &tracker, now, &mut |_| {}).unwrap();
        tracker.outbox.attach_journal();
        let baselines = loaded.baselines;
        Self {
            dir: dir.to_owned(),
            persister: Persister::new(store, Arc::clone(&tracker), log, lanes, baselines),
            tracker,
            writer,
            scratch: Scratch::with_rng(SmallRng::seed_from_u64(now.0.into())),
        }
    }

    /// Says a report; the round in which it will be in the journal, if it waits for that.
    pub(crate) fn announce(
        &mut self,
        (user, torrent): (u32, u8),
        session: &Session,
        from: IpAddr,
        report: &Report,
        now: UnixTime,
    ) -> Option<Round> {
        let event = match report.event {
            Event::None => "",
            event => event.name(),
        };
        let query = format!(
            "info_hash={}&peer_id=-SIM-{:015x}&port={}&uploaded={}&downloaded={}&left={}&event={event}",
            char::from(b'a' + torrent).to_string().repeat(20),
            session.peer_id >> 4,
            session.port,
            report.counters.uploaded,
            report.counters.downloaded,
            report.left,
        );
        let key = hex(passkey(user));
        let Announced { outcome, after, .. } = self.tracker.announce(
            Some(key.as_bytes()),
            query.as_bytes(),
            from,
            now,
            &mut self.scratch,
        );
        assert!(
            !matches!(outcome, Outcome::Refused(_)),
            "{outcome:?}: {query}"
        );
        after
    }

    /// One round of the journal's thread.
    pub(crate) fn record(&mut self) -> Round {
        let mut records = Vec::new();
        let take = |record: &_| records.push(*record);
        let round = self.tracker.outbox.drain(&mut Vec::new(), take);
        self.writer.append(&records).unwrap();
        round
    }

    /// Flushes, and is cut off after so many polls; `None` if it was.
    pub(crate) async fn flush_for(&mut self, polls: usize) -> Option<Result<(), FlushError>> {
        polled_at_most(polls, std::pin::pin!(self.persister.flush())).await
    }

    /// Flushes, and after so many polls something else happens, while the database may still be at work; then the
    /// flush goes on. `None` if it had ended before.
    pub(crate) async fn flush_and(
        &mut self,
        polls: usize,
        happens: impl Future<Output = ()>,
    ) -> Option<Result<(), FlushError>> {
        let mut flush = std::pin::pin!(self.persister.flush());
        if polled_at_most(polls, flush.as_mut()).await.is_some() {
            return None;
        }
        happens.await;
        Some(flush.await)
    }

    /// What it knows is gone, but for the bytes on disk.
    pub(crate) fn die(mut self, death: Death, random: &mut StdRng) {
        match death {
            Death::Quiet => {}
            Death::TornWrite => {
                let before = files(&self.dir);
                self.record();
                if let Some((path, written, was)) = changed(&self.dir, &before) {
                    let cut = random.random_range(written.from..=written.to);
                    let mut torn = was;
                    torn[..HEADER].copy_from_slice(&written.bytes[..HEADER]);
                    torn[written.from..cut].copy_from_slice(&written.bytes[written.from..cut]);
                    fs::write(path, torn).unwrap();
                }
            }
            Death::DoubleWrite => {
                let before = files(&self.dir);
                self.record();
                if let Some((path, written, _)) = changed(&self.dir, &before) {
                    let copy = written.bytes[written.from..written.to].to_vec();
                    let mut twice = written.bytes;
                    let end = (written.to + copy.len()).min(twice.len());
                    twice[written.to..end].copy_from_slice(&copy[..end - written.to]);
                    fs::write(path, twice).unwrap();
                }
            }
        }
    }
}

/// Bytes of a segment's header.
const HEADER: usize = 32;

/// The future's end, if it comes before so many polls were not enough.
async fn polled_at_most<T>(
    mut polls: usize,
    mut future: std::pin::Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    std::future::poll_fn(|context| {
        if polls == 0 {
            return std::task::Poll::Ready(None);
        }
        polls -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

struct Written {
    bytes: Vec<u8>,
    from: usize,
    to: usize,
}

fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let segments = entries.filter(|path| path.extension().is_some_and(|e| e == "journal"));
    segments
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

/// The file that a write went to: its bytes now, which of them are new, and what they were.
fn changed(dir: &Path, before: &BTreeMap<PathBuf, Vec<u8>>) -> Option<(PathBuf, Written, Vec<u8>)> {
    let (path, bytes) = files(dir).into_iter().rfind(|(path, bytes)| {
        before
            .get(path)
            .is_none_or(|was| was.len() <= bytes.len() && was != bytes)
    })?;
    let was = before
        .get(&path)
        .cloned()
        .unwrap_or_else(|| vec![0; bytes.len()]);
    // A frame ends in a port, whose low byte isn't 0 here. A segment has its header before it has its name.
    let end = |bytes: &[u8]| bytes.iter().rposition(|&byte| byte != 0).map(|at| at + 1);
    let from = end(&was).unwrap_or(0).max(HEADER);
    let to = end(&bytes)?;
    Some((path, Written { bytes, from, to }, was))
}

pub(crate) fn passkey(user: u32) -> [u8; 16] {
    let mut key = [9; 16];
    key[..4].copy_from_slice(&user.to_be_bytes());
    key
}

fn hex(bytes: [u8; 16]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
