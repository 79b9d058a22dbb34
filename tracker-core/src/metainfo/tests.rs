#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use proptest::prelude::*;

use super::*;
use crate::bencode::put_bytes;

mod refusals;

/// `P` stands for the hash of one piece, `R` for a pieces root.
fn torrent(info: &str) -> Vec<u8> {
    let info = info
        .replace('P', "20:aaaaaaaaaaaaaaaaaaaa")
        .replace('R', "32:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    format!("d4:info{info}e").into_bytes()
}

fn parse(info: &str) -> Result<Metainfo, Error> {
    Metainfo::parse(&torrent(info))
}

fn refusal(info: &str) -> String {
    parse(info).unwrap_err().to_string()
}

#[test]
fn a_single_file_is_its_own_list() {
    let read = parse("d6:lengthi7e4:name4:film12:piece lengthi16384e6:piecesPe").unwrap();
    assert_eq!(
        (read.name.as_str(), read.size, read.private),
        ("film", 7, false)
    );
    assert_eq!(
        read.files,
        [File {
            path: "film".into(),
            length: 7
        }]
    );
}

#[test]
fn pad_files_count_for_pieces_and_not_for_the_size() {
    let bep_47 = "d4:attr1:p6:lengthi5e4:pathl4:.pad1:5ee";
    let bitcomet = "d6:lengthi5e4:pathl20:_____padding_file_0_ee";
    for pad in [bep_47, bitcomet] {
        let list = format!("d6:lengthi3e4:pathl1:aee{pad}d6:lengthi8e4:pathl1:b1:cee");
        let read = parse(&format!(
            "d5:filesl{list}e4:name1:n12:piece lengthi16e6:piecesPe"
        ))
        .unwrap();
        let files: Vec<_> = read
            .files
            .iter()
            .map(|file| (file.path.as_str(), file.length))
            .collect();
        assert_eq!((read.size, files), (11, vec![("a", 3), ("b/c", 8)]));
    }
}

#[test]
fn a_link_has_no_length_of_its_own() {
    let link = "d4:attr1:l4:pathl1:be12:symlink pathl1:aee";
    let read = parse(&format!(
        "d5:filesld6:lengthi3e4:pathl1:aee{link}e4:name1:n12:piece lengthi16e6:piecesPe"
    ));
    assert_eq!(
        read.unwrap().files[1],
        File {
            path: "b".into(),
            length: 0
        }
    );
}

#[test]
fn only_the_number_1_makes_a_torrent_private() {
    for (private, expected) in [
        ("", false),
        ("7:privatei0e", false),
        ("7:privatei1e", true),
        ("7:privatei2e", false),
    ] {
        let read = parse(&format!(
            "d6:lengthi7e4:name1:n12:piece lengthi16e6:piecesP{private}e"
        ));
        assert_eq!(read.unwrap().private, expected, "{private}");
    }
}

#[test]
fn names_prefer_their_utf_8_spelling_and_survive_any_other() {
    let with = |utf8: &[u8]| {
        let fields: [&[u8]; 3] = [
            b"d4:infod6:lengthi7e4:name2:\xc4j",
            utf8,
            b"12:piece lengthi16e6:pieces20:aaaaaaaaaaaaaaaaaaaaee",
        ];
        Metainfo::parse(&fields.concat()).unwrap().name
    };
    assert_eq!(with(b""), "\u{fffd}j");
    assert_eq!(with("10:name.utf-83:Äj".as_bytes()), "Äj");
}

#[test]
fn hashes_are_taken_over_the_bytes_as_they_are() {
    let sorted = parse("d6:lengthi7e4:name1:n12:piece lengthi16e6:piecesPe").unwrap();
    let unsorted = parse("d4:name1:n6:lengthi7e12:piece lengthi16e6:piecesPe").unwrap();
    assert_eq!(sorted.files, unsorted.files);
    assert_ne!(sorted.info_hash, unsorted.info_hash);
}

/// Each name as the torrent's, as a v1 path's, as a link's target and as a v2 file's.
#[test]
fn harmless_names_are_left_alone() {
    for name in [
        "...",
        "..a",
        ".hidden",
        "A: the film",
        "C:o",
        "~",
        "%2e%2e",
        "con",
    ] {
        let read = parse(&format!(
            "d6:lengthi7e4:name{}:{name}12:piece lengthi16e6:piecesPe",
            name.len()
        ));
        assert_eq!(read.unwrap().name, name);
    }
}

/// A v2 tree says a folder's name once; the list says it for every file. 1.5 MB of input would be 180 MB of paths.
#[test]
fn a_members_copy_has_the_same_info_and_no_other_way_to_peers() {
    let info = "d6:lengthi7e4:name1:n12:piece lengthi16e6:pieces20:aaaaaaaaaaaaaaaaaaaae";
    let uploaded = format!(
        "d8:announce5:other13:announce-listll5:otheree7:comment2:hi10:created by1:x13:creation datei7e\
         8:encoding5:UTF-89:httpseedsl1:he4:info{info}17:libtorrent_resumed1:ai1ee5:nodesl1:ne\
         12:piece layersde8:url-list1:ue"
    );
    let copy = for_member(uploaded.as_bytes(), "http://t/announce/key").unwrap();
    let expected = format!(
        "d8:announce21:http://t/announce/key7:comment2:hi10:created by1:x13:creation datei7e\
         8:encoding5:UTF-84:info{info}12:piece layersdee"
    );
    assert_eq!(String::from_utf8(copy).unwrap(), expected);
}

proptest! {
    /// Files in, torrent out, files back: with any names that are legal.
    #[test]
    fn every_legal_file_list_is_read_back(files in proptest::collection::vec(
        (proptest::collection::vec("[^/\\\\\\x00]{3,9}", 1..4), 1u64..1 << 40),
        1..12,
    )) {
        let size: u64 = files.iter().map(|(_, length)| length).sum();
        let pieces = vec![b'a'; size.div_ceil(1 << 29) as usize * 20];
        let mut out = b"d4:infod5:filesl".to_vec();
        for (path, length) in &files {
            out.extend_from_slice(format!("d6:lengthi{length}e4:pathl").as_bytes());
            path.iter().for_each(|name| put_bytes(&mut out, name.as_bytes()));
            out.extend_from_slice(b"ee");
        }
        out.extend_from_slice(b"e4:name1:n12:piece lengthi536870912e6:pieces");
        put_bytes(&mut out, &pieces);
        out.extend_from_slice(b"ee");

        let read = Metainfo::parse(&out).unwrap();
        let expected: Vec<_> =
            files.iter().map(|(path, length)| File { path: path.join("/"), length: *length }).collect();
        prop_assert_eq!(read.files, expected);
        prop_assert_eq!(read.size, size);
    }
}
