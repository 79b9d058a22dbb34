//! An HTTP announce as qBittorrent sends it, put together from ready pieces: a dozen copies, and no allocation.

use super::clients::{Ask, Session};
use super::site::Spelled;

/// What every request of a load has in common.
#[derive(Debug)]
pub struct Requests {
    spelled: Spelled,
    /// From `&corrupt` to the request's end, one for each [`Ask`].
    ends: [Vec<u8>; 5],
}

impl Requests {
    /// `host`: the server, as the `Host` header has it.
    pub fn new(spelled: Spelled, host: &str, numwant: u32) -> Self {
        // libtorrent closes after each announce; whoever sends as many as we do keeps the connection.
        let head = format!(
            " HTTP/1.1\r\nHost: {host}\r\nUser-Agent: qBittorrent/4.6.5\r\nAccept-Encoding: gzip\r\n\r\n"
        );
        let ends = Ask::ALL.map(|ask| {
            let event = match ask {
                Ask::Plain => String::new(),
                Ask::Scrape => return head.clone().into_bytes(),
                event => format!("&event={}", event.name()),
            };
            // A client that stops wants nobody.
            let numwant = if ask == Ask::Stopped { 0 } else { numwant };
            format!(
                "&corrupt=0&key=1A2B3C4D{event}&numwant={numwant}&compact=1&no_peer_id=1\
                 &supportcrypto=1&redundant=0{head}"
            )
            .into_bytes()
        });
        Self { spelled, ends }
    }

    /// Writes a request into an empty buffer.
    pub fn write(&self, out: &mut Vec<u8>, session: &Session, ask: Ask) {
        let mut number = itoa::Buffer::new();
        let path: &[u8] = match ask {
            Ask::Scrape => b"GET /scrape/",
            _ => b"GET /announce/",
        };
        out.extend_from_slice(path);
        out.extend_from_slice(self.spelled.key(session.member));
        out.extend_from_slice(b"?info_hash=");
        out.extend_from_slice(self.spelled.escaped(session.torrent));
        if ask != Ask::Scrape {
            out.extend_from_slice(b"&peer_id=");
            out.extend_from_slice(&session.peer_id());
            let mut field = |name: &[u8], value| {
                out.extend_from_slice(name);
                out.extend_from_slice(number.format(value).as_bytes());
            };
            field(b"&port=", session.port().into());
            field(b"&uploaded=", session.uploaded);
            field(b"&downloaded=", session.downloaded);
            field(b"&left=", session.left());
        }
        out.extend_from_slice(&self.ends[ask as usize]);
    }
}
