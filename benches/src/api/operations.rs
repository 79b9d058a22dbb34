//! What is asked for, and by whom.

use anyhow::{Context, Result, ensure};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use tracker_core::ids::TorrentId;

use super::client::Client;
use super::fill::{Extent, UPLOADERS, member};
use super::names;
use crate::site::info_hash;

/// Different requests of an operation, where they differ.
const DIFFERENT: usize = 1_000;

/// Pages that somebody leafs through.
const PAGES: usize = 40;

/// One row of the table.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) name: &'static str,
    pub(super) who: Who,
    /// They take turns.
    pub(super) paths: Vec<String>,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// Somebody who hasn't logged in.
    Nobody,
    /// Another member on each connection.
    Member,
    /// The same on all of them.
    Admin,
}

/// The name of what all others are compared with.
pub(super) const FLOOR: &str = "floor: no database, nobody logged in";

/// All of them. `client` leafs through the list for cursors.
pub(super) async fn all(
    client: &mut Client,
    access: &str,
    extent: Extent,
) -> Result<Vec<Operation>> {
    let mut rng = SmallRng::seed_from_u64(9);
    let mut details = Vec::with_capacity(DIFFERENT);
    while details.len() < DIFFERENT {
        let path = detail(rng.random_range(1..=extent.torrents));
        // Not all are open.
        if client.get(&path, Some(access)).await?.status == 200 {
            details.push(path);
        }
    }
    let cursors = cursors(client, access).await?;
    let pages = cursors.iter();
    let pages = pages.map(|next| format!("/api/torrents/?cursor={next}"));
    let some = |low: u32, high: u32| {
        let mut rng = SmallRng::seed_from_u64(10);
        let numbers = (0..DIFFERENT).map(move |_| rng.random_range(low..high));
        numbers.collect::<Vec<_>>()
    };
    let uploaders = some(1, UPLOADERS).into_iter();
    let uploaders = uploaders.map(|id| format!("/api/torrents/?uploader={}", member(id)));
    let announce_logs = some(1, extent.members).into_iter();
    let announce_logs = announce_logs.map(|id| format!("/api/security/announce-logs/?user={id}"));
    let prefixes = some(1, extent.members).into_iter();
    let prefixes = prefixes.map(|id| format!("/api/admin/users/?search={}", member(id)));

    let by_member = |name, paths| Operation {
        name,
        who: Who::Member,
        paths,
    };
    let one = |name, path: &str| by_member(name, vec![path.to_owned()]);
    let by_admin = |name, paths| Operation {
        name,
        who: Who::Admin,
        paths,
    };
    let rare = names::rare();
    Ok(vec![
        Operation {
            name: FLOOR,
            who: Who::Nobody,
            paths: vec!["/api/".to_owned()],
        },
        one("profile", "/api/user/profile/"),
        one("stats", "/api/user/stats/"),
        one("credits balance", "/api/credits/balance/"),
        by_member("detail", details),
        one("list, newest", "/api/torrents/"),
        by_member("list, a later page", pages.collect()),
        one("list, most seeders", "/api/torrents/?sort=-seeders"),
        one(
            "list, tv, most seeders",
            "/api/torrents/?category=tv&sort=-seeders",
        ),
        one(
            "list, xxx, most snatches",
            "/api/torrents/?category=xxx&sort=-completed",
        ),
        by_member("list, an uploader's", uploaders.collect()),
        one("search, common word", "/api/torrents/?search=1080p"),
        one(
            "search, two common words",
            "/api/torrents/?search=the+1080p",
        ),
        one(
            "search, common and rare",
            &format!("/api/torrents/?search={rare}+1080p"),
        ),
        one(
            "search, rare word",
            &format!("/api/torrents/?search={rare}"),
        ),
        one(
            "search, no such word",
            "/api/torrents/?search=nowhere+1080p",
        ),
        one("search, one letter", "/api/torrents/?search=s"),
        one("search, never together", "/api/torrents/?search=flac+x264"),
        one(
            "search, common, wrong category",
            "/api/torrents/?search=1080p&category=music",
        ),
        one(
            "search, common, most seeders",
            "/api/torrents/?search=1080p&sort=-seeders",
        ),
        one(
            "search, common, category",
            "/api/torrents/?search=1080p&category=xxx",
        ),
        one("popular", "/api/torrents/popular/"),
        by_admin("dashboard", vec!["/api/logs/dashboard/".to_owned()]),
        by_admin("security stats", vec!["/api/security/stats/".to_owned()]),
        by_admin("announce logs", announce_logs.collect()),
        by_admin("members by name", prefixes.collect()),
    ])
}

fn detail(torrent: u32) -> String {
    format!("/api/torrents/{}/", info_hash(TorrentId(torrent)))
}

/// Of pages one after the other.
async fn cursors(client: &mut Client, access: &str) -> Result<Vec<String>> {
    let mut cursors: Vec<String> = Vec::new();
    while cursors.len() < PAGES {
        let after = cursors.last().map(|next| format!("&cursor={next}"));
        let path = format!("/api/torrents/?limit=20{}", after.unwrap_or_default());
        let reply = client.get(&path, Some(access)).await?;
        ensure!(
            reply.status == 200,
            "a list was answered with {}",
            reply.status
        );
        let page: Value = serde_json::from_slice(reply.body)?;
        let next = page["next"].as_str();
        cursors.push(next.context("too few torrents")?.to_owned());
    }
    Ok(cursors)
}
