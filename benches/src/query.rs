//! Query strings as clients write them: their parameters, in their order, escaped their way.

use tracker_core::ids::{InfoHash, PeerId};
use tracker_core::record::Event;

/// What a client says of one session. The bytes moved are the same in all: they cost what any ten digits cost.
#[derive(Clone, Copy, Debug)]
pub struct Announce {
    /// Which swarm.
    pub info_hash: InfoHash,
    /// Which session.
    pub peer_id: PeerId,
    /// Where it listens.
    pub port: u16,
    /// Bytes it still wants.
    pub left: u64,
    /// Why it announces.
    pub event: Event,
    /// How many peers it would like.
    pub numwant: u32,
}

impl Announce {
    /// qBittorrent, in the order of libtorrent's `http_tracker_connection.cpp`.
    pub fn qbittorrent(&self) -> String {
        let event = match self.event {
            Event::None => String::new(),
            event => format!("&event={}", event.name()),
        };
        format!(
            "info_hash={}&peer_id={}&port={}&uploaded=7340032000&downloaded=1468006400&left={}\
             &corrupt=0&key=1A2B3C4D{event}&numwant={}&compact=1&no_peer_id=1&supportcrypto=1\
             &redundant=0",
            escape(&self.info_hash.0, HexCase::Lower),
            escape(&self.peer_id.0, HexCase::Lower),
            self.port,
            self.left,
            self.numwant,
        )
    }

    /// Transmission 4.
    pub fn transmission(&self) -> String {
        let event = match self.event {
            Event::None => String::new(),
            event => format!("&event={}", event.name()),
        };
        format!(
            "info_hash={}&peer_id={}&port={}&uploaded=7340032000&downloaded=1468006400&left={}\
             &numwant={}&key=1A2B3C4D&compact=1&supportcrypto=1{event}",
            escape(&self.info_hash.0, HexCase::Upper),
            escape(&self.peer_id.0, HexCase::Upper),
            self.port,
            self.left,
            self.numwant,
        )
    }
}

/// A scrape of several torrents at once, as Transmission writes it.
pub fn scrape(hashes: impl IntoIterator<Item = InfoHash>) -> String {
    let pairs: Vec<_> = hashes
        .into_iter()
        .map(|hash| format!("info_hash={}", escape(&hash.0, HexCase::Upper)))
        .collect();
    pairs.join("&")
}

#[derive(Clone, Copy)]
pub(crate) enum HexCase {
    Lower,
    Upper,
}

pub(crate) fn escape(bytes: &[u8], hex: HexCase) -> String {
    let escaped = |&byte: &u8| match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => match hex {
            HexCase::Lower => format!("%{byte:02x}"),
            HexCase::Upper => format!("%{byte:02X}"),
        },
    };
    bytes.iter().map(escaped).collect()
}
