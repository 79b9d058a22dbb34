//! What clients reported, applied in one transaction: sessions, snatches, the totals of members and torrents, and how
//! far the journal has come. All of it or nothing, so that the database is always the journal up to its mark, added up.
//!
//! Credit is reckoned [here](plan) and nowhere else: the baseline in the database, and what the session reported since,
//! in order. Memory may hint at that baseline, which saves reading it; the write then checks that the hint was right.
//!
//! Tables and rows are taken in the same order (mark, sessions, snatches, users, traffic, torrents; each by key), so that two
//! writers hardly ever deadlock. Where they do, the database picks one, and its batch comes again.

mod plan;
mod policies;
mod postgres;
mod sqlite;

use std::collections::{HashMap, HashSet};

use economy::window::Window;
use tracker_core::accounting::{Baseline, Counters};
use tracker_core::ids::{PeerId, TorrentId, UnixTime, UserId};
use tracker_core::record::{Event, Role, SessionKey};
use tracker_core::registry::UserClass;

use crate::Store;
use crate::columns::{self, BaselineColumns, Word, bigint};
use crate::error::{Result, StoreError};
use crate::store::{in_transaction, reading};
pub(crate) use postgres::FIND_ROWS_BY_KEY;
pub(crate) use sqlite::Statement;

use plan::{Plan, SessionRow, SetAside, Snatch, Totals, Traffic};
use policies::{ClassChange, ClassChangeRow, Policies, Token, TokenRow};

/// Some records of a journal, merged by session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Which records.
    pub mark: Mark,
    /// Sorted by key, each key once.
    pub sessions: Vec<SessionChange>,
    /// A seeder silent for longer than so many seconds wasn't in its swarm meanwhile, and has no seed time for it.
    pub silence_secs: u32,
    /// No session with a hint announced before this, as far as the hints' maker can tell.
    pub hints_since: UnixTime,
}

/// A stretch of a journal: positions after `from`, up to and with `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Whose: a journal's name, or one lane's of it. Each tracker process that shares the database has a journal of its own.
    pub journal: String,
    /// How far it must have been applied before; 0 for not at all.
    pub from: u64,
    /// How far it is applied then.
    pub to: u64,
}

impl Mark {
    /// The journal's name, short enough to stand in every session: `sessions.written_by`.
    pub fn writer(&self) -> i64 {
        // FNV-1a: the same in every build.
        let hash = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = self.journal.bytes().fold(0xcbf2_9ce4_8422_2325, hash);
        (hash >> 1) as i64
    }
}

/// What became of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionChange {
    /// Whose, where, which.
    pub key: SessionKey,
    /// The baseline that memory believes to be in the database. `None`: it doesn't know, or there is none.
    pub known: Option<Baseline>,
    /// The first report. Without a baseline in the database it is the baseline, and earns nothing.
    pub first: Observation,
    /// The reports after it, in order. Mostly none.
    pub rest: Vec<Observation>,
    /// Bytes the client still wants.
    pub bytes_left: u64,
    /// What it is to its swarm now.
    pub role: Role,
    /// Still in its swarm? Not after `stopped`.
    pub active: bool,
    /// Its compact IPv4 endpoint; `None` keeps the stored one.
    pub endpoint4: Option<[u8; 6]>,
    /// Its compact IPv6 endpoint; `None` keeps the stored one.
    pub endpoint6: Option<[u8; 18]>,
    /// The first announce in this batch: when a new session started.
    pub first_at: UnixTime,
    /// The last announce.
    pub announced_at: UnixTime,
    /// Seconds that it seeded from its first announce in this batch to its last.
    pub seeded_secs: u32,
    /// When it finished the download, if it did in this batch.
    pub completed_at: Option<UnixTime>,
}

/// What a client said of a session's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// As sent.
    pub counters: Counters,
    /// Why it announced.
    pub event: Event,
    /// When. It says nothing new if another tracker has brought in what the session said later.
    pub at: UnixTime,
}

/// How much to take for granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Care {
    /// Hints are right, and members and torrents are where they were. Where that isn't so, nothing is applied and the
    /// answer is [`StoreError::Stale`].
    Trusting,
    /// Everything is looked up, and the sessions are kept from other writers. Those of members and torrents that don't
    /// exist are set aside. Still `Stale` when another tracker adds one of the sessions, or somebody deletes a member or a
    /// torrent, meanwhile: then once more.
    Careful,
}

/// What applying a batch came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Where each of the batch's sessions stands, in the batch's order, for memory to take over. `None`: set aside.
    pub baselines: Vec<Option<Baseline>>,
    /// Bytes credited, over all sessions.
    pub growth: Counters,
    /// Members who finished a torrent for the first time, per torrent.
    pub snatches: Vec<(TorrentId, u32)>,
    /// Sessions that couldn't be applied, and are in the table `set_aside`.
    pub set_aside: u64,
}

const MARK: &str = "
    select value
    from marks
    where name = $1";

const FIRST_MARK: &str = "
    insert into marks (name, value)
    select $1, $2
    where $3 = 0
    on conflict (name) do update
    set value = excluded.value
    where marks.value = 0";

const MAKE_MARK: &str = "
    insert into marks (name, value)
    values ($1, 0)
    on conflict (name) do nothing";

/// Changes nothing, and waits for whoever is about to.
const LOCK_MARK: &str = "
    update marks
    set value = value
    where name = $1
    returning value";

/// Keeps others out of this journal until the transaction ends.
const ADVANCE_MARK: &str = "
    update marks
    set value = $2
    where name = $1
        and value = $3";

impl Store {
    /// Applies a batch, exactly once: afterwards the same batch is [`StoreError::Moved`]. After an error of any kind
    /// nothing of it is there, except after a lost connection during the commit: then the mark tells.
    pub async fn apply(&self, batch: &Batch, care: Care) -> Result<Applied> {
        self.write(batch, Way::Apply(care)).await
    }

    /// Puts a batch that the database refuses into the table `set_aside`, for somebody to look at, and moves the mark
    /// past it. For a batch of one record: whatever else is in it isn't credited either.
    pub async fn set_aside(&self, batch: &Batch, reason: &str, at: UnixTime) -> Result<()> {
        self.write(batch, Way::SetAside { reason, at }).await?;
        Ok(())
    }

    async fn write(&self, batch: &Batch, way: Way<'_>) -> Result<Applied> {
        let Batch { mark, sessions, .. } = batch;
        debug_assert!(mark.from < mark.to, "a batch has records");
        debug_assert!(
            sessions.is_sorted_by(|a, b| a.key < b.key),
            "sorted, each key once"
        );
        in_transaction!(self, |tx| {
            tx.prepare_to_write().await?;
            let advance = if mark.from == 0 {
                FIRST_MARK
            } else {
                ADVANCE_MARK
            };
            let advanced = sqlx::query(advance)
                .bind(&mark.journal)
                .bind(bigint(mark.to))
                .bind(bigint(mark.from))
                .execute(&mut *tx)
                .await?;
            if advanced.rows_affected() == 0 {
                let found: Option<i64> = sqlx::query_scalar(MARK)
                    .bind(&mark.journal)
                    .fetch_optional(&mut *tx)
                    .await?;
                let found = found.map(mark_value).transpose()?;
                return Err(StoreError::Moved { found });
            }
            let mut plan = match way {
                Way::Apply(Care::Trusting) => {
                    let policies = policies(&mut tx, Policies::earliest(batch), sessions).await?;
                    let unknown = plan::keys_to_read(batch, &policies);
                    let stored = tx.baselines(&unknown).await?;
                    let policies = reach_back(&mut tx, policies, &stored, sessions).await?;
                    Plan::trusting(batch, &stored, &policies)
                }
                Way::Apply(Care::Careful) => {
                    let policies = policies(&mut tx, Policies::earliest(batch), sessions).await?;
                    let stored = tx.lock_baselines(&plan::keys(sessions)).await?;
                    let policies = reach_back(&mut tx, policies, &stored, sessions).await?;
                    let users = tx.missing_users(&plan::users(sessions)).await?;
                    let torrents = tx.missing_torrents(&plan::torrents(sessions)).await?;
                    Plan::careful(batch, &stored, &users, &torrents, &policies)
                }
                Way::SetAside { reason, at } => Plan::setting_aside(batch, reason, at),
            };
            let writer = mark.writer();
            let silence = i64::from(batch.silence_secs);
            let updated = tx.update_sessions(&plan.updates, writer, silence).await?;
            all(updated, plan.updates.len())?;
            let inserted = tx.insert_sessions(&plan.inserts, writer).await?;
            all(inserted, plan.inserts.len())?;
            let snatched = tx.insert_snatches(&plan.snatches).await?;
            plan.count_snatches(&snatched);
            // Keeps the members' classes as they are, which their traffic takes.
            all(
                tx.add_to_users(&plan.users, plan.since).await?,
                plan.users.len(),
            )?;
            tx.add_to_traffic(&plan.traffic).await?;
            all(
                tx.add_to_torrents(&plan.torrents).await?,
                plan.torrents.len(),
            )?;
            tx.insert_set_aside(mark, &plan.set_aside).await?;
            plan.applied
        })
    }

    /// How far a journal has been applied, once and for all: waits for the end of every transaction that would move the
    /// mark, and of which the caller may have lost sight. 0 before the first batch.
    pub async fn settled_mark(&self, journal: &str) -> Result<u64> {
        in_transaction!(self, |tx| {
            sqlx::query(MAKE_MARK)
                .bind(journal)
                .execute(&mut *tx)
                .await?;
            let value: i64 = sqlx::query_scalar(LOCK_MARK)
                .bind(journal)
                .fetch_one(&mut *tx)
                .await?;
            mark_value(value)?
        })
    }

    /// How far a journal has been applied, as far as can be seen; `None` for a journal that nobody has asked about.
    pub async fn mark(&self, journal: &str) -> Result<Option<u64>> {
        let value: Option<i64> = reading!(self, |pool| {
            sqlx::query_scalar(MARK)
                .bind(journal)
                .fetch_optional(pool)
                .await
        })?;
        value.map(mark_value).transpose()
    }
}

/// The policies that hold from a moment on, and what they ask of the batch's members.
async fn policies(
    tx: &mut impl Bulk,
    since: UnixTime,
    sessions: &[SessionChange],
) -> Result<Policies> {
    let mut policies = Policies::new(since, tx.windows(since).await?);
    if tx.finds(HAS_CLASS_CHANGES, since).await? {
        let changes = tx.class_changes(&plan::users(sessions), since).await?;
        policies.add_changes(changes);
    }
    // After the changes: a change in between is found out, as the members' rows don't expect it.
    if policies.ask_for_classes() {
        policies.classes = tx.classes(&plan::users(sessions)).await?;
    }
    if tx.finds(HAS_TOKENS, since).await? {
        let tokens = tx.tokens(&plan::users(sessions), since).await?;
        policies.add_tokens(tokens);
    }
    Ok(policies)
}

/// With those before, if a session was silent for so long.
async fn reach_back(
    tx: &mut impl Bulk,
    known: Policies,
    stored: &Baselines,
    sessions: &[SessionChange],
) -> Result<Policies> {
    let oldest = stored.values().map(|stored| stored.announced_at).min();
    match oldest {
        Some(oldest) if oldest < known.since => policies(tx, oldest, sessions).await,
        _ => Ok(known),
    }
}

/// What to do with a batch.
#[derive(Clone, Copy)]
enum Way<'a> {
    Apply(Care),
    SetAside { reason: &'a str, at: UnixTime },
}

fn mark_value(value: i64) -> Result<u64> {
    columns::count(value, "marks.value")
}

/// A row that wasn't written isn't there, or isn't what it was taken for.
fn all(written: u64, expected: usize) -> Result<()> {
    match u64::try_from(expected) {
        Ok(expected) if expected == written => Ok(()),
        _ => Err(StoreError::Stale),
    }
}

/// What the database has of a session.
#[derive(Clone, Copy)]
struct Stored {
    baseline: Baseline,
    announced_at: UnixTime,
    written_by: i64,
}

type Baselines = HashMap<SessionKey, Stored>;

/// The batch's statements, many rows at a time: the one place where the two databases are spoken to differently. Those
/// that write return how many rows they have written.
trait Bulk {
    async fn prepare_to_write(&mut self) -> Result<()>;
    /// Policies that hold from then on, or later.
    async fn windows(&mut self, since: UnixTime) -> Result<Vec<Window>>;
    /// Whether a count of what holds after then comes to more than nothing: it hardly ever does.
    async fn finds(&mut self, sql: &'static str, since: UnixTime) -> Result<bool>;
    /// When the members' classes changed after then, in the order of the times.
    async fn class_changes(
        &mut self,
        users: &[UserId],
        since: UnixTime,
    ) -> Result<Vec<ClassChange>>;
    /// Those of the members.
    async fn tokens(&mut self, users: &[UserId], since: UnixTime) -> Result<Vec<Token>>;
    /// The stored baselines of those of `keys` that have one.
    async fn baselines(&mut self, keys: &[SessionKey]) -> Result<Baselines>;
    /// The same, kept from other writers until the transaction ends.
    async fn lock_baselines(&mut self, keys: &[SessionKey]) -> Result<Baselines>;
    /// Those of `ids` that aren't in the database.
    async fn missing_users(&mut self, ids: &[UserId]) -> Result<HashSet<UserId>>;
    async fn missing_torrents(&mut self, ids: &[TorrentId]) -> Result<HashSet<TorrentId>>;
    async fn classes(&mut self, ids: &[UserId]) -> Result<HashMap<UserId, UserClass>>;
    /// Leaves out the rows whose baseline isn't the expected one.
    async fn update_sessions(
        &mut self,
        rows: &[SessionRow<'_>],
        writer: i64,
        silence_secs: i64,
    ) -> Result<u64>;
    /// Leaves out the rows that are there, and those whose user or torrent isn't.
    async fn insert_sessions(&mut self, rows: &[SessionRow<'_>], writer: i64) -> Result<u64>;
    /// Returns the torrent of each snatch that wasn't there before.
    async fn insert_snatches(&mut self, snatches: &[Snatch]) -> Result<Vec<TorrentId>>;
    /// Adds rows that aren't there yet. Where no class is given, it is the one that the member has.
    async fn add_to_traffic(&mut self, traffic: &Traffic) -> Result<()>;
    /// Leaves out members whose class has changed since, and not when it was taken to have changed last.
    async fn add_to_users(&mut self, totals: &Totals<UserId>, since: UnixTime) -> Result<u64>;
    async fn add_to_torrents(&mut self, totals: &Totals<TorrentId>) -> Result<u64>;
    async fn insert_set_aside(&mut self, mark: &Mark, rows: &[SetAside<'_>]) -> Result<()>;
}

/// A row of `sessions`, read for its baseline.
#[derive(sqlx::FromRow)]
struct BaselineRow {
    user_id: i64,
    torrent_id: i64,
    peer_id: Vec<u8>,
    announced_at: i64,
    written_by: i64,
    #[sqlx(flatten)]
    baseline: BaselineColumns,
}

fn read_baseline(row: BaselineRow) -> Result<(SessionKey, Stored)> {
    let key = SessionKey {
        user: UserId(columns::id(row.user_id, "sessions.user_id")?),
        torrent: TorrentId(columns::id(row.torrent_id, "sessions.torrent_id")?),
        peer_id: PeerId(columns::array(&row.peer_id, "sessions.peer_id")?),
    };
    let stored = Stored {
        baseline: row.baseline.try_into()?,
        announced_at: columns::time(row.announced_at, "sessions.announced_at")?,
        written_by: row.written_by,
    };
    Ok((key, stored))
}

const HAS_TOKENS: &str = "
    select count(*)
    from (select 1 from freeleech_tokens where ends_at > $1 limit 1) as one";

const HAS_CLASS_CHANGES: &str = "
    select count(*)
    from (select 1 from class_changes where at > $1 limit 1) as one";

fn read_class_change((user, at, before): ClassChangeRow) -> Result<ClassChange> {
    Ok(ClassChange {
        user: UserId(columns::id(user, "class_changes.user_id")?),
        at: columns::time(at, "class_changes.at")?,
        before: UserClass::parse(&before)?,
    })
}

fn read_token((user, torrent, starts_at, ends_at): TokenRow) -> Result<Token> {
    Ok(Token {
        user: UserId(columns::id(user, "freeleech_tokens.user_id")?),
        torrent: TorrentId(columns::id(torrent, "freeleech_tokens.torrent_id")?),
        starts_at: columns::time(starts_at, "freeleech_tokens.starts_at")?,
        ends_at: columns::time(ends_at, "freeleech_tokens.ends_at")?,
    })
}

fn read_class((id, class): (i64, String)) -> Result<(UserId, UserClass)> {
    Ok((
        UserId(columns::id(id, "users.id")?),
        UserClass::parse(&class)?,
    ))
}

/// 92 PB at a time, with room for what waits beside them.
fn hundredths(of_bytes: u128) -> i64 {
    const MOST: i64 = i64::MAX - 100;
    i64::try_from(of_bytes).unwrap_or(MOST).min(MOST)
}
