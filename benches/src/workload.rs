//! What is measured.

use tracker_core::ids::TorrentId;
use tracker_core::record::{Event, Role};

use crate::Size;
use crate::query;
use crate::site::{Session, Site, info_hash};
use crate::traffic::Traffic;

/// What clients ask for in PERFORMANCE.md's runs.
pub const NUMWANT: u32 = 30;

/// So few peers that a reply from a small swarm is as long as one from a large one.
pub const NUMWANT_FEW: u32 = 4;

/// Peers of the swarm.
pub fn swarm(size: Size) -> u32 {
    size.pick(10, 100_000)
}

/// Query strings of qBittorrent: one again and again, which the branch predictor learns by heart; or a thousand.
pub fn qbittorrent_queries(size: Size) -> Vec<String> {
    let announce = |session: &Session| session.announce(Event::None, NUMWANT);
    sessions(size)
        .iter()
        .map(|session| announce(session).qbittorrent())
        .collect()
}

/// The same of Transmission.
pub fn transmission_queries(size: Size) -> Vec<String> {
    let announce = |session: &Session| session.announce(Event::None, 80);
    sessions(size)
        .iter()
        .map(|session| announce(session).transmission())
        .collect()
}

/// A scrape of one torrent, or of as many as Transmission puts into one.
pub fn scrape_query(size: Size) -> String {
    query::scrape((1..=size.pick(1, 60)).map(TorrentId).map(info_hash))
}

fn sessions(size: Size) -> Vec<Session> {
    let torrents = size.pick(1, 1_000);
    Site::new(&vec![1; torrents], torrents as u32).sessions
}

/// Everyone of a role in the swarm announces in turn. In the large one the key, the member, the session and the query
/// itself come from memory each time.
pub fn everyone(size: Size, role: Role) -> Traffic {
    let site = Site::one_swarm(swarm(size), 0);
    let asks = site.sessions.iter().filter(|session| session.role == role);
    let asks = asks
        .map(|session| site.ask(session, Event::None, NUMWANT))
        .collect();
    Traffic::new(site, asks)
}

/// The same five of a role announce in turn, and all get four peers: what is left between small and large is what the
/// swarm's size itself costs.
pub fn regulars(size: Size, role: Role) -> Traffic {
    let site = Site::one_swarm(swarm(size), 0);
    let asks = site.sessions.iter().filter(|session| session.role == role);
    let asks = asks
        .take(5)
        .map(|session| site.ask(session, Event::None, NUMWANT_FEW))
        .collect();
    Traffic::new(site, asks)
}

/// The leechers among the regulars, with signed tokens instead of passkeys.
pub fn tokens(size: Size) -> Traffic {
    let site = Site::one_swarm(swarm(size), 0);
    let leechers = site.sessions.iter().filter(|s| s.role == Role::Leecher);
    let asks = leechers
        .take(5)
        .map(|session| site.ask_with_token(session, Event::None, NUMWANT_FEW))
        .collect();
    Traffic::new(site, asks)
}

/// Leechers and seeders of 1,000 swarms, 20,000 peers in all, in random order: the mix of PERFORMANCE.md's main runs.
pub fn mix(size: Size) -> Traffic {
    let (torrents, peers) = size.pick((10, 200), (1_000, 20_000));
    let site = Site::zipf(torrents, peers);
    let asks = site.sessions.iter();
    let asks = asks
        .map(|session| site.ask(session, Event::None, NUMWANT))
        .collect();
    Traffic::new(site, asks)
}

/// Newcomers who start, and stop at once. Leechers and seeders take turns.
pub fn churn(size: Size) -> Traffic {
    let peers = swarm(size);
    let site = Site::one_swarm(peers, 100);
    let newcomers = site.strangers(peers).map(|user| Session {
        user,
        torrent: TorrentId(1),
        role: [Role::Seeder, Role::Leecher][user.0 as usize % 2],
    });
    let asks = newcomers
        .flat_map(|session| {
            [Event::Started, Event::Stopped].map(|event| site.ask(&session, event, NUMWANT_FEW))
        })
        .collect();
    Traffic::new(site, asks)
}

/// A leecher gets so many peers, out of a swarm that has some more.
pub fn reply(size: Size, peers: u32) -> Traffic {
    one_leecher(size, peers, |query| query)
}

/// The same, as dictionaries (BEP 3).
pub fn reply_in_dictionaries(size: Size, peers: u32) -> Traffic {
    one_leecher(size, peers, |query| {
        query
            .replace("compact=1", "compact=0")
            .replace("&no_peer_id=1", "")
    })
}

fn one_leecher(size: Size, peers: u32, rewrite: impl Fn(String) -> String) -> Traffic {
    let site = Site::one_swarm(size.pick(60, 100_000), 0);
    let mut leechers = site.sessions.iter().filter(|s| s.role == Role::Leecher);
    let asks = leechers.next().map(|leecher| {
        let mut ask = site.ask(leecher, Event::None, peers);
        ask.query = rewrite(ask.query);
        ask
    });
    Traffic::new(site, asks.into_iter().collect())
}

#[cfg(test)]
mod tests;
