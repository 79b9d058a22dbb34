//! What is refused, and in which words.

use super::*;
use crate::bencode::{begin_dict, begin_list, end, put_int};

#[test]
fn a_wrong_v1_field_is_named() {
    let rows = [
        ("i7e", "info", "is not a dictionary"),
        ("de", "info.name", "is missing"),
        ("d4:namei7ee", "info.name", "is not a string"),
        ("d4:name0:e", "info.name", "is empty"),
        ("d4:name1:ne", "info.piece length", "is missing"),
        (
            "d4:name1:n12:piece lengthi0ee",
            "info.piece length",
            "must be between 1 and 536870912",
        ),
        (
            "d4:name1:n12:piece lengthi536870913ee",
            "info.piece length",
            "must be between 1 and 536870912",
        ),
        (
            "d4:name1:n12:piece lengthi-1ee",
            "info.piece length",
            "is negative",
        ),
        (
            "d4:name1:n12:piece lengthi16ee",
            "info.length",
            "is missing",
        ),
        (
            "d6:lengthi-1e4:name1:n12:piece lengthi16e6:piecesPe",
            "info.length",
            "is negative",
        ),
        (
            "d6:length1:x4:name1:n12:piece lengthi16e6:piecesPe",
            "info.length",
            "is not an integer",
        ),
        (
            "d6:lengthi0e4:name1:n12:piece lengthi16e6:pieces0:e",
            "info.length",
            "holds no content",
        ),
        (
            "d6:lengthi7e4:name1:n12:piece lengthi16ee",
            "info.pieces",
            "is missing",
        ),
        (
            "d6:lengthi7e4:name1:n12:piece lengthi16e6:piecesi7ee",
            "info.pieces",
            "is not a string",
        ),
        (
            "d6:lengthi17e4:name1:n12:piece lengthi16e6:piecesPe",
            "info.pieces",
            "has 20 bytes where 40 are due, 20 for every piece",
        ),
        (
            "d6:lengthi7e4:name1:n12:piece lengthi16e6:pieces2:xxe",
            "info.pieces",
            "has 2 bytes where 20 are due, 20 for every piece",
        ),
        (
            "d12:meta versioni3e4:name1:n12:piece lengthi16e6:piecesPe",
            "info.meta version",
            "is version 3, and only 1 and 2 are known",
        ),
        (
            "d6:lengthi7e4:name1:n12:piece lengthi16e6:piecesP7:private1:1e",
            "info.private",
            "is not an integer",
        ),
    ];
    for (info, field, problem) in rows {
        assert_eq!(
            refusal(info),
            format!("the .torrent's `{field}` {problem}"),
            "{info}"
        );
    }
}

#[test]
fn a_wrong_file_entry_is_named_by_its_place() {
    let rows = [
        ("", "", "holds no content"),
        ("i7e", "[0]", "is not a dictionary"),
        ("d6:lengthi7ee", "[0].path", "is missing"),
        ("d4:pathl1:aee", "[0].length", "is missing"),
        ("d6:lengthi7e4:path1:ae", "[0].path", "is not a list"),
        ("d6:lengthi7e4:pathli7eee", "[0].path", "is not a string"),
        ("d6:lengthi7e4:pathlee", "[0].path", "is empty"),
        (
            "d4:attri7e6:lengthi7e4:pathl1:aee",
            "[0].attr",
            "is not a string",
        ),
        (
            "d6:lengthi7e4:pathl1:aeed6:lengthi-7e4:pathl1:bee",
            "[1].length",
            "is negative",
        ),
        (
            "d6:lengthi9223372036854775807e4:pathl1:aeed6:lengthi1e4:pathl1:bee",
            "[1]",
            "adds up to more bytes than a 64-bit number can hold",
        ),
    ];
    for (files, field, problem) in rows {
        let refusal = refusal(&format!(
            "d5:filesl{files}e4:name1:n12:piece lengthi16e6:piecesPe"
        ));
        assert_eq!(
            refusal,
            format!("the .torrent's `info.files{field}` {problem}"),
            "{files}"
        );
    }
    let both = "d5:filesle6:lengthi7e4:name1:n12:piece lengthi16e6:piecesPe";
    assert_eq!(
        refusal(both),
        "the .torrent's `info.length` can't be there together with `files`"
    );
}

#[test]
fn a_name_cannot_lead_out_of_the_download_folder() {
    for name in [
        "", ".", "..", "/", "/etc", "a/b", "..\\x", "C:\\x", "C:", "nul\0",
    ] {
        let name = format!("{}:{name}", name.len());
        let rest = "4:name1:n12:piece lengthi16384e6:piecesP";
        let v2 = "12:meta versioni2e4:name1:n12:piece lengthi16384e";
        let rows = [
            (
                "info.name",
                format!("d6:lengthi7e4:name{name}12:piece lengthi16e6:piecesPe"),
            ),
            (
                "info.files[0].path",
                format!("d5:filesld6:lengthi7e4:pathl1:a{name}eee{rest}e"),
            ),
            (
                "info.files[0].path",
                format!("d5:filesld6:lengthi7e4:pathl1:ae10:path.utf-8l{name}eee{rest}e"),
            ),
            (
                "info.files[0].symlink path",
                format!("d5:filesld6:lengthi7e4:pathl1:ae12:symlink pathl{name}eee{rest}e"),
            ),
            ("info.file tree", format!("d9:file treed{name}dee{v2}e")),
            (
                "info.file tree/a",
                format!("d9:file treed1:ad1:bde{name}deee{v2}e"),
            ),
        ];
        for (field, info) in rows {
            let refusal = refusal(&info);
            let problem = match field {
                _ if name != "0:" => "has the name",
                "info.file tree" | "info.file tree/a" => "is a file and a folder at once",
                _ => "is empty",
            };
            assert!(
                refusal.starts_with(&format!("the .torrent's `{field}` {problem}")),
                "{refusal}: {info}"
            );
        }
    }
}

#[test]
fn a_wrong_v2_field_is_named() {
    let rows = [
        ("", "", "is missing"),
        ("9:file treei7e", "", "is not a dictionary"),
        ("9:file treede", "", "holds no content"),
        ("9:file treed1:ai7ee", "/a", "is not a dictionary"),
        ("9:file treed1:ad0:i7eee", "/a", "is not a dictionary"),
        ("9:file treed1:ad1:bd0:deeee", "/a/b.length", "is missing"),
        (
            "9:file treed1:ad0:d6:lengthi7eeee",
            "/a.pieces root",
            "is missing",
        ),
        (
            "9:file treed1:ad0:d6:lengthi7e11:pieces root1:xeee",
            "/a.pieces root",
            "is not a hash of 32 bytes",
        ),
        (
            "9:file treed1:ad0:d6:lengthi0ee1:bdeee",
            "/a",
            "is a file and a folder at once",
        ),
        (
            "9:file treed1:ad1:bde0:deee",
            "/a",
            "is a file and a folder at once",
        ),
        ("9:file treed0:dee", "", "is a file and a folder at once"),
    ];
    for (tree, field, problem) in rows {
        let refusal = refusal(&format!(
            "d{tree}12:meta versioni2e4:name1:n12:piece lengthi16384ee"
        ));
        assert_eq!(
            refusal,
            format!("the .torrent's `info.file tree{field}` {problem}"),
            "{tree}"
        );
    }
    for piece_length in [1, 8192, 16385, 49152] {
        let tree = "9:file treed1:ad0:d6:lengthi7e11:pieces rootReee";
        let refusal = refusal(&format!(
            "d{tree}12:meta versioni2e4:name1:n12:piece lengthi{piece_length}ee"
        ));
        let expected = "the .torrent's `info.piece length` must be a power of two and at least 16384 in a v2 torrent";
        assert_eq!(refusal, expected);
    }
}

#[test]
fn the_halves_of_a_hybrid_must_agree() {
    let tree =
        "9:file treed1:ad0:d6:lengthi7e11:pieces rootRee1:bd0:d6:lengthi9e11:pieces rootReee";
    let (a, b) = ("d6:lengthi7e4:pathl1:aee", "d6:lengthi9e4:pathl1:bee");
    let pad = "d4:attr1:p6:lengthi16377e4:pathl4:.padee";
    let disagree = "`info.file tree` has other files than `files`, though both halves of a hybrid must be the same";
    let longer = "d6:lengthi10e4:pathl1:bee";
    let renamed = "d6:lengthi9e4:pathl1:cee";
    let rows = [
        (format!("{a}{pad}{b}"), 2, ""),
        (format!("{a}{pad}{longer}"), 2, disagree),
        (format!("{a}{pad}{renamed}"), 2, disagree),
        (a.to_owned(), 1, disagree),
        (
            format!("{a}{b}"),
            1,
            "`info.files[1]` begins in the middle of a piece, which a hybrid's files can't",
        ),
    ];
    for (files, pieces, expected) in rows {
        let pieces = format!("{}:{}", pieces * 20, "a".repeat(pieces * 20));
        let info = format!(
            "d{tree}5:filesl{files}e12:meta versioni2e4:name1:n12:piece lengthi16384e6:pieces{pieces}e"
        );
        match parse(&info) {
            Ok(read) => assert!(
                read.info_hash_v2.is_some() && expected.is_empty(),
                "{files}"
            ),
            Err(error) => assert_eq!(
                error.to_string(),
                format!("the .torrent's {expected}"),
                "{files}"
            ),
        }
    }
}

/// A v1 torrent of empty files with these paths, and a last one with a byte in it.
fn with_paths(paths: impl Iterator<Item = Vec<Vec<u8>>>) -> Result<Metainfo, Error> {
    let mut out = b"d4:infod5:filesl".to_vec();
    for (path, length) in paths
        .map(|path| (path, 0))
        .chain([(vec![b"last".to_vec()], 1)])
    {
        begin_dict(&mut out);
        put_bytes(&mut out, b"length");
        put_int(&mut out, length);
        put_bytes(&mut out, b"path");
        begin_list(&mut out);
        path.iter().for_each(|name| put_bytes(&mut out, name));
        end(&mut out);
        end(&mut out);
    }
    out.extend_from_slice(b"e4:name1:n12:piece lengthi16e6:pieces20:aaaaaaaaaaaaaaaaaaaaee");
    Metainfo::parse(&out)
}

#[test]
fn limits_are_where_they_are_said_to_be() {
    let one = |path: Vec<Vec<u8>>| with_paths(std::iter::once(path));
    let rows = [
        (one(vec![vec![b'x'; MAX_NAME_LEN]]), None),
        (
            one(vec![vec![b'x'; MAX_NAME_LEN + 1]]),
            Some(Problem::NameTooLong),
        ),
        (one(vec![b"x".to_vec(); MAX_PATH_DEPTH]), None),
        (
            one(vec![b"x".to_vec(); MAX_PATH_DEPTH + 1]),
            Some(Problem::PathTooDeep),
        ),
        (one(vec![vec![b'x'; 512]; 7]), None),
        (one(vec![vec![b'x'; 512]; 8]), Some(Problem::PathTooLong)),
        (
            with_paths((1..MAX_FILES).map(|_| vec![b"x".to_vec()])),
            None,
        ),
        (
            with_paths((0..MAX_FILES).map(|_| vec![b"x".to_vec()])),
            Some(Problem::TooManyFiles),
        ),
    ];
    for (row, (read, expected)) in rows.into_iter().enumerate() {
        let problem = match read {
            Ok(_) => None,
            Err(Error::Field { problem, .. }) => Some(problem),
            Err(other) => panic!("row {row}: {other}"),
        };
        assert_eq!(problem, expected, "row {row}");
    }
}

#[test]
fn a_small_tree_cannot_make_a_large_list() {
    let long = format!("{}:{}d", MAX_NAME_LEN, "x".repeat(MAX_NAME_LEN));
    let files: String = (10_000..70_000)
        .map(|n| format!("5:{n}d0:d6:lengthi0eee"))
        .collect();
    let tree = format!("{}{files}{}", long.repeat(4), "e".repeat(4));
    let info = format!("d9:file treed{tree}e12:meta versioni2e4:name1:n12:piece lengthi16384ee");
    assert!(refusal(&info).ends_with("has paths of more than 10485760 bytes in all"));
}

#[test]
fn what_is_no_torrent_has_no_members_copy() {
    for (input, expected) in [
        ("le", "this is not a .torrent file: it is not a dictionary"),
        ("de", "the .torrent's `info` is missing"),
        ("d4:infoi7ee", "the .torrent's `info` is not a dictionary"),
        (
            "x",
            "not valid bencode at byte 0: a value can't begin or go on with 'x'",
        ),
    ] {
        assert_eq!(
            for_member(input.as_bytes(), "").unwrap_err().to_string(),
            expected
        );
        assert_eq!(
            Metainfo::parse(input.as_bytes()).unwrap_err().to_string(),
            expected
        );
    }
}
