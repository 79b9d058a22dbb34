//! Replies, bencoded into a buffer that is used again. Keys stand in sorted order.

use std::net::IpAddr;

use crate::bencode::{put_bytes, put_int};
use crate::ids::InfoHash;
use crate::query::percent_decode;
use crate::refusal::{Refusal, Retry, Warning};
use crate::swarm::{PeerFormat, PeerList};

/// How many of which peers a swarm has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Peers with the whole torrent.
    pub complete: u32,
    /// Everyone else, partial seeds among them (BEP 21).
    pub incomplete: u32,
    /// Snatches, ever.
    pub downloaded: u32,
    /// Partial seeds: they want nothing, and haven't everything.
    pub partial: u32,
}

impl Counts {
    /// Those who want pieces: `downloaders` in a scrape (BEP 21).
    pub fn leechers(self) -> u32 {
        self.incomplete - self.partial
    }
}

/// A good reply to an announce, but for its peers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) counts: Counts,
    pub(crate) external_ip: IpAddr,
    pub(crate) interval_secs: u32,
    pub(crate) min_interval_secs: u32,
    pub(crate) warning: Option<Warning>,
}

/// `complete`, `downloaded`, `external ip` (BEP 24), `incomplete`, `interval`, `min interval`, `peers`, `peers6`,
/// `warning message`.
pub(crate) fn put_answer(out: &mut Vec<u8>, answer: &Answer, peers: &PeerList) {
    // Key by key with the value's first letter: one copy each.
    out.extend_from_slice(b"d8:completei");
    put_digits(out, answer.counts.complete);
    out.extend_from_slice(b"e10:downloadedi");
    put_digits(out, answer.counts.downloaded);
    out.extend_from_slice(b"e11:external ip");
    match answer.external_ip.to_canonical() {
        IpAddr::V4(ip) => put_bytes(out, &ip.octets()),
        IpAddr::V6(ip) => put_bytes(out, &ip.octets()),
    }
    out.extend_from_slice(b"10:incompletei");
    put_digits(out, answer.counts.incomplete);
    out.extend_from_slice(b"e8:intervali");
    put_digits(out, answer.interval_secs);
    out.extend_from_slice(b"e12:min intervali");
    put_digits(out, answer.min_interval_secs);
    out.extend_from_slice(b"e5:peers");
    match peers.format() {
        PeerFormat::Compact | PeerFormat::CompactV4 | PeerFormat::CompactV6 => {
            put_bytes(out, &peers.peers);
        }
        PeerFormat::Dictionaries { .. } => {
            out.push(b'l');
            out.extend_from_slice(&peers.peers);
            out.push(b'e');
        }
    }
    if !peers.peers6.is_empty() {
        put_bytes(out, b"peers6");
        put_bytes(out, &peers.peers6);
    }
    if let Some(warning) = answer.warning {
        put_text(out, "warning message", &warning);
    }
    out.push(b'e');
}

fn put_digits(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// `failure reason`, and `retry in` (BEP 31): minutes, or `never`.
pub(crate) fn put_refusal(out: &mut Vec<u8>, refusal: Refusal) {
    out.push(b'd');
    put_text(out, "failure reason", &refusal);
    put_bytes(out, b"retry in");
    match refusal.retry() {
        Retry::Never => put_bytes(out, b"never"),
        Retry::Minutes(minutes) => put_int(out, minutes),
    }
    out.push(b'e');
}

/// A scrape (BEP 48), with `downloaders` (BEP 21). The caller brings the files sorted by hash, each once.
pub(crate) fn put_scrape<'a>(
    out: &mut Vec<u8>,
    files: impl Iterator<Item = (&'a InfoHash, Counts)>,
) {
    out.push(b'd');
    put_bytes(out, b"files");
    out.push(b'd');
    for (hash, counts) in files {
        put_bytes(out, &hash.0);
        out.push(b'd');
        put_bytes(out, b"complete");
        put_int(out, counts.complete);
        put_bytes(out, b"downloaded");
        put_int(out, counts.downloaded);
        put_bytes(out, b"downloaders");
        put_int(out, counts.leechers());
        put_bytes(out, b"incomplete");
        put_int(out, counts.incomplete);
        out.push(b'e');
    }
    out.extend_from_slice(b"ee");
}

/// A refusal's words are put together only when somebody is refused.
fn put_text(out: &mut Vec<u8>, key: &str, text: &dyn std::fmt::Display) {
    put_bytes(out, key.as_bytes());
    put_bytes(out, text.to_string().as_bytes());
}

/// The address of an `ip=` parameter, percent-encoded or not.
pub(crate) fn read_ip(text: &[u8]) -> Option<IpAddr> {
    let mut buffer = [0; 64];
    let decoded = percent_decode(text, &mut buffer)?;
    let ip: IpAddr = std::str::from_utf8(decoded).ok()?.parse().ok()?;
    Some(ip.to_canonical()).filter(is_somebody)
}

/// An address that one host can have.
pub(crate) fn is_somebody(ip: &IpAddr) -> bool {
    let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    !(ip.is_unspecified() || ip.is_multicast() || is_broadcast)
}
