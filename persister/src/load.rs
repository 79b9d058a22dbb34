//! At the start: everything a tracker knows, page by page out of the database; then what only the journal knows.

use rand::SeedableRng;
use rand::rngs::SmallRng;
use store::{ChangeId, PAGE_MAX, RULES_MAX, Result, Store};
use tracker_core::ids::UnixTime;
use tracker_core::record::Record;
use tracker_core::session::StoredSession;
use tracker_core::tracker::Tracker;

use crate::baselines::Baselines;
use crate::journal::{Log, Position, ReadError};

/// What is being loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Members and their passkeys.
    Members,
    /// Torrents and their states.
    Torrents,
    /// The sessions that were in a swarm when the tracker stopped.
    Sessions,
    /// Announces that the database doesn't have yet.
    Journal,
}

/// How far it is: for a progress bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// At what.
    pub stage: Stage,
    /// Rows loaded.
    pub done: u64,
    /// Rows there were when this stage began.
    pub total: u64,
}

/// What [`load`] brings for others.
#[derive(Debug)]
pub struct Loaded {
    /// From where on [`follow`](crate::follow) must read: asked for first, so that what changes meanwhile is read twice
    /// rather than never.
    pub change: ChangeId,
    /// The baselines of the sessions that are in their swarms.
    pub baselines: Baselines,
}

/// Fills an empty tracker from the database.
pub async fn load(
    store: &Store,
    tracker: &Tracker,
    now: UnixTime,
    report: &mut (dyn FnMut(Progress) + Send),
) -> Result<Loaded> {
    let change = store.latest_change().await?;
    load_ip_blocks(store, tracker).await?;
    load_client_rules(store, tracker).await?;
    load_members(store, tracker, now, report).await?;
    load_torrents(store, tracker, report).await?;
    let baselines = load_sessions(store, tracker, now, report).await?;
    Ok(Loaded { change, baselines })
}

/// Does to the swarms what the journal has and the database hasn't. Their credit comes in its own time, by the
/// [persister](crate::flush).
pub fn replay(
    log: &Log,
    applied: Position,
    tracker: &Tracker,
    now: UnixTime,
    report: &mut dyn FnMut(Progress),
) -> Result<(), ReadError> {
    let settings = tracker.settings.load_full();
    let oldest = UnixTime(now.0.saturating_sub(settings.peer_timeout_secs()));
    let max_clients = settings.max_peers_per_torrent_per_user;
    let mut rng = SmallRng::from_rng(&mut rand::rng());
    let mut progress = Progress {
        stage: Stage::Journal,
        done: 0,
        total: log.end().0.saturating_sub(applied.0),
    };
    let mut replay_one = |_, record: &Record| {
        let stays = record.at >= oldest && tracker.roster.is_active(record.session.user);
        let record = Record {
            in_swarm: record.in_swarm && stays,
            ..*record
        };
        tracker.swarms.replay(&record, max_clients, &mut rng);
    };
    let mut reader = log.reader(applied);
    loop {
        report(progress);
        let read = reader.read(REPLAY_PAGE, &mut replay_one)?;
        if read == 0 {
            return Ok(());
        }
        progress.done += read as u64;
    }
}

/// Records between two moves of the progress bar.
const REPLAY_PAGE: usize = 65_536;

/// As a whole, also when one changed.
pub(crate) async fn load_ip_blocks(store: &Store, tracker: &Tracker) -> Result<()> {
    let blocks = store.ip_blocks(i64::MAX, RULES_MAX).await?;
    let blocks = blocks.into_iter().map(|block| block.rule);
    tracker.gate.put_blocks(blocks);
    Ok(())
}

/// As a whole, also when one changed.
pub(crate) async fn load_client_rules(store: &Store, tracker: &Tracker) -> Result<()> {
    let rules = store.client_rules(i64::MAX, RULES_MAX).await?;
    let rules = rules.into_iter().map(|rule| rule.rule).collect();
    tracker.gate.put_client_rules(rules);
    Ok(())
}

async fn load_members(
    store: &Store,
    tracker: &Tracker,
    now: UnixTime,
    report: &mut (dyn FnMut(Progress) + Send),
) -> Result<()> {
    let mut progress = Progress {
        stage: Stage::Members,
        done: 0,
        total: store.count_members().await?,
    };
    let mut after = None;
    loop {
        report(progress);
        let page = store.members(after, PAGE_MAX).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        progress.done += page.len() as u64;
        page.into_iter()
            .for_each(|member| tracker.roster.put_member(member));
    }
    let mut after = None;
    loop {
        let page = store.revoked_tokens(now, after, PAGE_MAX).await?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        after = Some(last.id);
        page.into_iter()
            .for_each(|token| tracker.roster.revoke(token));
    }
}

async fn load_torrents(
    store: &Store,
    tracker: &Tracker,
    report: &mut (dyn FnMut(Progress) + Send),
) -> Result<()> {
    let mut progress = Progress {
        stage: Stage::Torrents,
        done: 0,
        total: store.count_torrents().await?,
    };
    let mut after = None;
    loop {
        report(progress);
        let page = store.torrents(after, PAGE_MAX).await?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        after = Some(last.id);
        progress.done += page.len() as u64;
        page.iter()
            .for_each(|torrent| tracker.swarms.put_torrent(torrent));
    }
}

async fn load_sessions(
    store: &Store,
    tracker: &Tracker,
    now: UnixTime,
    report: &mut (dyn FnMut(Progress) + Send),
) -> Result<Baselines> {
    let settings = tracker.settings.load_full();
    let since = UnixTime(now.0.saturating_sub(settings.peer_timeout_secs()));
    let mut progress = Progress {
        stage: Stage::Sessions,
        done: 0,
        total: store.count_active_sessions(since).await?,
    };
    // Swarms are kept in random order; which one is of no consequence.
    let mut rng = SmallRng::from_rng(&mut rand::rng());
    let mut baselines = Baselines::default();
    let mut after = None;
    loop {
        report(progress);
        let page = store
            .active_sessions(since, after.as_ref(), PAGE_MAX)
            .await?;
        let Some(last) = page.last() else {
            return Ok(baselines);
        };
        after = Some(last.key);
        progress.done += page.len() as u64;
        page.iter().for_each(|session| baselines.learn(session));
        let is_active = |session: &&StoredSession| tracker.roster.is_active(session.key.user);
        for session in page.iter().filter(is_active) {
            let max_clients = settings.max_peers_per_torrent_per_user;
            tracker.swarms.restore(session, max_clients, &mut rng);
        }
    }
}
