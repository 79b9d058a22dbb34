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
    /// Over UDP (BEP 15), with the key in the URL data (BEP 41), as libtorrent writes it.
    pub fn packet(&self, connection_id: [u8; 8], key: &str) -> Vec<u8> {
        let event: u32 = match self.event {
            Event::None => 0,
            Event::Completed => 1,
            Event::Started => 2,
            Event::Stopped => 3,
            Event::Paused => 4,
        };
        let url = format!("/announce/{key}");
        [
            &connection_id[..],
            &1u32.to_be_bytes(),
            b"anno",
            &self.info_hash.0,
            &self.peer_id.0,
            &1_468_006_400u64.to_be_bytes(),
            &self.left.to_be_bytes(),
            &7_340_032_000u64.to_be_bytes(),
            &event.to_be_bytes(),
            &0u32.to_be_bytes(),
            &0x1a2b_3c4d_u32.to_be_bytes(),
            &self.numwant.to_be_bytes(),
            &self.port.to_be_bytes(),
            &[2, url.len() as u8],
            url.as_bytes(),
        ]
        .concat()
    }

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
