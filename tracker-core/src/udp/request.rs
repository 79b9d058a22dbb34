//! A packet's first sixteen bytes: what it is, and what it must show before anyone reads on.

use super::TransactionId;

/// Where every connect begins.
const PROTOCOL: u64 = 0x0417_2710_1980;

/// Connection id or protocol, action, transaction id.
const HEAD: usize = 16;

/// An announce between its head and its options.
const FIELDS: usize = 82;

/// Torrents in a scrape: "about 74" fit into a packet (BEP 15).
pub const SCRAPE_MAX: usize = 74;

const CONNECT: u32 = 0;
const ANNOUNCE: u32 = 1;
const SCRAPE: u32 = 2;

/// A packet from a client (BEP 15). Whether its connection id is good is still to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// As it came; of a connect, the protocol's number.
    pub connection_id: u64,
    /// To be sent back.
    pub transaction: TransactionId,
    /// What it asks for.
    pub action: Action<'a>,
}

/// What a packet asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// A connection id.
    Connect,
    /// Peers.
    Announce {
        /// From the info hash to the port.
        fields: &'a [u8; FIELDS],
        /// What follows: BEP 41's options, unread.
        options: &'a [u8],
    },
    /// Counts.
    Scrape {
        /// The info hashes, and perhaps a part of one more, which nobody asks for.
        hashes: &'a [u8],
    },
}

/// What isn't a request: it isn't answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Junk {
    /// It ends before its action says that it may.
    Short,
    /// A connect of another protocol.
    UnknownProtocol,
    /// Nothing that a client asks for.
    UnknownAction,
}

impl<'a> Request<'a> {
    /// Reads a packet's beginning. What follows a request is passed over, as BEP 15 wants it.
    pub fn read(packet: &'a [u8]) -> Result<Self, Junk> {
        let (head, rest) = packet.split_first_chunk::<HEAD>().ok_or(Junk::Short)?;
        let [a, b, c, d, e, f, g, h, action @ .., t, u, v, w] = *head;
        let connection_id = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let action = match u32::from_be_bytes(action) {
            CONNECT if connection_id == PROTOCOL => Action::Connect,
            CONNECT => return Err(Junk::UnknownProtocol),
            ANNOUNCE => {
                let (fields, options) = rest.split_first_chunk().ok_or(Junk::Short)?;
                Action::Announce { fields, options }
            }
            SCRAPE => Action::Scrape { hashes: rest },
            _ => return Err(Junk::UnknownAction),
        };
        Ok(Self {
            connection_id,
            transaction: TransactionId([t, u, v, w]),
            action,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn packet(first: u64, action: u32, rest: usize) -> Vec<u8> {
        let head = [
            first.to_be_bytes().as_slice(),
            &action.to_be_bytes(),
            b"tttt",
        ]
        .concat();
        [head, vec![7; rest]].concat()
    }

    #[test]
    fn packets_are_told_apart_by_action_and_length() {
        let read = |first, action, rest| {
            let packet = packet(first, action, rest);
            let request = Request::read(&packet).unwrap();
            assert_eq!(request.transaction, TransactionId(*b"tttt"));
            assert_eq!(request.connection_id, first);
            match request.action {
                Action::Connect => "connect".to_owned(),
                Action::Announce { options, .. } => format!("announce+{}", options.len()),
                Action::Scrape { hashes } => format!("scrape+{}", hashes.len()),
            }
        };
        assert_eq!(read(PROTOCOL, 0, 0), "connect");
        assert_eq!(read(PROTOCOL, 0, 500), "connect");
        assert_eq!(read(1, 1, 82), "announce+0");
        assert_eq!(read(1, 1, 85), "announce+3");
        assert_eq!(read(1, 2, 0), "scrape+0");
        assert_eq!(read(1, 2, 41), "scrape+41");
        for (junk, wrong) in [
            (packet(PROTOCOL, 0, 0)[..15].to_vec(), Junk::Short),
            (vec![], Junk::Short),
            (packet(PROTOCOL + 1, 0, 0), Junk::UnknownProtocol),
            (packet(1, 1, 81), Junk::Short),
            (packet(1, 3, 200), Junk::UnknownAction),
            (packet(1, u32::MAX, 200), Junk::UnknownAction),
        ] {
            assert_eq!(Request::read(&junk), Err(wrong));
        }
    }
}
