//! Replies, checked to the last byte: a server that answers nonsense quickly isn't quick.

use std::fmt;

use tracker_core::bencode;

use super::clients::Ask;

/// Longer, and it isn't an announce's.
const MAX_BODY: usize = 1 << 20;

/// A reply as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Peers in it.
    pub peers: usize,
    /// Bytes of bencode.
    pub body: usize,
    /// Bytes with the head.
    pub whole: usize,
}

/// Why a reply isn't one. Shown as it is counted: without what differs from reply to reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The head isn't HTTP, or has no length that we take.
    Framing(&'static str),
    /// Another status than 200.
    Status(u16),
    /// The body isn't the bencode of such a reply.
    Body(&'static str),
    /// A `failure reason`.
    Failure(String),
    /// A `warning message`.
    Warning(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Framing(what) => write!(f, "framing: {what}"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::Body(what) => write!(f, "body: {what}"),
            Self::Failure(reason) => write!(f, "failure reason: {reason}"),
            Self::Warning(message) => write!(f, "warning message: {message}"),
        }
    }
}

/// What has come so far, as an answer to that. `None`: there must be more.
pub fn read(input: &[u8], ask: Ask) -> Result<Option<Reply>, Fault> {
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut response = httparse::Response::new(&mut headers);
    let head = match response.parse(input) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(Fault::Framing("not HTTP")),
    };
    match response.code {
        Some(200) => {}
        status => return Err(Fault::Status(status.unwrap_or_default())),
    }
    let mut length = None;
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            let text = std::str::from_utf8(header.value).unwrap_or_default();
            match (length, text.parse::<usize>()) {
                (None, Ok(given)) if given <= MAX_BODY => length = Some(given),
                _ => return Err(Fault::Framing("a content-length that can't be")),
            }
        } else if header.name.eq_ignore_ascii_case("connection") {
            return Err(Fault::Framing("the server closes"));
        }
    }
    let length = length.ok_or(Fault::Framing("no content-length"))?;
    let whole = head + length;
    if input.len() < whole {
        return Ok(None);
    }
    if input.len() > whole {
        return Err(Fault::Framing("more than was announced"));
    }
    let peers = match ask {
        Ask::Scrape => check_scrape(&input[head..])?,
        _ => check_announce(&input[head..])?,
    };
    Ok(Some(Reply {
        peers,
        body: length,
        whole,
    }))
}

/// How many peers it names.
fn check_announce(body: &[u8]) -> Result<usize, Fault> {
    let value = bencode::parse(body).map_err(|_| Fault::Body("not bencode"))?;
    let dict = value.dict().ok_or(Fault::Body("not a dictionary"))?;
    let (mut peers, mut interval) = (None, None);
    let text = |value: bencode::Value<'_>| {
        String::from_utf8_lossy(value.bytes().unwrap_or_default()).into_owned()
    };
    for (key, value) in dict.iter() {
        match key {
            b"failure reason" => return Err(Fault::Failure(text(value))),
            b"warning message" => return Err(Fault::Warning(text(value))),
            b"peers" => peers = value.bytes(),
            b"interval" => interval = value.int(),
            _ => {}
        }
    }
    interval.ok_or(Fault::Body("no interval"))?;
    let peers = peers.ok_or(Fault::Body("no compact peers"))?;
    match peers.len().is_multiple_of(6) {
        true => Ok(peers.len() / 6),
        false => Err(Fault::Body("peers aren't six bytes each")),
    }
}

fn check_scrape(body: &[u8]) -> Result<usize, Fault> {
    let value = bencode::parse(body).map_err(|_| Fault::Body("not bencode"))?;
    let dict = value.dict().ok_or(Fault::Body("not a dictionary"))?;
    if let Some(reason) = dict.get(b"failure reason").and_then(|value| value.bytes()) {
        return Err(Fault::Failure(String::from_utf8_lossy(reason).into_owned()));
    }
    let files = dict.get(b"files").and_then(|files| files.dict());
    match files.is_some_and(|files| files.iter().count() == 1) {
        true => Ok(0),
        false => Err(Fault::Body("not the one torrent that was asked for")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "d8:intervali1800e5:peers6:abcdefe";

    fn http(body: &str) -> Vec<u8> {
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
    }

    #[test]
    fn whole_reply_is_measured() {
        let input = http(BODY);
        let reply = Reply {
            peers: 1,
            body: BODY.len(),
            whole: input.len(),
        };
        assert_eq!(read(&input, Ask::Plain), Ok(Some(reply)));
        (0..input.len()).for_each(|cut| assert_eq!(read(&input[..cut], Ask::Plain), Ok(None)));
    }

    #[test]
    fn nonsense_is_named() {
        for (input, fault) in [
            (b"hello, world\r\n\r\n".to_vec(), "framing: not HTTP"),
            (
                b"HTTP/1.1 200 OK\r\n\r\n".to_vec(),
                "framing: no content-length",
            ),
            (b"HTTP/1.1 404 No\r\n\r\n".to_vec(), "status 404"),
            (
                [http(BODY), b"x".to_vec()].concat(),
                "framing: more than was announced",
            ),
            (http("d5:peers"), "body: not bencode"),
            (http("i1e"), "body: not a dictionary"),
            (http("d5:peers6:abcdefe"), "body: no interval"),
            (http("d8:intervali1ee"), "body: no compact peers"),
            (
                http("d8:intervali1e5:peers5:abcdee"),
                "body: peers aren't six bytes each",
            ),
            (http("d14:failure reason2:noe"), "failure reason: no"),
            (
                http("d8:intervali1e5:peers0:15:warning message4:slowe"),
                "warning message: slow",
            ),
        ] {
            let found = read(&input, Ask::Plain).map_err(|fault| fault.to_string());
            assert_eq!(found, Err(fault.to_owned()));
        }
    }
}
