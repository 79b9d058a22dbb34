//! The v1 half: `length` or `files`, and `pieces` (BEP 3).

use super::listing::{Entry, Listing};
use super::path::Path;
use super::{Error, Info, Problem, bytes, dict, list, number, required};
use crate::bencode::{Dict, Value};

/// BitComet padded its files before BEP 47 gave pad files an attribute.
const BITCOMET_PAD: &str = "_____padding_file_";

pub(super) fn read(info: &Info<'_>, name: &str, piece_length: u32) -> Result<Listing, Error> {
    let listing = match (info.files, info.length) {
        (Some(_), Some(_)) => return Err(Problem::BesideFiles.at("length")),
        (Some(files), None) => {
            let aligned_to = info.is_v2()?.then_some(u64::from(piece_length));
            read_files(files, aligned_to).map_err(|error| error.within("files"))?
        }
        (None, length) => {
            let mut listing = Listing::default();
            let length = number(required(length, "length")?);
            length
                .and_then(|length| listing.push(name, Entry { length, pad: false }))
                .map_err(|problem| problem.at("length"))?;
            listing
        }
    };
    if listing.size == 0 {
        return Err(Problem::NoContent.at(if info.files.is_some() {
            "files"
        } else {
            "length"
        }));
    }
    check_pieces(info, &listing, piece_length)?;
    Ok(listing)
}

/// `aligned_to`: in a hybrid, every file begins with a piece of its own.
fn read_files(files: Value<'_>, aligned_to: Option<u64>) -> Result<Listing, Error> {
    let mut listing = Listing::default();
    for (index, file) in list(files)?.enumerate() {
        let start = listing.span;
        let mut read = || {
            let file = dict(file)?;
            let (path, entry) = (read_path(file)?, Entry::read(file)?);
            let entry = Entry {
                pad: entry.pad || path.as_str().starts_with(BITCOMET_PAD),
                ..entry
            };
            listing.push(path.as_str(), entry)?;
            let content = !entry.pad && entry.length > 0;
            match aligned_to {
                Some(piece) if content && start % piece != 0 => Err(Problem::Unaligned.into()),
                _ => Ok(()),
            }
        };
        read().map_err(|error: Error| error.within(&format!("[{index}]")))?;
    }
    Ok(listing)
}

/// `path.utf-8` is what some creators added when `path` was in the encoding of their country.
fn read_path(file: Dict<'_>) -> Result<Path, Error> {
    let path = file.get(b"path.utf-8").or_else(|| file.get(b"path"));
    Path::read(required(path, "path")?).map_err(|problem| problem.at("path"))
}

fn check_pieces(info: &Info<'_>, listing: &Listing, piece_length: u32) -> Result<(), Error> {
    let pieces = bytes(required(info.pieces, "pieces")?).map_err(|problem| problem.at("pieces"))?;
    let found = pieces.len() as u64;
    match listing
        .span
        .div_ceil(u64::from(piece_length))
        .checked_mul(20)
    {
        Some(expected) if found == expected => Ok(()),
        expected => {
            let expected = expected.unwrap_or(u64::MAX);
            Err(Problem::WrongPieces { found, expected }.at("pieces"))
        }
    }
}
