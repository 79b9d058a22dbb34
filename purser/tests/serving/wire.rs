//! The wire on which clients announce, repeating what nobody has answered.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::Arc;

use crate::meeting::Meeting;
use crate::site::PATIENCE;

/// By which kind of address.
#[derive(Clone, Copy)]
pub(crate) enum Family {
    V4,
    V6,
}

/// A connection to the tracker in each family, for one thread's clients.
pub(crate) struct Wire {
    meeting: Arc<Meeting>,
    /// The start of the tracker that the sockets lead to.
    start: u64,
    sockets: [Option<BufReader<TcpStream>>; 2],
}

/// How an answer begins, and no failure.
const TAKEN: &[u8] = b"d8:complete";

/// What the tracker says when its journal is full.
const BUSY: &str = "the tracker is busy";

/// An announce that is refused so often in a row won't be taken any more.
const REFUSALS_MAX: u32 = 100_000;

impl Wire {
    pub(crate) fn new(meeting: &Arc<Meeting>) -> Self {
        Self {
            meeting: Arc::clone(meeting),
            start: 0,
            sockets: [None, None],
        }
    }

    /// Says the same until it is taken, if need be to the tracker's next start.
    pub(crate) fn announce(&mut self, family: Family, target: &str) {
        let mut refusals = 0;
        loop {
            match self.ask(family, target) {
                Ok(reply) if reply.starts_with(TAKEN) => {
                    return self.meeting.note_answer();
                }
                Ok(reply) => {
                    refusals += 1;
                    let reply = reply.escape_ascii().to_string();
                    assert!(refusals < REFUSALS_MAX, "refused again and again: {reply}");
                    self.meeting.note_trouble(format!("refused: {reply}"));
                }
                Err(error) => {
                    self.sockets = [None, None];
                    self.meeting.note_trouble(format!("cut: {error}"));
                }
            }
        }
    }

    /// Says one behind the other without waiting, once. Returns how many were taken; the others were refused as busy.
    pub(crate) fn announce_at_once(&mut self, family: Family, targets: &[String]) -> usize {
        let socket = self.connected(family);
        let requests: String = targets.iter().map(|target| request(target)).collect();
        socket.get_mut().write_all(requests.as_bytes()).unwrap();
        let replies = targets.iter().map(|_| reply(socket).unwrap());
        let taken = replies.filter(|reply| {
            let taken = reply.starts_with(TAKEN);
            assert!(taken || is_busy(reply), "{}", reply.escape_ascii());
            taken
        });
        taken.count()
    }

    /// Says it once; was it refused as busy?
    pub(crate) fn is_too_busy_for(&mut self, family: Family, target: &str) -> bool {
        is_busy(&self.ask(family, target).unwrap())
    }

    fn ask(&mut self, family: Family, target: &str) -> io::Result<Vec<u8>> {
        let socket = self.connected(family);
        // One write: a request in parts would be one in several packets.
        socket.get_mut().write_all(request(target).as_bytes())?;
        reply(socket)
    }

    /// Waits for the next start of the tracker when nobody listens any more.
    fn connected(&mut self, family: Family) -> &mut BufReader<TcpStream> {
        let (mut start, mut port) = self.meeting.place();
        if start != self.start {
            self.sockets = [None, None];
        }
        self.start = start;
        self.sockets[family as usize].get_or_insert_with(|| {
            loop {
                let address: SocketAddr = match family {
                    Family::V4 => (Ipv4Addr::LOCALHOST, port).into(),
                    Family::V6 => (Ipv6Addr::LOCALHOST, port).into(),
                };
                if let Ok(stream) = TcpStream::connect(address) {
                    stream.set_nodelay(true).unwrap();
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    self.start = start;
                    return BufReader::new(stream);
                }
                (start, port) = self.meeting.place_after(start);
            }
        })
    }
}

fn request(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: tracker\r\n\r\n")
}

fn reply(socket: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if socket.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(digits) = line.strip_prefix("content-length:") {
            length = digits.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    socket.read_exact(&mut body)?;
    Ok(body)
}

fn is_busy(reply: &[u8]) -> bool {
    reply.starts_with(b"d14:failure reason") && reply.escape_ascii().to_string().contains(BUSY)
}
