//! The .torrent that a site without DHT and peer exchange keeps.

use super::{Error, Info, dict, raw_info, root};
use crate::bencode::{Dict, begin_dict, end, put_bytes};

const KEY: &[u8] = b"private";

/// The same torrent marked private (BEP 27), where it isn't yet. That changes its `info` bytes, and with them its hashes:
/// whoever made it has to download it again. Every other byte of content is as it was.
pub fn made_private(torrent: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let root = root(torrent)?;
    let info = dict(raw_info(root)?).map_err(|problem| problem.at("info"))?;
    let is_private = Info::read(info).private();
    if is_private.map_err(|error| error.within("info"))? {
        return Ok(None);
    }
    let mut out = Vec::with_capacity(torrent.len() + b"7:privatei1e".len());
    begin_dict(&mut out);
    for (key, value) in root.iter() {
        put_bytes(&mut out, key);
        match key {
            b"info" => put_private(&mut out, info),
            _ => out.extend_from_slice(value.raw()),
        }
    }
    end(&mut out);
    Ok(Some(out))
}

/// Where its key belongs in the order of the keys; what was there under it goes.
fn put_private(out: &mut Vec<u8>, info: Dict<'_>) {
    let mut is_due = true;
    begin_dict(out);
    for (key, value) in info.iter().filter(|(key, _)| *key != KEY) {
        if is_due && key > KEY {
            put_mark(out);
            is_due = false;
        }
        put_bytes(out, key);
        out.extend_from_slice(value.raw());
    }
    if is_due {
        put_mark(out);
    }
    end(out);
}

fn put_mark(out: &mut Vec<u8>) {
    put_bytes(out, KEY);
    out.extend_from_slice(b"i1e");
}
