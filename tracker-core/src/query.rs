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
    /// A UDP packet whose last option (BEP 41) is longer than what is left of it.
    #[error("the packet ends within an option (BEP 41)")]
    CutOption,
    /// More info hashes than a UDP scrape may have.
    #[error("too many info hashes: a UDP scrape has 74 at most")]
    TooManyHashes,
}

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

        let mut query = Cursor(query);
        while let Some(name) = query.name() {
            if name.is_once() {
                let bit = 1 << name as u16;
                if seen & bit != 0 {
                    return Err(BadQuery::Repeated(name.text()));
                }
                seen |= bit;
            }
            match name {
                Name::InfoHash => info_hash = Some(InfoHash(query.take_20(name.text())?)),
                Name::PeerId => peer_id = Some(PeerId(query.take_20(name.text())?)),
                Name::Port => port = Some(query.take_port()?),
                Name::Uploaded => uploaded = Some(query.take_counter(name.text())?),
                Name::Downloaded => downloaded = Some(query.take_counter(name.text())?),
                Name::Left => left = Some(query.take_counter(name.text())?),
                Name::Event => event = parse_event(query.take())?,
                Name::Numwant => numwant = query.take_numwant()?,
                Name::Compact => compact = query.take() != b"0",
                Name::Ip => ip = Some(query.take()),
                Name::NoPeerId => no_peer_id = query.take() == b"1",
                // Clients append their own `key=` to an announce URL that has one already: the first is ours.
                Name::Key => key = key.or(Some(query.take())),
                Name::Other => drop(query.take()),
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
    let mut query = Cursor(query);
    std::iter::from_fn(move || {
        loop {
            match query.name()? {
                Name::InfoHash => return Some(query.take_20(Name::InfoHash.text()).map(InfoHash)),
                _ => drop(query.take()),
            }
        }
    })
}

/// The first `key=` of a query.
pub fn key(query: &[u8]) -> Option<&[u8]> {
    let mut query = Cursor(query);
    loop {
        match query.name()? {
            Name::Key => return Some(query.take()),
            _ => drop(query.take()),
        }
    }
}

/// Percent-decodes into the front of `buffer`; `None` when an escape is bad or the value doesn't fit.
pub fn percent_decode<'b>(value: &[u8], buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    let mut length = 0;
    let mut rest = value.iter();
    while let Some(&byte) = rest.next() {
        *buffer.get_mut(length)? = match byte {
            b'%' => hex_byte(*rest.next()?, *rest.next()?)?,
            plain => plain,
        };
        length += 1;
    }
    Some(&buffer[..length])
}

/// The parameters that mean something to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    InfoHash,
    PeerId,
    Port,
    Uploaded,
    Downloaded,
    Left,
    Event,
    Numwant,
    Compact,
    Ip,
    NoPeerId,
    Key,
    Other,
}

impl Name {
    /// Whether it may occur a single time.
    fn is_once(self) -> bool {
        !matches!(self, Self::NoPeerId | Self::Key | Self::Other)
    }

    fn text(self) -> &'static str {
        match self {
            Self::InfoHash => "info_hash",
            Self::PeerId => "peer_id",
            Self::Port => "port",
            Self::Uploaded => "uploaded",
            Self::Downloaded => "downloaded",
            Self::Left => "left",
            Self::Event => "event",
            Self::Numwant => "numwant",
            Self::Compact => "compact",
            Self::Ip => "ip",
            Self::NoPeerId => "no_peer_id",
            Self::Key => "key",
            Self::Other => "",
        }
    }

    /// The name that a text begins with, and what stands behind it. Written out, as each comparison with a constant is an
    /// instruction or two.
    fn strip(text: &[u8]) -> Option<(Self, &[u8])> {
        let first = *text.first()?;
        match first {
            b'c' => text
                .strip_prefix(b"compact")
                .map(|after| (Self::Compact, after)),
            b'd' => text
                .strip_prefix(b"downloaded")
                .map(|after| (Self::Downloaded, after)),
            b'e' => text
                .strip_prefix(b"event")
                .map(|after| (Self::Event, after)),
            b'i' => match text.strip_prefix(b"info_hash") {
                Some(after) => Some((Self::InfoHash, after)),
                None => text.strip_prefix(b"ip").map(|after| (Self::Ip, after)),
            },
            b'k' => text.strip_prefix(b"key").map(|after| (Self::Key, after)),
            b'l' => text.strip_prefix(b"left").map(|after| (Self::Left, after)),
            b'n' => match text.strip_prefix(b"numwant") {
                Some(after) => Some((Self::Numwant, after)),
                None => text
                    .strip_prefix(b"no_peer_id")
                    .map(|after| (Self::NoPeerId, after)),
            },
            b'p' => match text.strip_prefix(b"peer_id") {
                Some(after) => Some((Self::PeerId, after)),
                None => text.strip_prefix(b"port").map(|after| (Self::Port, after)),
            },
            b'u' => text
                .strip_prefix(b"uploaded")
                .map(|after| (Self::Uploaded, after)),
            _ => None,
        }
    }
}

/// Walks over `name=value` pairs between `&`s, and over each byte once: [`name`](Self::name) and then one of the
/// functions that take the value.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    /// Goes to the next pair's value; `None` at the end. A name without `=` has an empty value.
    fn name(&mut self) -> Option<Name> {
        if self.0.is_empty() {
            return None;
        }
        match Name::strip(self.0) {
            Some((name, [b'=', value @ ..])) => {
                self.0 = value;
                return Some(name);
            }
            Some((name, after @ ([] | [b'&', ..]))) => {
                self.0 = after;
                return Some(name);
            }
            _ => {}
        }
        let end = |&byte: &u8| byte == b'=' || byte == b'&';
        let name = self.0.iter().position(end).unwrap_or(self.0.len());
        self.0 = &self.0[name..];
        self.0 = self.0.strip_prefix(b"=").unwrap_or(self.0);
        Some(Name::Other)
    }

    /// Takes a value as it is.
    fn take(&mut self) -> &'a [u8] {
        // Most are a few bytes long: to begin a vectorised search costs more than to look at them.
        const SHORT: usize = 8;
        let text = self.0;
        let head = &text[..text.len().min(SHORT)];
        let end = match head.iter().position(|&byte| byte == b'&') {
            Some(end) => end,
            None => memchr(b'&', &text[head.len()..]).map_or(text.len(), |end| head.len() + end),
        };
        self.0 = text.get(end + 1..).unwrap_or_default();
        &text[..end]
    }

    /// Takes an info hash or a peer id.
    fn take_20(&mut self, name: &'static str) -> Result<[u8; 20], BadQuery> {
        let mut decoded = [0; 20];
        let mut rest = self.0.iter();
        for place in &mut decoded {
            *place = match rest.next() {
                Some(b'%') => match (rest.next(), rest.next()) {
                    (Some(&high), Some(&low)) => match hex_byte(high, low) {
                        Some(byte) => byte,
                        None => return Err(self.not_20(name)),
                    },
                    _ => return Err(self.not_20(name)),
                },
                Some(b'&') | None => return Err(self.not_20(name)),
                Some(&plain) => plain,
            };
        }
        match rest.next() {
            Some(b'&') | None => {
                self.0 = rest.as_slice();
                Ok(decoded)
            }
            Some(_) => Err(self.not_20(name)),
        }
    }

    /// Was it an escape, or the length?
    fn not_20(&mut self, name: &'static str) -> BadQuery {
        let value = self.take();
        let is_escape =
            |digits: &[u8]| digits.len() == 2 && digits.iter().all(u8::is_ascii_hexdigit);
        let mut escapes = memchr::memchr_iter(b'%', value);
        match escapes.all(|at| is_escape(&value[at + 1..value.len().min(at + 3)])) {
            true => BadQuery::WrongLength(name),
            false => BadQuery::BadEscape(name),
        }
    }

    /// Takes a number from 0 to `i64::MAX`.
    fn take_counter(&mut self, name: &'static str) -> Result<u64, BadQuery> {
        // So many digits can't be too large.
        const SAFE: usize = 18;
        let mut sum = 0;
        for (length, &byte) in self.0.iter().take(SAFE + 1).enumerate() {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 || length == SAFE {
                if byte == b'&' && length > 0 {
                    self.0 = &self.0[length + 1..];
                    return Ok(sum);
                }
                break;
            }
            sum = sum * 10 + u64::from(digit);
        }
        parse_counter(self.take(), name)
    }

    fn take_port(&mut self) -> Result<u16, BadQuery> {
        match self.take_counter(Name::Port.text()) {
            Ok(port) => u16::try_from(port)
                .ok()
                .filter(|&port| port != 0)
                .ok_or(BadQuery::BadPort),
            Err(BadQuery::NotANumber(name)) => Err(BadQuery::NotANumber(name)),
            Err(_) => Err(BadQuery::BadPort),
        }
    }

    /// Above the top is as good as the top; -1 is how UDP clients say "you choose" (BEP 15), and some say it here too.
    fn take_numwant(&mut self) -> Result<Option<u32>, BadQuery> {
        match self.take_counter(Name::Numwant.text()) {
            Ok(wanted) => Ok(Some(u32::try_from(wanted).unwrap_or(u32::MAX))),
            Err(BadQuery::TooLarge(_)) => Ok(Some(u32::MAX)),
            Err(BadQuery::Negative(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn hex_byte(high: u8, low: u8) -> Option<u8> {
    let [high, low] = [high, low].map(|digit| HEX[usize::from(digit)]);
    ((high | low) != NOT_HEX).then_some(high << 4 | low)
}

/// In [`HEX`]: no digit. Together with any digit it stays what it is.
const NOT_HEX: u8 = 0xff;

/// What each byte is worth as a hex digit.
const HEX: [u8; 256] = {
    let mut table = [NOT_HEX; 256];
    let mut digit = 0;
    while digit < 16 {
        let character = b"0123456789abcdef"[digit];
        table[character as usize] = digit as u8;
        table[character.to_ascii_uppercase() as usize] = digit as u8;
        digit += 1;
    }
    table
};

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
