//! Torrents made by libtorrent: we must read in them what libtorrent reads. See `fixtures/README.md`.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use tracker_core::bencode;
use tracker_core::metainfo::{File, Metainfo, for_member, made_private};

/// Each fixture's name, its bytes, and what libtorrent says of it.
fn fixtures() -> Vec<(String, Vec<u8>, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut torrents: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "torrent")
        })
        .collect();
    torrents.sort();
    assert_eq!(torrents.len(), 12);
    torrents
        .into_iter()
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let expected = fs::read_to_string(path.with_extension("expected")).unwrap();
            (name, fs::read(&path).unwrap(), expected)
        })
        .collect()
}

/// What we read, in the words of `make.py`. libtorrent's v2 hash is the whole SHA-256, its paths begin with the folder.
fn in_libtorrents_words(read: &Metainfo, expected: &str) -> String {
    let full_v2 = expected
        .lines()
        .find_map(|line| line.strip_prefix("v2 "))
        .unwrap();
    let (v1, v2) = match (read.info_hash_v2, full_v2) {
        (Some(v2), _) => (read.info_hash.to_string(), v2.to_string()),
        (None, "-") => (read.info_hash.to_string(), "-".to_owned()),
        (None, _) => ("-".to_owned(), read.info_hash.to_string()),
    };
    let v2 = if full_v2.starts_with(&v2) {
        full_v2
    } else {
        &v2
    };
    let single = matches!(&read.files[..], [File { path, .. }] if *path == read.name);
    let folder = if single {
        String::new()
    } else {
        format!("{}/", read.name)
    };
    let mut words = format!(
        "v1 {v1}\nv2 {v2}\nname {}\nprivate {}\npiece_length {}\nsize {}\n",
        read.name,
        u8::from(read.private),
        read.piece_length,
        read.size
    );
    for File { path, length } in &read.files {
        words += &format!("file {length} {folder}{path}\n");
    }
    words
}

#[test]
fn we_read_what_libtorrent_reads() {
    for (name, torrent, expected) in fixtures() {
        let read = Metainfo::parse(&torrent).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(in_libtorrents_words(&read, &expected), expected, "{name}");
    }
}

#[test]
fn a_members_copy_is_the_same_torrent() {
    for (name, torrent, _) in fixtures() {
        let copy = for_member(&torrent, "https://tracker.test/announce/key").unwrap();
        assert_eq!(Metainfo::parse(&copy), Metainfo::parse(&torrent), "{name}");

        let keys = |torrent| bencode::parse(torrent).unwrap().dict().unwrap();
        assert_eq!(
            keys(&copy).get(b"info"),
            keys(&torrent).get(b"info"),
            "{name}"
        );
        assert_eq!(
            keys(&copy).get(b"piece layers"),
            keys(&torrent).get(b"piece layers"),
            "{name}"
        );
        assert_eq!(
            keys(&copy).get(b"announce").unwrap().bytes(),
            Some(&b"https://tracker.test/announce/key"[..])
        );
        assert!(
            !copy.windows(8).any(|window| window == b".invalid"),
            "{name} leads elsewhere"
        );
    }
}

/// Every byte of a list that was read came from the input; a lossy name is at most three times as long as its bytes.
fn stays_small(read: &Metainfo, input: &[u8]) -> bool {
    let text: usize = read.files.iter().map(|file| file.path.len()).sum();
    read.files.len() * 4 <= input.len()
        && text <= bencode::MAX_LEN
        && read.name.len() <= 3 * input.len()
}

fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let torrents: Vec<_> = fixtures()
        .into_iter()
        .map(|(_, torrent, _)| torrent)
        .collect();
    let byte = prop_oneof![
        prop::sample::select(b"0123456789-:ilde".to_vec()),
        any::<u8>()
    ];
    let change = (
        any::<prop::sample::Index>(),
        0usize..4,
        proptest::collection::vec(byte, 0..4),
    );
    (
        prop::sample::select(torrents),
        proptest::collection::vec(change, 1..6),
    )
        .prop_map(|(mut torrent, changes)| {
            for (at, removed, put) in changes {
                let at = at.index(torrent.len());
                let end = (at + removed).min(torrent.len());
                torrent.splice(at..end, put);
                torrent.push(b'e');
                torrent.pop();
            }
            torrent
        })
}

proptest! {
    #[test]
    fn a_damaged_torrent_is_read_or_refused(torrent in damaged()) {
        match Metainfo::parse(&torrent) {
            Ok(read) => {
                prop_assert!(stays_small(&read, &torrent));
                let copy = for_member(&torrent, "http://t/announce").unwrap();
                prop_assert_eq!(Metainfo::parse(&copy).unwrap(), read);
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn arbitrary_bytes_are_read_or_refused(input in proptest::collection::vec(any::<u8>(), 0..256)) {
        prop_assert!(Metainfo::parse(&input).is_err());
        prop_assert!(for_member(&input, "").is_err());
    }
}

#[test]
fn made_private_a_torrent_differs_in_that_alone() {
    let mut made = 0;
    for (name, torrent, _) in fixtures() {
        let read = Metainfo::parse(&torrent).unwrap();
        let Some(private) = made_private(&torrent).unwrap() else {
            assert!(read.private, "{name}");
            continue;
        };
        made += 1;
        let again = Metainfo::parse(&private).unwrap();
        assert_ne!(again.info_hash, read.info_hash, "{name}");
        let Metainfo {
            info_hash,
            info_hash_v2,
            private: is_private,
            ..
        } = again;
        assert!(!read.private && is_private, "{name}");
        assert_eq!(
            again,
            Metainfo {
                info_hash,
                info_hash_v2,
                private: true,
                ..read
            },
            "{name}"
        );
        assert_eq!(made_private(&private).unwrap(), None, "{name}");

        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        assert_eq!(
            text(&private).replace("7:privatei1e", ""),
            text(&torrent),
            "{name}"
        );
    }
    assert_eq!(made, 3);
}

#[test]
fn the_mark_stands_where_it_belongs() {
    let rows = [
        ("d4:infod1:a0:ee", "d4:infod1:a0:7:privatei1eee"),
        ("d4:infod1:z0:ee", "d4:infod7:privatei1e1:z0:ee"),
        ("d4:infodee", "d4:infod7:privatei1eee"),
        (
            "d4:infod1:a0:7:privatei0e1:z0:ee",
            "d4:infod1:a0:7:privatei1e1:z0:ee",
        ),
        // Out of order, as some programs write it: what there was keeps its place.
        (
            "d4:infod1:z0:1:a0:e1:ai1ee",
            "d4:infod7:privatei1e1:z0:1:a0:e1:ai1ee",
        ),
    ];
    for (torrent, expected) in rows {
        let made = made_private(torrent.as_bytes()).unwrap().unwrap();
        assert_eq!(made.escape_ascii().to_string(), expected);
    }
    for wrong in ["", "le", "de", "d4:infolee", "d4:infod7:private1:1ee"] {
        assert!(made_private(wrong.as_bytes()).is_err(), "{wrong}");
    }
}
