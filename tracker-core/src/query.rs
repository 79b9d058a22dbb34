//! The raw query string of an announce or a scrape, read in place.
//!
//! No form decoder: an info hash is 20 arbitrary bytes, and `+` is one of them. Values are percent-decoded into fixed
//! arrays, so nothing is allocated whatever comes in.

use memchr::memchr;

use crate::accounting::Counters;
use crate::ids::{InfoHash, PeerId};
use crate::record::Event;

/// An announce (BEP 3), with what BEPs 7, 21 and 23 add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announce<'a> {
    /// Which swarm.
    pub info_hash: InfoHash,
    /// Which run of which client.
    pub peer_id: PeerId,
    /// Where it listens, 1 to 65535.
    pub port: u16,
    /// Bytes moved since `started`; each at most `i64::MAX`.
    pub counters: Counters,
    /// Bytes it still wants; at most `i64::MAX`.
    pub left: u64,
    /// Why it announces.
    pub event: Event,
    /// How many peers it would like; absent or negative: as many as we think best.
    pub numwant: Option<u32>,
    /// Compact peers (BEP 23), unless `compact=0`.
    pub compact: bool,
    /// `no_peer_id=1`: a list of dictionaries may leave peer ids out.
    pub no_peer_id: bool,
    /// The first `key=`: the member's key in `/announce?key=…`, else the client's own and of no use here.
    pub key: Option<&'a [u8]>,
    /// The address it claims, still percent-encoded; honoured only when the operator allows it.
    pub ip: Option<&'a [u8]>,
}

/// What is wrong with a query. The text goes to the client as its `failure reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadQuery {
    /// A parameter that must be there isn't.
    #[error("missing parameter: {0}")]
    Missing(&'static str),
    /// A parameter that may be there once is there twice.
    #[error("repeated parameter: {0}")]
    Repeated(&'static str),
    /// `info_hash` or `peer_id` of another length.
    #[error("{0} must be 20 bytes")]
    WrongLength(&'static str),
    /// A `%` without two hex digits behind it.
    #[error("bad percent-encoding in {0}")]
    BadEscape(&'static str),
    /// Not decimal digits.
    #[error("{0} must be a number")]
    NotANumber(&'static str),
    /// Below zero.
    #[error("{0} must not be negative")]
    Negative(&'static str),
    /// Above 2^63 - 1.
    #[error("{0} is too large")]
    TooLarge(&'static str),
    /// 0 or above 65535.
    #[error("port must be 1 to 65535")]
    BadPort,
    /// An event that no BEP names.
    #[error("event must be started, completed, stopped or paused")]
    UnknownEvent,
}

/// Parameters that may occur once; the bit that remembers having seen one.
const ONCE: [&str; 10] = [
    "info_hash",
    "peer_id",
    "port",
    "uploaded",
    "downloaded",
    "left",
    "event",
    "numwant",
    "compact",
    "ip",
];

impl<'a> Announce<'a> {
    /// Reads what stands behind the `?`. Parameters that we don't know are passed over.
    pub fn parse(query: &'a [u8]) -> Result<Self, BadQuery> {
        let mut seen = 0u16;
        let mut info_hash = None;
        let mut peer_id = None;
        let mut port = None;
        let mut uploaded = None;
        let mut downloaded = None;
        let mut left = None;
        let mut event = Event::None;
        let mut numwant = None;
        let mut compact = true;
        let mut no_peer_id = false;
        let mut key = None;
        let mut ip = None;

        for (name, value) in Pairs(query) {
            let mut once = |bit: usize| {
                let repeated = seen & (1 << bit) != 0;
                seen |= 1 << bit;
                if repeated {
                    Err(BadQuery::Repeated(ONCE[bit]))
                } else {
                    Ok(ONCE[bit])
                }
            };
            match name {
                b"info_hash" => info_hash = Some(InfoHash(decode_20(value, once(0)?)?)),
                b"peer_id" => peer_id = Some(PeerId(decode_20(value, once(1)?)?)),
                b"port" => port = Some(parse_port(value, once(2)?)?),
                b"uploaded" => uploaded = Some(parse_counter(value, once(3)?)?),
                b"downloaded" => downloaded = Some(parse_counter(value, once(4)?)?),
                b"left" => left = Some(parse_counter(value, once(5)?)?),
                b"event" => {
                    once(6)?;
                    event = parse_event(value)?;
                }
                b"numwant" => numwant = parse_numwant(value, once(7)?)?,
                b"compact" => {
                    once(8)?;
                    compact = value != b"0";
                }
                b"ip" => {
                    once(9)?;
                    ip = Some(value);
                }
                b"no_peer_id" => no_peer_id = value == b"1",
                // Clients append their own `key=` to an announce URL that has one already: the first is ours.
                b"key" => key = key.or(Some(value)),
                _ => {}
            }
        }

        Ok(Self {
            info_hash: info_hash.ok_or(BadQuery::Missing("info_hash"))?,
            peer_id: peer_id.ok_or(BadQuery::Missing("peer_id"))?,
            port: port.ok_or(BadQuery::Missing("port"))?,
            counters: Counters {
                uploaded: uploaded.ok_or(BadQuery::Missing("uploaded"))?,
                downloaded: downloaded.ok_or(BadQuery::Missing("downloaded"))?,
            },
            left: left.ok_or(BadQuery::Missing("left"))?,
            event,
            numwant,
            compact,
            no_peer_id,
            key,
            ip,
        })
    }
}

/// The info hashes of a scrape (BEP 48), in the order asked for.
pub fn scrape_hashes(query: &[u8]) -> impl Iterator<Item = Result<InfoHash, BadQuery>> {
    Pairs(query)
        .filter(|(name, _)| *name == b"info_hash")
        .map(|(_, value)| decode_20(value, "info_hash").map(InfoHash))
}

/// The first `key=` of a query.
pub fn key(query: &[u8]) -> Option<&[u8]> {
    Pairs(query)
        .find(|(name, _)| *name == b"key")
        .map(|(_, value)| value)
}

/// Percent-decodes into the front of `buffer`; `None` when an escape is bad or the value doesn't fit.
pub fn percent_decode<'b>(value: &[u8], buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    let mut length = 0;
    let mut rest = value;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let decoded = if byte == b'%' {
            let [high, low, after @ ..] = rest else {
                return None;
            };
            rest = after;
            (hex_digit(*high)? << 4) | hex_digit(*low)?
        } else {
            byte
        };
        *buffer.get_mut(length)? = decoded;
        length += 1;
    }
    Some(&buffer[..length])
}

/// `name=value` between `&`s. A name without `=` has an empty value.
struct Pairs<'a>(&'a [u8]);

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let pair = match memchr(b'&', self.0) {
            Some(end) => {
                let pair = &self.0[..end];
                self.0 = &self.0[end + 1..];
                pair
            }
            None => std::mem::take(&mut self.0),
        };
        Some(match memchr(b'=', pair) {
            Some(equals) => (&pair[..equals], &pair[equals + 1..]),
            None => (pair, b""),
        })
    }
}

fn decode_20(value: &[u8], name: &'static str) -> Result<[u8; 20], BadQuery> {
    let mut decoded = [0; 20];
    match percent_decode(value, &mut decoded) {
        Some(bytes) if bytes.len() == 20 => Ok(decoded),
        Some(_) => Err(BadQuery::WrongLength(name)),
        None if has_bad_escape(value) => Err(BadQuery::BadEscape(name)),
        None => Err(BadQuery::WrongLength(name)),
    }
}

/// Only asked once decoding has failed: was it an escape, or the length?
fn has_bad_escape(value: &[u8]) -> bool {
    let is_escape = |digits: &[u8]| digits.len() == 2 && digits.iter().all(u8::is_ascii_hexdigit);
    memchr::memchr_iter(b'%', value).any(|at| !is_escape(&value[at + 1..value.len().min(at + 3)]))
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn parse_counter(value: &[u8], name: &'static str) -> Result<u64, BadQuery> {
    let (is_negative, digits) = match value {
        [b'-', digits @ ..] => (true, digits),
        _ => (false, value),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(BadQuery::NotANumber(name));
    }
    if is_negative {
        return Err(BadQuery::Negative(name));
    }
    digits
        .iter()
        .try_fold(0i64, |sum, digit| {
            sum.checked_mul(10)?.checked_add(i64::from(digit - b'0'))
        })
        .map(i64::unsigned_abs)
        .ok_or(BadQuery::TooLarge(name))
}

fn parse_port(value: &[u8], name: &'static str) -> Result<u16, BadQuery> {
    match parse_counter(value, name) {
        Ok(port) => u16::try_from(port)
            .ok()
            .filter(|&port| port != 0)
            .ok_or(BadQuery::BadPort),
        Err(BadQuery::NotANumber(name)) => Err(BadQuery::NotANumber(name)),
        Err(_) => Err(BadQuery::BadPort),
    }
}

/// Above the top is as good as the top; -1 is how UDP clients say "you choose" (BEP 15), and some say it here too.
fn parse_numwant(value: &[u8], name: &'static str) -> Result<Option<u32>, BadQuery> {
    match parse_counter(value, name) {
        Ok(wanted) => Ok(Some(u32::try_from(wanted).unwrap_or(u32::MAX))),
        Err(BadQuery::TooLarge(_)) => Ok(Some(u32::MAX)),
        Err(BadQuery::Negative(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn parse_event(value: &[u8]) -> Result<Event, BadQuery> {
    match value {
        b"" => Ok(Event::None),
        b"started" => Ok(Event::Started),
        b"completed" => Ok(Event::Completed),
        b"stopped" => Ok(Event::Stopped),
        b"paused" => Ok(Event::Paused),
        _ => Err(BadQuery::UnknownEvent),
    }
}

#[cfg(test)]
mod tests;
