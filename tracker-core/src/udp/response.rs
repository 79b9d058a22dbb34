//! Answers of BEP 15, written behind what a buffer holds already.

use std::fmt::{self, Display, Write};

use super::TransactionId;
use crate::reply::{Answer, Counts};
use crate::swarm::PeerList;

/// No answer is longer: so much passes any IPv6 path in one piece (1280 bytes, less 40 of IPv6 and 8 of UDP), and
/// pieces of a packet are often lost.
pub(crate) const REPLY_MAX: usize = 1232;

/// An announce's answer without peers.
const ANNOUNCE: usize = 20;

/// Endpoints that fit into an answer.
pub(super) const PEERS4_MAX: usize = (REPLY_MAX - ANNOUNCE) / 6;
pub(super) const PEERS6_MAX: usize = (REPLY_MAX - ANNOUNCE) / 18;

/// Action and transaction id.
const HEAD: usize = 8;

/// An error's text: no refusal is as long.
const TEXT_MAX: usize = 248;

const CONNECT: u32 = 0;
const ANNOUNCED: u32 = 1;
const SCRAPED: u32 = 2;
const ERROR: u32 = 3;

/// 16 bytes: the connection id.
pub(super) fn put_connect(out: &mut Vec<u8>, transaction: TransactionId, connection_id: u64) {
    put_head(out, CONNECT, transaction);
    out.extend_from_slice(&connection_id.to_be_bytes());
}

/// 20 bytes, and the peers of one family: `interval`, `leechers`, `seeders`.
pub(super) fn put_announce(
    out: &mut Vec<u8>,
    transaction: TransactionId,
    answer: &Answer,
    peers: &PeerList,
) {
    put_head(out, ANNOUNCED, transaction);
    put_u32(out, answer.interval_secs);
    put_u32(out, answer.counts.incomplete);
    put_u32(out, answer.counts.complete);
    // One of the two is empty.
    out.extend_from_slice(&peers.peers);
    out.extend_from_slice(&peers.peers6);
}

/// 8 bytes; [`put_counts`] adds 12 for each torrent, in the order asked for.
pub(super) fn put_scrape(out: &mut Vec<u8>, transaction: TransactionId) {
    put_head(out, SCRAPED, transaction);
}

/// `seeders`, `completed`, `leechers`.
pub(super) fn put_counts(out: &mut Vec<u8>, counts: Counts) {
    put_u32(out, counts.complete);
    put_u32(out, counts.downloaded);
    put_u32(out, counts.incomplete);
}

/// 8 bytes, and as much of the text as fits.
pub(crate) fn put_error(out: &mut Vec<u8>, transaction: TransactionId, text: &dyn Display) {
    put_short_error(out, transaction, text, HEAD + TEXT_MAX);
}

/// An error in at most so many bytes.
pub(super) fn put_short_error(
    out: &mut Vec<u8>,
    transaction: TransactionId,
    text: &dyn Display,
    bytes_max: usize,
) {
    put_head(out, ERROR, transaction);
    let room = bytes_max.saturating_sub(HEAD).min(TEXT_MAX);
    // Fails when there is no more room.
    let _ = write!(Text { out, room }, "{text}");
}

/// A text that ends where its room does.
struct Text<'a> {
    out: &'a mut Vec<u8>,
    room: usize,
}

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let fits = text.floor_char_boundary(self.room);
        self.out.extend_from_slice(&text.as_bytes()[..fits]);
        self.room -= fits;
        if fits < text.len() {
            return Err(fmt::Error);
        }
        Ok(())
    }
}

fn put_head(out: &mut Vec<u8>, action: u32, transaction: TransactionId) {
    put_u32(out, action);
    out.extend_from_slice(&transaction.0);
}

fn put_u32(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_be_bytes());
}
