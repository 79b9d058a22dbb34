//! The .torrent that a member downloads.

use super::{Error, dict, raw_info, root};
use crate::bencode::{begin_dict, end, put_bytes};

/// What is kept of an uploaded file, in the order of the keys. All else goes: other trackers and DHT nodes would take
/// members elsewhere, web seeds serve what nobody is credited for, and programs leave resume data and keys of their own.
const KEPT: [&[u8]; 6] = [
    b"comment",
    b"created by",
    b"creation date",
    b"encoding",
    b"info",
    b"piece layers",
];

/// The same torrent with this announce URL and no other way to peers. The `info` bytes, and with them its hashes, are
/// those of `torrent`.
pub fn for_member(torrent: &[u8], announce_url: &str) -> Result<Vec<u8>, Error> {
    let root = root(torrent)?;
    dict(raw_info(root)?).map_err(|problem| problem.at("info"))?;

    let mut out = Vec::with_capacity(torrent.len() + announce_url.len());
    begin_dict(&mut out);
    put_bytes(&mut out, b"announce");
    put_bytes(&mut out, announce_url.as_bytes());
    for key in KEPT {
        if let Some(value) = root.get(key) {
            put_bytes(&mut out, key);
            out.extend_from_slice(value.raw());
        }
    }
    end(&mut out);
    Ok(out)
}
