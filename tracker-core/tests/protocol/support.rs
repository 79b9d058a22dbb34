//! A tracker on a free port, and a client that writes and reads raw bytes.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use tracker_core::ids::{InfoHash, TokenId, TorrentId, UnixTime, UserId};
use tracker_core::key::{Token, TokenKey};
use tracker_core::record::Record;
use tracker_core::registry::{
    LeechRights, Member, MemberStatus, RegisteredTorrent, TorrentStatus, UserClass,
};
use tracker_core::server::{Listener, Options, Patience, Server};
use tracker_core::settings::Settings;
use tracker_core::tracker::Tracker;

pub(crate) const V1: InfoHash = InfoHash([b'1'; 20]);
pub(crate) const V2: InfoHash = InfoHash([b'2'; 20]);
pub(crate) const PENDING: InfoHash = InfoHash([b'P'; 20]);
pub(crate) const CLOSED: InfoHash = InfoHash([b'C'; 20]);
pub(crate) const UNREGISTERED: InfoHash = InfoHash([b'U'; 20]);

pub(crate) struct Site {
    pub(crate) tracker: Arc<Tracker>,
    server: Option<Server>,
    port: u16,
    udp_port: u16,
}

impl Site {
    /// Members 1 to 9 with passkeys 1111…, 2222…; member 10 is disabled. A hybrid torrent, a pending and a closed one.
    pub(crate) fn new(settings: Settings) -> Self {
        Self::with_options(settings, 100, Patience::default())
    }

    pub(crate) fn with_options(
        settings: Settings,
        max_connections: usize,
        patience: Patience,
    ) -> Self {
        let options = Options {
            max_connections,
            patience,
            ..Options::default()
        };
        Self::with(settings, options)
    }

    pub(crate) fn with(settings: Settings, options: Options) -> Self {
        let tracker = Arc::new(Tracker::new(token_key(), settings));
        for id in 1..=10 {
            tracker.roster.put_member(Member {
                id: UserId(id),
                status: if id == 10 {
                    MemberStatus::Disabled
                } else {
                    MemberStatus::Active
                },
                class: UserClass::Newbie,
                leech: LeechRights::Free,
                passkey: Some(passkey(id)),
            });
        }
        let torrents = [
            (V1, Some(V2), TorrentStatus::Open),
            (PENDING, None, TorrentStatus::Pending),
            (CLOSED, None, TorrentStatus::Closed),
        ];
        for (id, (info_hash, info_hash_v2, status)) in (1..).zip(torrents) {
            let id = TorrentId(id);
            let torrent = RegisteredTorrent {
                id,
                info_hash,
                info_hash_v2,
                status,
                completed: 0,
            };
            tracker.swarms.put_torrent(&torrent);
        }
        let anywhere = vec![(Ipv6Addr::UNSPECIFIED, 0).into()];
        let options = Options {
            http: anywhere.clone(),
            udp: anywhere,
            workers: 2,
            ..options
        };
        let listener = Listener::bind(&options).unwrap();
        let (port, udp_port) = (listener.http()[0].port(), listener.udp()[0].port());
        let server = listener.serve(&tracker).unwrap();
        Self {
            tracker,
            server: Some(server),
            port,
            udp_port,
        }
    }

    /// Where UDP is listened for, over IPv4.
    pub(crate) fn udp4(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.udp_port).into()
    }

    pub(crate) fn udp6(&self) -> SocketAddr {
        (Ipv6Addr::LOCALHOST, self.udp_port).into()
    }

    pub(crate) fn v4(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub(crate) fn v6(&self) -> SocketAddr {
        (Ipv6Addr::LOCALHOST, self.port).into()
    }

    pub(crate) fn connect(&self) -> Client {
        Client::to(self.v4())
    }

    /// GETs over IPv4, on a connection of its own.
    pub(crate) fn get(&self, target: &str) -> Reply {
        self.connect().get(target)
    }

    /// The bencoded reply to an announce by a member, as text with escapes.
    pub(crate) fn announce(&self, user: u32, query: &str) -> String {
        self.get(&format!("/announce/{}?{query}", key(user))).text()
    }

    /// What has come out at the other end.
    pub(crate) fn records(&self) -> Vec<Record> {
        let mut records = Vec::new();
        self.tracker
            .outbox
            .drain(&mut Vec::new(), |record| records.push(*record));
        records
    }

    pub(crate) fn stop(mut self) {
        self.server.take().unwrap().stop();
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
    }
}

pub(crate) fn token_key() -> TokenKey {
    TokenKey::from_bytes([7; 32])
}

pub(crate) fn token(torrent: Option<u32>, expires_at: Option<UnixTime>) -> String {
    token_key().sign(&Token {
        id: TokenId(1),
        user: UserId(1),
        torrent: torrent.map(TorrentId),
        expires_at,
    })
}

fn passkey(user: u32) -> [u8; 16] {
    [(user * 0x11) as u8; 16]
}

pub(crate) fn key(user: u32) -> String {
    passkey(user)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// An announce's query, of a leecher with nothing moved. Later parameters are appended by the caller.
pub(crate) fn query(hash: InfoHash, user: u32) -> String {
    format!(
        "{}&uploaded=0&downloaded=0&left=9",
        query_without_counters(hash, user)
    )
}

pub(crate) fn query_without_counters(hash: InfoHash, user: u32) -> String {
    let hash = String::from_utf8(hash.0.to_vec()).unwrap();
    format!(
        "info_hash={hash}&peer_id=-XX0001-{user:012}&port={}",
        1000 + user
    )
}

pub(crate) fn seeder(hash: InfoHash, user: u32) -> String {
    query(hash, user).replace("left=9", "left=0")
}

pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    pub(crate) fn try_to(address: SocketAddr) -> Option<TcpStream> {
        TcpStream::connect(address).ok()
    }

    pub(crate) fn server(&self) -> SocketAddr {
        self.stream.peer_addr().unwrap()
    }

    /// Nothing has come back so far.
    pub(crate) fn has_no_reply_yet(&self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        matches!(peeked, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends what the server may not want to read to its end.
    pub(crate) fn send_as_far_as_possible(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Sends again and again, without reading, until the server has closed the connection.
    pub(crate) fn send_until_refused(&mut self, bytes: &[u8]) {
        self.stream
            .set_write_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let error = loop {
            if let Err(error) = self.stream.write_all(bytes) {
                break error;
            }
        };
        use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
        assert!(
            matches!(error.kind(), BrokenPipe | ConnectionReset),
            "{error}"
        );
    }

    /// Whether a request on a connection that may be closed already is answered.
    pub(crate) fn is_answered(&mut self, request: &str) -> bool {
        self.stream.write_all(request.as_bytes()).is_ok() && self.read_more()
    }

    pub(crate) fn get(&mut self, target: &str) -> Reply {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: tracker\r\n\r\n"));
        self.reply()
    }

    /// The next reply, its body by `Content-Length`.
    pub(crate) fn reply(&mut self) -> Reply {
        self.read_reply(true)
    }

    pub(crate) fn reply_to_head(&mut self) -> Reply {
        self.read_reply(false)
    }

    fn read_reply(&mut self, has_body: bool) -> Reply {
        let head_end = loop {
            if let Some(at) = self
                .buffer
                .windows(4)
                .position(|window| window == b"\r\n\r\n")
            {
                break at + 4;
            }
            assert!(
                self.read_more(),
                "closed before a reply: {:?}",
                self.buffer.escape_ascii()
            );
        };
        let head = String::from_utf8(self.buffer.drain(..head_end).collect()).unwrap();
        let length = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse()
                    .ok()
            })
            .unwrap_or(0);
        let length = if has_body { length } else { 0 };
        while self.buffer.len() < length {
            assert!(self.read_more(), "closed within a reply");
        }
        let body = self.buffer.drain(..length).collect();
        Reply { head, body }
    }

    /// Reads until the server closes; what came is returned.
    pub(crate) fn until_closed(mut self) -> Vec<u8> {
        while self.read_more() {}
        self.buffer
    }

    /// False at the end, a reset included.
    fn read_more(&mut self) -> bool {
        let mut chunk = [0; 4096];
        match self.stream.read(&mut chunk) {
            Ok(length) => {
                self.buffer.extend_from_slice(&chunk[..length]);
                length > 0
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("the server neither answers nor closes: {error}"),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn status(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    pub(crate) fn text(&self) -> String {
        self.body.escape_ascii().to_string()
    }
}

/// A bencoded string.
pub(crate) fn string(text: &str) -> String {
    format!("{}:{text}", text.len())
}

/// A refusal, with `retry in` bencoded.
pub(crate) fn failure(reason: &str, retry: &str) -> String {
    format!("d14:failure reason{}8:retry in{retry}e", string(reason))
}
