//! The v2 half: `file tree` (BEP 52). `piece layers` aren't read: clients check them against the tree's roots.

use super::listing::{Entry, Listing};
use super::path::Path;
use super::{Error, Info, Problem, bytes, dict, required};
use crate::bencode::{Dict, Step, Value};

/// A v2 piece is a whole subtree of 16 KiB blocks.
const BLOCK_LEN: u32 = 16 * 1024;

pub(super) fn read(info: &Info<'_>, piece_length: u32) -> Result<Listing, Error> {
    if piece_length < BLOCK_LEN || !piece_length.is_power_of_two() {
        return Err(Problem::PieceLengthV2.at("piece length"));
    }
    let tree = required(info.file_tree, "file tree")?;
    let mut listing = Listing::default();
    dict(tree)
        .map_err(Error::from)
        .and_then(|tree| walk(tree, &mut listing))
        .map_err(|error| error.within("file tree"))?;
    match listing.size {
        0 => Err(Problem::NoContent.at("file tree")),
        _ => Ok(listing),
    }
}

/// Every file in the tree. A dictionary in it is a file when the empty name is its only key, else a folder.
fn walk(tree: Dict<'_>, listing: &mut Listing) -> Result<(), Error> {
    let mut path = Path::default();
    let mut inside = Node::Folder;
    for step in tree.walk(|name| !name.is_empty()) {
        match (step, inside) {
            (Step::Enter(_), Node::File) | (Step::Value(b"", _), Node::File | Node::Folder) => {
                return Err(Problem::FileAndFolder.at(here(&path)));
            }
            (Step::Enter(name), _) => {
                path.push(name).map_err(|problem| problem.at(here(&path)))?;
                inside = Node::Unknown;
            }
            (Step::Value(b"", file), Node::Unknown) => {
                read_file(file, path.as_str(), listing)
                    .map_err(|error| error.within(&here(&path)))?;
                inside = Node::File;
            }
            (Step::Value(name, _), _) => {
                path.push(name).map_err(|problem| problem.at(here(&path)))?;
                return Err(Problem::IsNot("a dictionary").at(here(&path)));
            }
            (Step::Leave, _) => {
                path.pop();
                inside = Node::Folder;
            }
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Node {
    /// No key of it has been seen.
    Unknown,
    Folder,
    File,
}

fn here(path: &Path) -> String {
    match path.as_str() {
        "" => String::new(),
        text => format!("/{text}"),
    }
}

fn read_file(file: Value<'_>, path: &str, listing: &mut Listing) -> Result<(), Error> {
    let file = dict(file)?;
    let entry = Entry::read(file)?;
    match file.get(b"pieces root").map(bytes) {
        None if entry.length == 0 => {}
        None => return Err(Problem::Missing.at("pieces root")),
        Some(Ok(root)) if root.len() == 32 => {}
        Some(_) => return Err(Problem::NotAPiecesRoot.at("pieces root")),
    }
    listing.push(path, entry)?;
    Ok(())
}
