//! The peers of one reply, written as they are found.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::peer::{PeerRef, Seat};
use super::row::Neighbours;
use crate::bencode::{put_bytes, put_int};
use crate::record::Endpoint;

/// How a client wants its peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PeerFormat {
    /// `peers` (BEP 23) and `peers6` (BEP 7), as strings.
    #[default]
    Compact,
    /// IPv4 endpoints alone, of six bytes (BEP 15).
    CompactV4,
    /// IPv6 endpoints alone, of eighteen bytes (BEP 15).
    CompactV6,
    /// A list of dictionaries (BEP 3).
    Dictionaries {
        /// With the peers' ids.
        peer_ids: bool,
    },
}

/// For one wanted endpoint of one family: a swarm in which every eighth peer has one gives as many as are wanted.
const LOOKS: usize = 8;

/// Reused from one reply to the next, so that a reply allocates nothing.
#[derive(Debug, Default)]
pub struct PeerList {
    format: PeerFormat,
    room: usize,
    own: Option<Endpoint>,
    /// Compact IPv4 endpoints, or bencoded dictionaries of both families.
    pub(crate) peers: Vec<u8>,
    /// Compact IPv6 endpoints.
    pub(crate) peers6: Vec<u8>,
}

impl PeerList {
    /// Empties the list, for a client at `own` that may have `room` endpoints.
    pub(crate) fn begin(&mut self, format: PeerFormat, room: usize, own: Endpoint) {
        self.format = format;
        self.room = room;
        self.own = Some(own);
        self.peers.clear();
        self.peers6.clear();
    }

    pub(crate) fn format(&self) -> PeerFormat {
        self.format
    }

    /// How many endpoints may still be added.
    pub(crate) fn room(&self) -> usize {
        self.room
    }

    /// How many peers may be looked at to find `wanted` endpoints. A client of one family has no use for all of them, and
    /// mustn't have the whole swarm searched for the few of its kind.
    pub(crate) fn looks(&self, wanted: usize) -> usize {
        match self.format {
            PeerFormat::CompactV4 | PeerFormat::CompactV6 => wanted.saturating_mul(LOOKS),
            PeerFormat::Compact | PeerFormat::Dictionaries { .. } => usize::MAX,
        }
    }

    /// Adds peers' endpoints until only `leave` places are free.
    pub(crate) fn extend(&mut self, mut peers: Neighbours<'_>, leave: usize) {
        if let (PeerFormat::Compact | PeerFormat::CompactV4, Some(Endpoint::V4(own))) =
            (self.format, self.own)
        {
            let ordinary = self.extend_v4(peers.seats, &own, leave);
            peers = peers.part(ordinary..peers.len());
        }
        for peer in peers.iter() {
            if self.room <= leave {
                return;
            }
            self.push(peer);
        }
    }

    /// The ordinary case, in as few steps as possible: a client over IPv4, and peers over IPv4. Ends at the first that
    /// is something else; returns how many were looked at.
    fn extend_v4(&mut self, seats: &[Seat], own: &[u8; 6], leave: usize) -> usize {
        let room = self.room.saturating_sub(leave);
        let begin = self.peers.len();
        self.peers.resize(begin + 6 * room.min(seats.len()), 0);
        let (places, _) = self.peers[begin..].as_chunks_mut::<6>();
        let (mut taken, mut looked) = (0, 0);
        while let (Some(place), Some(compact)) = (
            places.get_mut(taken),
            seats.get(looked).and_then(Seat::only_v4),
        ) {
            *place = *compact;
            taken += usize::from(compact != own);
            looked += 1;
        }
        self.peers.truncate(begin + 6 * taken);
        self.room -= taken;
        looked
    }

    /// Adds a peer's endpoints, unless the client would meet itself there.
    fn push(&mut self, peer: PeerRef<'_>) {
        if self.own.is_some_and(|own| peer.is_at(own)) {
            return;
        }
        if let Some(compact) = peer.seat.v4()
            && self.format != PeerFormat::CompactV6
        {
            self.push_v4(compact, peer);
        }
        if let Some(compact) = peer.v6()
            && self.format != PeerFormat::CompactV4
            && self.room > 0
        {
            self.push_v6(compact, peer);
        }
    }

    fn push_v4(&mut self, compact: &[u8; 6], peer: PeerRef<'_>) {
        self.room -= 1;
        match self.format {
            PeerFormat::Compact | PeerFormat::CompactV4 | PeerFormat::CompactV6 => {
                self.peers.extend_from_slice(compact);
            }
            PeerFormat::Dictionaries { peer_ids } => {
                let [a, b, c, d, high, low] = *compact;
                let ip = Ipv4Addr::new(a, b, c, d).into();
                self.push_dictionary(ip, u16::from_be_bytes([high, low]), peer_ids, peer);
            }
        }
    }

    fn push_v6(&mut self, compact: &[u8; 18], peer: PeerRef<'_>) {
        self.room -= 1;
        match self.format {
            PeerFormat::Compact | PeerFormat::CompactV4 | PeerFormat::CompactV6 => {
                self.peers6.extend_from_slice(compact);
            }
            PeerFormat::Dictionaries { peer_ids } => {
                let mut ip = [0; 16];
                ip.copy_from_slice(&compact[..16]);
                let port = u16::from_be_bytes([compact[16], compact[17]]);
                self.push_dictionary(Ipv6Addr::from(ip).into(), port, peer_ids, peer);
            }
        }
    }

    fn push_dictionary(&mut self, ip: IpAddr, port: u16, peer_ids: bool, peer: PeerRef<'_>) {
        let out = &mut self.peers;
        out.push(b'd');
        put_bytes(out, b"ip");
        put_bytes(out, ip.to_string().as_bytes());
        if peer_ids {
            put_bytes(out, b"peer id");
            put_bytes(out, &peer.rest.peer_id.0);
        }
        put_bytes(out, b"port");
        put_int(out, port);
        out.push(b'e');
    }
}
