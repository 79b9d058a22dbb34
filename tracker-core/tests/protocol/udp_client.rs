//! A client that speaks BEP 15 byte by byte.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use tracker_core::ids::InfoHash;

/// Where every connect begins (BEP 15).
pub(crate) const PROTOCOL: u64 = 0x0417_2710_1980;

pub(crate) struct UdpClient {
    socket: UdpSocket,
    /// The connection id, once there is one.
    pub(crate) id: u64,
}

impl UdpClient {
    /// Not connected yet: its address isn't proven.
    pub(crate) fn unproven(server: SocketAddr) -> Self {
        let ip: IpAddr = match server {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        Self::unproven_at(ip, server)
    }

    /// The same, from another address of this machine.
    pub(crate) fn unproven_at(ip: IpAddr, server: SocketAddr) -> Self {
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        socket.connect(server).unwrap();
        let patience = Duration::from_secs(20);
        socket.set_read_timeout(Some(patience)).unwrap();
        Self { socket, id: 0 }
    }

    /// With a connection id.
    pub(crate) fn to(server: SocketAddr) -> Self {
        let mut client = Self::unproven(server);
        client.connect();
        client
    }

    pub(crate) fn connect(&mut self) {
        let reply = self.ask(&connect(*b"conn"));
        assert_eq!(reply[..8], *b"\0\0\0\0conn", "{}", reply.escape_ascii());
        self.id = u64::from_be_bytes(reply[8..].try_into().unwrap());
    }

    pub(crate) fn send(&self, packet: &[u8]) {
        self.socket.send(packet).unwrap();
    }

    pub(crate) fn receive(&self) -> Vec<u8> {
        let mut buffer = [0; 65_536];
        let length = self.socket.recv(&mut buffer).expect("an answer");
        buffer[..length].to_vec()
    }

    pub(crate) fn ask(&self, packet: &[u8]) -> Vec<u8> {
        self.send(packet);
        self.receive()
    }

    /// All that comes back before the answer to a connect that is sent now: the packets of one client are answered in
    /// turn, but for promises.
    pub(crate) fn answers(&self) -> Vec<Vec<u8>> {
        self.send(&connect(*b"last"));
        let replies = std::iter::repeat_with(|| self.receive());
        let is_last = |reply: &Vec<u8>| reply[..8] == *b"\0\0\0\0last";
        replies.take_while(|reply| !is_last(reply)).collect()
    }

    /// What comes back for one packet that may get no answer.
    pub(crate) fn answers_to(&self, packet: &[u8]) -> Vec<Vec<u8>> {
        self.send(packet);
        self.answers()
    }

    /// An announce, answered. As text with escapes.
    pub(crate) fn announce(&self, announce: &Announce) -> String {
        self.ask(&announce.packet(self.id))
            .escape_ascii()
            .to_string()
    }

    pub(crate) fn scrape(&self, hashes: &[InfoHash]) -> Vec<u8> {
        self.ask(&scrape(self.id, hashes))
    }

    /// Nothing has come back so far.
    pub(crate) fn has_no_reply_yet(&self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        let peeked = self.socket.peek(&mut [0]);
        self.socket.set_nonblocking(false).unwrap();
        matches!(peeked, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    }
}

pub(crate) fn connect(transaction: [u8; 4]) -> Vec<u8> {
    [&PROTOCOL.to_be_bytes()[..], &[0; 4], &transaction].concat()
}

pub(crate) fn scrape(id: u64, hashes: &[InfoHash]) -> Vec<u8> {
    let mut packet = [&id.to_be_bytes()[..], &2u32.to_be_bytes(), b"scrp"].concat();
    hashes
        .iter()
        .for_each(|hash| packet.extend_from_slice(&hash.0));
    packet
}

/// An error packet, as text with escapes.
pub(crate) fn error(transaction: &str, text: &str) -> String {
    format!("\\x00\\x00\\x00\\x03{transaction}{text}")
}

/// What an announce says; made by [`announce`], and changed by the tests.
#[derive(Clone)]
pub(crate) struct Announce {
    pub(crate) hash: InfoHash,
    pub(crate) peer_id: [u8; 20],
    pub(crate) downloaded: i64,
    pub(crate) left: i64,
    pub(crate) uploaded: i64,
    pub(crate) event: u32,
    pub(crate) ip: [u8; 4],
    pub(crate) numwant: i32,
    pub(crate) port: u16,
    pub(crate) options: Vec<u8>,
}

/// A leecher with nothing moved, the same session as [`query`](crate::support::query)'s; a member's key in the URL.
pub(crate) fn announce(hash: InfoHash, user: u16) -> Announce {
    let key = crate::support::key(user.into());
    Announce {
        hash,
        peer_id: format!("-XX0001-{user:012}")
            .into_bytes()
            .try_into()
            .unwrap(),
        downloaded: 0,
        left: 9,
        uploaded: 0,
        event: 0,
        ip: [0; 4],
        numwant: -1,
        port: 1000 + user,
        options: url(&format!("/announce/{key}")),
    }
}

pub(crate) const COMPLETED: u32 = 1;
pub(crate) const STARTED: u32 = 2;
pub(crate) const STOPPED: u32 = 3;
pub(crate) const PAUSED: u32 = 4;

impl Announce {
    pub(crate) fn seeder(self) -> Self {
        Self { left: 0, ..self }
    }

    pub(crate) fn event(self, event: u32) -> Self {
        Self { event, ..self }
    }

    pub(crate) fn numwant(self, numwant: i32) -> Self {
        Self { numwant, ..self }
    }

    pub(crate) fn options(self, options: Vec<u8>) -> Self {
        Self { options, ..self }
    }

    pub(crate) fn packet(&self, id: u64) -> Vec<u8> {
        [
            &id.to_be_bytes()[..],
            &1u32.to_be_bytes(),
            b"anno",
            &self.hash.0,
            &self.peer_id,
            &self.downloaded.to_be_bytes(),
            &self.left.to_be_bytes(),
            &self.uploaded.to_be_bytes(),
            &self.event.to_be_bytes(),
            &self.ip,
            b"\xab\xcd\xef\x01",
            &self.numwant.to_be_bytes(),
            &self.port.to_be_bytes(),
            &self.options,
        ]
        .concat()
    }
}

/// URL data (BEP 41), in as many parts as it takes.
pub(crate) fn url(text: &str) -> Vec<u8> {
    let parts = text.as_bytes().chunks(255);
    parts
        .flat_map(|part| [&[2, part.len() as u8], part].concat())
        .collect()
}
