//! A site in a database: torrents with names and files, members who bring some and are in some, and what was counted of it.

use std::collections::HashSet;

use anyhow::{Result, ensure};
use indicatif::{ProgressBar, ProgressIterator};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use store::Store;
use tracker_core::ids::{TorrentId, UnixTime, UserId};
use tracker_core::record::Role;

use super::names;
use crate::Size;
use crate::ledger::database::{Database, Value};
use crate::ledger::report::bar;
use crate::site::{self, Session, info_hash, scatter};

/// How much there is.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Registered torrents, two or three files each.
    pub torrents: u32,
    /// Members, the first an admin.
    pub members: u32,
    /// Clients in their swarms, in every fifth torrent by Zipf 0.8.
    pub sessions: u32,
}

/// Torrents are brought by the first of the members, the lowest the most.
pub(super) const UPLOADERS: u32 = 500;

/// Odd, and no multiple of 5: times this, numbers up to a power of ten come out in another order, each once.
const STRIDE: u64 = 618_033;

impl Extent {
    /// The site of that size.
    pub fn of(size: Size) -> Self {
        Self {
            torrents: size.pick(2_000, 1_000_000),
            members: size.pick(1_000, 100_000),
            sessions: size.pick(2_000, 1_000_000),
        }
    }

    /// The n-th most popular torrent. Popular ones are old and new.
    fn torrent(&self, rank: u32) -> TorrentId {
        let number = u64::from(rank) * STRIDE % u64::from(self.torrents);
        TorrentId(number as u32 + 1)
    }

    /// Puts all of it into an empty database, schema and all.
    pub(super) async fn fill(&self, url: &str) -> Result<()> {
        let store = Store::open(url).await?;
        store.migrate().await?;
        ensure!(
            store.count_members().await? == 0,
            "the database isn't empty"
        );
        let mut database = Database::connect(url).await?;
        let now = UnixTime::now().0;
        self.put_members(&mut database, now).await?;
        self.put_torrents(&mut database, now).await?;
        self.put_files(&mut database).await?;
        self.put_sessions(&mut database, now).await?;
        self.put_credits(&mut database, now).await?;
        database.settle().await?;
        let counting = ProgressBar::new_spinner().with_message("seeders and leechers");
        store.count_peers(3).await?;
        counting.finish();
        // As autovacuum leaves it: the index of words merged, and pages known to be visible to all.
        database.execute("vacuum analyze").await?;
        store.close().await;
        database.close().await
    }

    async fn put_members(&self, database: &mut Database, now: u32) -> Result<()> {
        let mut rng = SmallRng::seed_from_u64(1);
        let columns = [
            "id",
            "username",
            "username_key",
            "role",
            "uploaded",
            "downloaded",
            "created_at",
        ];
        let rows = (1..=self.members).map(|id| {
            let role = match id {
                1 => "admin",
                2..=UPLOADERS => "uploader",
                _ => "member",
            };
            [
                Value::Int(id.into()),
                text(&member(id)),
                text(&member(id)),
                text(role),
                Value::Int(rng.random_range(0..1 << 42)),
                Value::Int(rng.random_range(0..1 << 41)),
                Value::Int(i64::from(now) - rng.random_range(0..100_000_000)),
            ]
        });
        let rows = rows.progress_with(bar("members", self.members.into()));
        database.put("users", columns, rows).await?;
        Ok(())
    }

    async fn put_torrents(&self, database: &mut Database, now: u32) -> Result<()> {
        let mut rng = SmallRng::seed_from_u64(2);
        let columns = [
            "id",
            "info_hash",
            "name",
            "size",
            "piece_length",
            "file_count",
            "private",
            "status",
            "uploader_id",
            "completed",
            "category",
            "description",
            "created_at",
        ];
        let rows = (1..=self.torrents).map(|id| {
            let category = category(&mut rng);
            let status = match rng.random_range(0..1000) {
                0 => "pending",
                1 => "closed",
                _ => "open",
            };
            let share: f64 = rng.random_range(0.0..1.0);
            let age = i64::from((self.torrents - id) * 60);
            [
                Value::Int(id.into()),
                Value::Bytes(info_hash(TorrentId(id)).0.to_vec()),
                Value::Text(names::name(&mut rng, category)),
                Value::Int(rng.random_range(1 << 20..1 << 36)),
                Value::Int(1 << 21),
                Value::Int(files(id).into()),
                Value::Bool(true),
                text(status),
                Value::Int((share * share * f64::from(UPLOADERS)) as i64 + 1),
                Value::Int((1.0 / rng.random_range(0.0005..1.0_f64)) as i64),
                text(category),
                Value::Text("What it is about, who made it, and how. ".repeat(5)),
                Value::Int(i64::from(now) - age),
            ]
        });
        let rows = rows.progress_with(bar("torrents", self.torrents.into()));
        database.put("torrents", columns, rows).await?;
        Ok(())
    }

    async fn put_files(&self, database: &mut Database) -> Result<()> {
        let columns = ["torrent_id", "position", "path", "length"];
        let rows = (1..=self.torrents).progress_with(bar("files", self.torrents.into()));
        let rows = rows.flat_map(|id| {
            (0..files(id)).map(move |position| {
                [
                    Value::Int(id.into()),
                    Value::Int(position.into()),
                    Value::Text(format!("Some folder of {id}/part {position}.mkv")),
                    Value::Int(1 << 29),
                ]
            })
        });
        database.put("torrent_files", columns, rows).await?;
        Ok(())
    }

    /// Half of the sessions are seeders, who have snatched what they seed.
    async fn put_sessions(&self, database: &mut Database, now: u32) -> Result<()> {
        let columns = [
            "user_id",
            "torrent_id",
            "peer_id",
            "uploaded",
            "downloaded",
            "credited_uploaded",
            "credited_downloaded",
            "bytes_left",
            "started_at",
            "announced_at",
            "active",
            "role",
            "endpoint4",
            "written_by",
        ];
        let sessions = self.sessions();
        let rows = sessions.iter().map(|session| {
            let (left, role) = match session.role {
                Role::Seeder => (0, "seeder"),
                _ => (1 << 28, "leecher"),
            };
            let announced = i64::from(now) - i64::from(session.user.0 % 1800);
            [
                Value::Int(session.user.0.into()),
                Value::Int(session.torrent.0.into()),
                Value::Bytes(site::peer_id(session.user).0.to_vec()),
                Value::Int(1 << 30),
                Value::Int(1 << 29),
                Value::Int(1 << 30),
                Value::Int(1 << 29),
                Value::Int(left),
                Value::Int(announced - 86_400),
                Value::Int(announced),
                Value::Bool(true),
                text(role),
                Value::Bytes(scatter::<6>(0x6e7, session.user.0).to_vec()),
                Value::Int(1),
            ]
        });
        let rows = rows.progress_with(bar("sessions", sessions.len() as u64));
        database.put("sessions", columns, rows).await?;

        let mut seen = HashSet::new();
        let finished = sessions.iter().filter(|session| {
            session.role == Role::Seeder && seen.insert((session.user.0, session.torrent.0))
        });
        let rows = finished.map(|session| {
            [
                Value::Int(session.user.0.into()),
                Value::Int(session.torrent.0.into()),
                Value::Int(i64::from(now) - 43_200),
            ]
        });
        let columns = ["user_id", "torrent_id", "completed_at"];
        database.put("snatches", columns, rows).await?;
        Ok(())
    }

    fn sessions(&self) -> Vec<Session> {
        let busy = (self.torrents / 5).max(1);
        let mut sessions = site::sessions(&site::zipf(busy, self.sessions), self.members);
        for session in &mut sessions {
            session.torrent = self.torrent(session.torrent.0);
        }
        sessions
    }

    /// Three for each member.
    async fn put_credits(&self, database: &mut Database, now: u32) -> Result<()> {
        let columns = [
            "user_id",
            "kind",
            "amount_milli",
            "balance_milli",
            "note",
            "created_at",
        ];
        let rows = (1..=3_i64).flat_map(|round| {
            (1..=self.members).map(move |user| {
                [
                    Value::Int(UserId(user).0.into()),
                    text("grant"),
                    Value::Int(1_000),
                    Value::Int(1_000 * round),
                    text("for seeding"),
                    Value::Int(i64::from(now) - 1_000 + round),
                ]
            })
        });
        let total = 3 * u64::from(self.members);
        let rows = rows.progress_with(bar("credits", total));
        database.put("credit_entries", columns, rows).await?;
        database
            .execute("update users set credits_milli = 3000")
            .await
    }
}

/// A member's name.
pub(super) fn member(id: u32) -> String {
    format!("member{id}")
}

fn files(torrent: u32) -> u32 {
    2 + torrent % 2
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn category(rng: &mut SmallRng) -> &'static str {
    match rng.random_range(0..100) {
        0..40 => "tv",
        40..65 => "movies",
        65..80 => "music",
        80..85 => "anime",
        85..90 => "books",
        90..94 => "games",
        94..97 => "apps",
        97..99 => "xxx",
        _ => "other",
    }
}
