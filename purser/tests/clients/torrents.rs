//! The file that is moved, and its torrent, made by other people's programs.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tracker_core::metainfo::for_member;

pub(crate) const FILE_NAME: &str = "film.bin";

/// Bytes in it.
pub(crate) const SIZE: i64 = 50_000_000;

/// Which info dictionary a torrent has.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// BEP 3, made by Transmission.
    V1,
    /// BEP 3 and BEP 52 in one, made by libtorrent.
    Hybrid,
}

/// Debian's own, by its path: another Python doesn't have its libtorrent.
pub(crate) const PYTHON: &str = "/usr/bin/python3";

/// Arguments: the file, the announce URL, the torrent to write. By default libtorrent 2 makes hybrids.
const MAKE_HYBRID: &str = "
import os, sys
import libtorrent

path, announce, output = sys.argv[1:]
files = libtorrent.file_storage()
libtorrent.add_files(files, path)
torrent = libtorrent.create_torrent(files)
torrent.set_priv(True)
torrent.add_tracker(announce)
libtorrent.set_piece_hashes(torrent, os.path.dirname(path))
open(output, 'wb').write(libtorrent.bencode(torrent.generate()))
";

/// A registered .torrent, and where its copies for members go.
pub(crate) struct Torrent {
    pub(crate) path: PathBuf,
    kind: Kind,
}

/// Writes [`FILE_NAME`] into `folder`, and its torrent next to the folder.
pub(crate) fn make(folder: &Path, kind: Kind, announce_url: &str) -> Torrent {
    let file = folder.join(FILE_NAME);
    fs::write(&file, pseudo_random(SIZE as usize)).unwrap();
    let path = folder.with_file_name("film.torrent");
    let mut command;
    match kind {
        Kind::V1 => {
            command = Command::new("transmission-create");
            command.args(["--private", "--tracker", announce_url, "--outfile"]);
            command.arg(&path).arg(&file);
        }
        Kind::Hybrid => {
            command = Command::new(PYTHON);
            command
                .args(["-c", MAKE_HYBRID])
                .arg(&file)
                .arg(announce_url)
                .arg(&path);
        }
    }
    let output = command.output().expect("scripts/test installs it");
    assert!(output.status.success(), "{command:?}: {output:?}");
    Torrent { path, kind }
}

impl Torrent {
    /// What a member would download from the site. Named after their key.
    pub(crate) fn copy_for(&self, announce_url: &str) -> PathBuf {
        let raw = fs::read(&self.path).unwrap();
        let (_, key) = announce_url.rsplit_once('/').unwrap();
        let path = self.path.with_file_name(format!("{key}.torrent"));
        let copy = for_member(&raw, announce_url).unwrap();
        let is_v2 = copy.windows(12).any(|bytes| bytes == b"meta version");
        assert_eq!(is_v2, matches!(self.kind, Kind::Hybrid));
        fs::File::create_new(&path)
            .unwrap()
            .write_all(&copy)
            .unwrap();
        path
    }
}

/// What a downloaded .torrent has before anything else.
pub(crate) fn announce_url(torrent: &[u8]) -> String {
    let text = String::from_utf8_lossy(torrent);
    let rest = text.strip_prefix("d8:announce").unwrap();
    let (length, rest) = rest.split_once(':').unwrap();
    rest[..length.parse().unwrap()].to_owned()
}

/// The same in every run (SplitMix64).
fn pseudo_random(len: usize) -> Vec<u8> {
    let mut state: u64 = 2;
    let mut word = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).to_le_bytes()
    };
    (0..len.div_ceil(8))
        .flat_map(|_| word())
        .take(len)
        .collect()
}
