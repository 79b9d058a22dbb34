//! .torrent files: v1 (BEP 3), v2 (BEP 52) and hybrids of both.
//!
//! [`Metainfo::parse`] says which swarm a .torrent belongs to and what is in it, and refuses what clients would refuse
//! or should never be handed (a path that leads out of the download folder, say). [`for_member`] turns the file that
//! somebody uploaded into the file that somebody else downloads; [`made_private`] marks one for private trackers. Announce lists, web seeds and DHT nodes aren't read;
//! hashes of pieces aren't either, beyond their count: a tracker has no content to compare them with.

mod error;
mod listing;
mod member_copy;
mod path;
mod private_copy;
mod v1;
mod v2;

use sha1::{Digest, Sha1};
use sha2::Sha256;

use crate::bencode::{self, Dict, Value};
use crate::ids::InfoHash;

pub use error::{Error, Problem};
pub use listing::{File, MAX_FILES};
pub use member_copy::for_member;
pub use path::{MAX_NAME_LEN, MAX_PATH_DEPTH, MAX_PATH_LEN};
pub use private_copy::made_private;

use listing::Listing;

/// The longest piece: 512 MiB, where libtorrent's limit lies too. Creators rarely go above 16 MiB.
pub const MAX_PIECE_LENGTH: u32 = 512 * 1024 * 1024;

/// What a tracker needs to know of a .torrent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metainfo {
    /// The hash that clients announce: SHA-1 of the `info` bytes, or of a v2-only torrent the first 20 bytes of their
    /// SHA-256.
    pub info_hash: InfoHash,
    /// A hybrid's other hash: the first 20 bytes of the SHA-256.
    pub info_hash_v2: Option<InfoHash>,
    /// The file's name, or the folder's.
    pub name: String,
    /// Bytes of content: all files, without the pad files between them (BEP 47).
    pub size: u64,
    /// The files in the torrent's order, without pad files. There is at least one.
    pub files: Vec<File>,
    /// Bytes a piece.
    pub piece_length: u32,
    /// Clients must use this tracker only: no DHT, no peer exchange (BEP 27).
    pub private: bool,
}

impl Metainfo {
    /// Reads a .torrent. Takes memory in proportion to its length, which is limited to [`bencode::MAX_LEN`].
    pub fn parse(torrent: &[u8]) -> Result<Self, Error> {
        let raw = raw_info(root(torrent)?)?;
        Self::read(raw).map_err(|error| error.within("info"))
    }

    fn read(raw: Value<'_>) -> Result<Self, Error> {
        let info = Info::read(dict(raw)?);
        let name = info.name()?;
        let piece_length = info.piece_length()?;
        let sha1 = InfoHash(Sha1::digest(raw.raw()).into());
        let sha256 = cut(Sha256::digest(raw.raw()).into());

        let (info_hash, info_hash_v2, listing) = match (info.is_v1(), info.is_v2()?) {
            (_, false) => (sha1, None, v1::read(&info, &name, piece_length)?),
            (false, true) => (sha256, None, v2::read(&info, piece_length)?),
            (true, true) => {
                let listing = v1::read(&info, &name, piece_length)?;
                if listing.files != v2::read(&info, piece_length)?.files {
                    return Err(Problem::HybridDisagrees.at("file tree"));
                }
                (sha1, Some(sha256), listing)
            }
        };
        let Listing { files, size, .. } = listing;
        Ok(Self {
            info_hash,
            info_hash_v2,
            name,
            size,
            files,
            piece_length,
            private: info.private()?,
        })
    }
}

/// The `info` dictionary taken apart, in one pass over it.
#[derive(Default)]
struct Info<'a> {
    file_tree: Option<Value<'a>>,
    files: Option<Value<'a>>,
    length: Option<Value<'a>>,
    meta_version: Option<Value<'a>>,
    name: Option<Value<'a>>,
    name_utf8: Option<Value<'a>>,
    piece_length: Option<Value<'a>>,
    pieces: Option<Value<'a>>,
    private: Option<Value<'a>>,
}

impl<'a> Info<'a> {
    fn read(dict: Dict<'a>) -> Self {
        let mut info = Self::default();
        for (key, value) in dict.iter() {
            let field = match key {
                b"file tree" => &mut info.file_tree,
                b"files" => &mut info.files,
                b"length" => &mut info.length,
                b"meta version" => &mut info.meta_version,
                b"name" => &mut info.name,
                b"name.utf-8" => &mut info.name_utf8,
                b"piece length" => &mut info.piece_length,
                b"pieces" => &mut info.pieces,
                b"private" => &mut info.private,
                _ => continue,
            };
            *field = Some(value);
        }
        info
    }

    fn name(&self) -> Result<String, Error> {
        let name = self.name_utf8.or(self.name);
        let name = bytes(required(name, "name")?).and_then(path::name);
        name.map(String::from).map_err(|problem| problem.at("name"))
    }

    fn piece_length(&self) -> Result<u32, Error> {
        let length = number(required(self.piece_length, "piece length")?);
        match length.map(u32::try_from) {
            Ok(Ok(length @ 1..=MAX_PIECE_LENGTH)) => Ok(length),
            Ok(_) => Err(Problem::PieceLength.at("piece length")),
            Err(problem) => Err(problem.at("piece length")),
        }
    }

    fn private(&self) -> Result<bool, Error> {
        let private = self.private.map(integer).transpose();
        Ok(private.map_err(|problem| problem.at("private"))? == Some(1))
    }

    /// Only v1 has one string of all pieces.
    fn is_v1(&self) -> bool {
        self.pieces.is_some()
    }

    fn is_v2(&self) -> Result<bool, Error> {
        match self.meta_version.map(integer).transpose() {
            Ok(None | Some(1)) => Ok(false),
            Ok(Some(2)) => Ok(true),
            Ok(Some(version)) => Err(Problem::UnknownVersion(version).at("meta version")),
            Err(problem) => Err(problem.at("meta version")),
        }
    }
}

/// Where a tracker has room for 20 bytes, a v2 hash is cut (BEP 52).
fn cut(sha256: [u8; 32]) -> InfoHash {
    let mut hash = [0; 20];
    hash.iter_mut()
        .zip(sha256)
        .for_each(|(to, from)| *to = from);
    InfoHash(hash)
}

fn root(torrent: &[u8]) -> Result<Dict<'_>, Error> {
    bencode::parse(torrent)?.dict().ok_or(Error::NotATorrent)
}

fn raw_info(root: Dict<'_>) -> Result<Value<'_>, Error> {
    required(root.get(b"info"), "info")
}

fn required<'a>(value: Option<Value<'a>>, field: &str) -> Result<Value<'a>, Error> {
    value.ok_or_else(|| Problem::Missing.at(field))
}

fn integer(value: Value<'_>) -> Result<i64, Problem> {
    value.int().ok_or(Problem::IsNot("an integer"))
}

fn number(value: Value<'_>) -> Result<u64, Problem> {
    u64::try_from(integer(value)?).map_err(|_| Problem::Negative)
}

fn bytes(value: Value<'_>) -> Result<&[u8], Problem> {
    value.bytes().ok_or(Problem::IsNot("a string"))
}

fn list<'a>(value: Value<'a>) -> Result<impl Iterator<Item = Value<'a>>, Problem> {
    value.list().ok_or(Problem::IsNot("a list"))
}

fn dict(value: Value<'_>) -> Result<Dict<'_>, Problem> {
    value.dict().ok_or(Problem::IsNot("a dictionary"))
}

#[cfg(test)]
mod tests;
