//! An announce's reply of a given length, so that a load generator that reads every reply reads the floor's too.

use anyhow::{Result, ensure};
use tracker_core::bencode::{put_bytes, put_int};

/// Bencode of exactly so many bytes, with as many peers as fit.
pub fn announce(length: usize) -> Result<Vec<u8>> {
    // What the peers leave over goes into a text that nobody reads; a few lengths take a peer or two less for it.
    let most = length / 6;
    let (least, most) = (most.saturating_sub(25), most);
    for peers in (least..=most).rev() {
        for padding in 0..=200 {
            let body = write(peers, padding);
            if body.len() == length {
                return Ok(body);
            }
        }
    }
    let least = write(0, 0).len();
    ensure!(length >= least, "a reply has at least {least} bytes");
    anyhow::bail!("no reply is {length} bytes long")
}

fn write(peers: usize, padding: usize) -> Vec<u8> {
    let mut out = vec![b'd'];
    put_bytes(&mut out, b"complete");
    put_int(&mut out, 10);
    put_bytes(&mut out, b"incomplete");
    put_int(&mut out, 10);
    put_bytes(&mut out, b"interval");
    put_int(&mut out, 1800);
    put_bytes(&mut out, b"min interval");
    put_int(&mut out, 900);
    put_bytes(&mut out, b"padding");
    put_bytes(&mut out, &vec![b'.'; padding]);
    put_bytes(&mut out, b"peers");
    put_bytes(&mut out, &vec![1; peers * 6]);
    out.push(b'e');
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use tracker_core::bencode::parse;

    #[test]
    fn every_length_that_a_reply_has_can_be_had() {
        for length in 110..1_500 {
            let body = announce(length).unwrap();
            assert_eq!(body.len(), length);
            assert!(parse(&body).is_ok());
        }
        assert!(announce(20).is_err());
    }
}
