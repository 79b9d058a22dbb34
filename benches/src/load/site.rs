//! The site that a load is put on: members and torrents by number, so that whoever fills the database and whoever
//! announces need only agree on a few numbers.

use anyhow::{Context, Result, ensure};
use store::Store;
use tracker_core::ids::{InfoHash, TokenId, TorrentId, UnixTime, UserId};
use tracker_core::key::{Token, TokenKey};

use crate::ledger::database::Database;
use crate::query::{HexCase, escape};
use crate::site::scatter;

/// How large the site is, and what its secrets grow from.
#[derive(Clone, Debug, clap::Args)]
pub struct Site {
    /// Members, numbered from 1
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub members: u32,
    /// Torrents, numbered from 1, the most popular first
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub torrents: u32,
    /// Another seed, other passkeys and info hashes
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(..=0xf_ffff))]
    pub seed: u32,
    /// What the server's `token_key` is: 64 hex digits
    #[arg(long, value_name = "HEX", default_value = DEFAULT_TOKEN_KEY)]
    pub token_key: String,
}

/// For servers that nobody else reaches.
pub const DEFAULT_TOKEN_KEY: &str =
    "0707070707070707070707070707070707070707070707070707070707070707";

/// What stands in the announce URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Keys {
    /// Signed tokens, not bound to a torrent and without an end.
    Tokens,
    /// 32 hex digits.
    Passkeys,
}

impl Site {
    /// As random as a real one.
    pub fn info_hash(&self, torrent: TorrentId) -> InfoHash {
        InfoHash(scatter(self.kind(0x1f0), torrent.0))
    }

    /// A member's passkey; all have one.
    pub fn passkey(&self, user: UserId) -> [u8; 16] {
        scatter(self.kind(0x3a5), user.0)
    }

    /// Puts the site into an empty database, schema and all.
    pub async fn fill(&self, url: &str) -> Result<()> {
        let store = Store::open(url).await?;
        store.migrate().await?;
        ensure!(
            store.count_members().await? == 0,
            "the database isn't empty"
        );
        let mut database = Database::connect(url).await?;
        database
            .put_users(self.members, |id| Some(self.passkey(id)))
            .await?;
        database
            .put_torrents(self.torrents, |id| self.info_hash(id))
            .await?;
        database.settle().await?;
        store.close().await;
        database.close().await
    }

    /// Changes every member's row, and says so to the trackers, in one transaction (`store/src/changes.rs`).
    pub async fn change_members(&self, url: &str) -> Result<()> {
        let (members, now) = (self.members, UnixTime::now().0);
        let mut statements = vec![
            // First of all: it keeps other writers of changes out.
            format!("update change_counter set value = value + {members}"),
            format!("update users set class = 'member' where id <= {members}"),
            format!(
                "insert into changes (id, kind, subject, created_at)
                select (select value from change_counter) - {members} + id, 'user', id, {now}
                from users
                where id <= {members}"
            ),
        ];
        if url.starts_with("postgres") {
            statements.push("select pg_notify('purser_changes', '')".to_owned());
        }
        let mut database = Database::connect(url).await?;
        database.execute_together(&statements).await?;
        database.close().await
    }

    /// Everything that has to be written into requests, ready to be copied.
    pub fn spell(&self, keys: Keys) -> Result<Spelled> {
        let secret = parse_token_key(&self.token_key)?;
        let signer = TokenKey::from_bytes(secret);
        let key = |id| match keys {
            Keys::Passkeys => format!("{:032x}", u128::from_be_bytes(self.passkey(UserId(id)))),
            Keys::Tokens => signer.sign(&Token {
                id: TokenId(id),
                user: UserId(id),
                torrent: None,
                expires_at: None,
            }),
        };
        let hash = |id| self.info_hash(TorrentId(id));
        Ok(Spelled {
            keys: Texts::new((1..=self.members).map(key)),
            hashes: (1..=self.torrents).map(|id| hash(id).0).collect(),
            escaped: Texts::new((1..=self.torrents).map(|id| escape(&hash(id).0, HexCase::Lower))),
        })
    }

    fn kind(&self, what: u64) -> u64 {
        u64::from(self.seed) << 12 | what
    }
}

fn parse_token_key(text: &str) -> Result<[u8; 32]> {
    let digits = |at: usize| text.get(at..at + 2);
    let byte = |at| u8::from_str_radix(digits(at)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..text.len()).step_by(2).map(byte).collect();
    let secret = bytes.and_then(|bytes| bytes.try_into().ok());
    secret.context("--token-key isn't 64 hex digits")
}

/// Keys and info hashes by number, as they stand in requests.
#[derive(Debug)]
pub struct Spelled {
    keys: Texts,
    hashes: Vec<[u8; 20]>,
    escaped: Texts,
}

impl Spelled {
    /// A member's key, as in the announce URL.
    pub fn key(&self, member: u32) -> &[u8] {
        self.keys.get(member)
    }

    /// A torrent's info hash, raw.
    pub fn hash(&self, torrent: u32) -> &[u8; 20] {
        &self.hashes[torrent as usize - 1]
    }

    /// A torrent's info hash, escaped as in a query.
    pub fn escaped(&self, torrent: u32) -> &[u8] {
        self.escaped.get(torrent)
    }
}

/// Many short texts, numbered from 1, in one piece of memory.
#[derive(Debug)]
struct Texts {
    bytes: Vec<u8>,
    /// Where each ends, after a zero.
    ends: Vec<usize>,
}

impl Texts {
    fn new(texts: impl Iterator<Item = String>) -> Self {
        let mut bytes = Vec::new();
        let mut ends = vec![0];
        for text in texts {
            bytes.extend_from_slice(text.as_bytes());
            ends.push(bytes.len());
        }
        Self { bytes, ends }
    }

    fn get(&self, number: u32) -> &[u8] {
        let number = number as usize;
        &self.bytes[self.ends[number - 1]..self.ends[number]]
    }
}
