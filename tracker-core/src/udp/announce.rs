//! An announce's fields (BEP 15) and options (BEP 41), read by the same rules as a query over HTTP.

use std::net::Ipv4Addr;

use crate::accounting::Counters;
use crate::ids::{InfoHash, PeerId};
use crate::query::{self, Announce, BadQuery};
use crate::record::Event;
use crate::refusal::Refusal;
use crate::target::{Target, target};

/// The options of BEP 41. Whatever else there may be has a length, and is passed over.
const END: u8 = 0;
const NOP: u8 = 1;
const URL_DATA: u8 = 2;

/// An announce over UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnounceRequest<'a> {
    /// What it says, as a query says it over HTTP.
    pub announce: Announce<'a>,
    /// The address it claims; honoured only when the operator allows it.
    pub ip: Option<Ipv4Addr>,
}

impl<'a> AnnounceRequest<'a> {
    /// Reads the 82 bytes behind the head, and the options behind those. `url` is used again from one packet to the next:
    /// it takes the URL data, which may come in parts, and never grows beyond the packet.
    pub fn parse(fields: &[u8; 82], options: &[u8], url: &'a mut Vec<u8>) -> Result<Self, Refusal> {
        let mut fields = Fields(fields);
        let (info_hash, peer_id) = (InfoHash(fields.take()), PeerId(fields.take()));
        let downloaded = counter(fields.take(), "downloaded")?;
        let left = counter(fields.take(), "left")?;
        let uploaded = counter(fields.take(), "uploaded")?;
        let event = event(u32::from_be_bytes(fields.take()))?;
        let ip = Ipv4Addr::from(fields.take::<4>());
        // The client's own `key`, by which it could be known after a change of address: its peer id does that.
        let _: [u8; 4] = fields.take();
        let numwant = i32::from_be_bytes(fields.take());
        let port = u16::from_be_bytes(fields.take());
        if port == 0 {
            return Err(BadQuery::BadPort.into());
        }
        gather_url(options, url)?;
        let announce = Announce {
            info_hash,
            peer_id,
            port,
            counters: Counters {
                uploaded,
                downloaded,
            },
            left,
            event,
            numwant: u32::try_from(numwant).ok(),
            compact: true,
            no_peer_id: true,
            key: key(url)?,
            ip: None,
        };
        Ok(Self {
            announce,
            ip: Some(ip).filter(|ip| !ip.is_unspecified()),
        })
    }
}

/// What is left of the fields. They are as long as all that is taken, or the rest would be zeros.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.0.split_first_chunk() {
            Some((field, rest)) => {
                self.0 = rest;
                *field
            }
            None => [0; N],
        }
    }
}

fn counter(field: [u8; 8], name: &'static str) -> Result<u64, BadQuery> {
    u64::try_from(i64::from_be_bytes(field)).map_err(|_| BadQuery::Negative(name))
}

/// BEP 15 has four; libtorrent says `paused` (BEP 21) by a fifth number.
fn event(number: u32) -> Result<Event, BadQuery> {
    match number {
        0 => Ok(Event::None),
        1 => Ok(Event::Completed),
        2 => Ok(Event::Started),
        3 => Ok(Event::Stopped),
        4 => Ok(Event::Paused),
        _ => Err(BadQuery::UnknownEvent),
    }
}

/// Puts the parts of the URL data together.
fn gather_url(mut options: &[u8], url: &mut Vec<u8>) -> Result<(), BadQuery> {
    url.clear();
    while let Some((&kind, rest)) = options.split_first() {
        options = match kind {
            END => return Ok(()),
            NOP => rest,
            _ => {
                let (&length, rest) = rest.split_first().ok_or(BadQuery::CutOption)?;
                let (data, rest) = rest
                    .split_at_checked(length.into())
                    .ok_or(BadQuery::CutOption)?;
                if kind == URL_DATA {
                    url.extend_from_slice(data);
                }
                rest
            }
        };
    }
    Ok(())
}

/// The key in a URL's path and query. Clients may leave out what is but a slash.
fn key(url: &[u8]) -> Result<Option<&[u8]>, Refusal> {
    let (path, query) = match memchr::memchr(b'?', url) {
        Some(mark) => (&url[..mark], &url[mark + 1..]),
        None => (url, &[][..]),
    };
    let in_query = || query::key(query);
    match (path, target(path)) {
        (b"" | b"/", _) => Ok(in_query()),
        (_, Some(Target::Announce(key) | Target::Scrape(key))) => Ok(key.or_else(in_query)),
        (_, None) => Err(Refusal::NotAnAnnounceUrl),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
        let mut fields = [0; 82];
        fields[81] = 1;
        let mut url = b"left over".to_vec();
        let request = AnnounceRequest::parse(&fields, options, &mut url)?;
        Ok(request.announce.key.map(<[u8]>::to_vec))
    }

    fn url(text: &str) -> Vec<u8> {
        let parts = text.as_bytes().chunks(255);
        parts
            .flat_map(|part| [&[URL_DATA, part.len() as u8], part].concat())
            .collect()
    }

    #[test]
    fn key_is_found_in_every_form_of_the_url() {
        for text in [
            "/announce/KEY",
            "/announce/KEY/",
            "/KEY/announce",
            "/announce?key=KEY",
            "/announce/?a=b&key=KEY",
            "/announce/KEY?key=client",
            "?key=KEY",
        ] {
            assert_eq!(read(&url(text)), Ok(Some(b"KEY".to_vec())), "{text}");
        }
        for text in ["", "/", "/announce", "/announce?a=b"] {
            assert_eq!(read(&url(text)), Ok(None), "{text}");
        }
        assert_eq!(read(&url("/stats")), Err(Refusal::NotAnAnnounceUrl));
    }

    #[test]
    fn options_are_walked_by_their_lengths() {
        let cut = Err(Refusal::BadQuery(BadQuery::CutOption));
        let key = Ok(Some(b"KEY".to_vec()));
        let long = "K".repeat(1000);
        let table: [(Vec<u8>, _); 12] = [
            (vec![], Ok(None)),
            (vec![END, URL_DATA, 200], Ok(None)),
            ([vec![NOP; 5], url("/announce/KEY")].concat(), key.clone()),
            (
                [url("/announ"), vec![NOP], url("ce/KEY")].concat(),
                key.clone(),
            ),
            (
                [url("/announce/KEY"), vec![END], url("/x")].concat(),
                key.clone(),
            ),
            (
                [vec![9, 2, 2, 9], url("/announce/KEY"), vec![77, 0]].concat(),
                key,
            ),
            (vec![URL_DATA], cut.clone()),
            (vec![URL_DATA, 1], cut.clone()),
            (
                [url("/announce/KEY"), vec![9, 3, 0, 0]].concat(),
                cut.clone(),
            ),
            (vec![255], cut),
            (vec![URL_DATA, 0], Ok(None)),
            (
                url(&format!("/announce/{long}")),
                Ok(Some(long.into_bytes())),
            ),
        ];
        for (options, expected) in table {
            assert_eq!(read(&options), expected, "{}", options.escape_ascii());
        }
    }
}
