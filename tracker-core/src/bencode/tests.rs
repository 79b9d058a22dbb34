#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[test]
fn reads_what_bep_3_shows() {
    let value = parse(b"d3:cow3:moo4:spaml1:ai-42eee").unwrap();
    let dict = value.dict().unwrap();
    assert_eq!(dict.get(b"cow").unwrap().bytes(), Some(&b"moo"[..]));
    let spam = dict.get(b"spam").unwrap();
    assert_eq!(spam.raw(), b"l1:ai-42ee");
    let items: Vec<_> = spam.list().unwrap().map(Value::raw).collect();
    assert_eq!(items, [&b"1:a"[..], b"i-42e"]);
    assert_eq!(dict.get(b"pig"), None);
}

#[test]
fn a_value_is_only_what_it_is() {
    let cases: [(&[u8], [bool; 4]); 4] = [
        (b"i7e", [true, false, false, false]),
        (b"0:", [false, true, false, false]),
        (b"le", [false, false, true, false]),
        (b"de", [false, false, false, true]),
    ];
    for (input, expected) in cases {
        let value = parse(input).unwrap();
        let is = [
            value.int().is_some(),
            value.bytes().is_some(),
            value.list().is_some(),
            value.dict().is_some(),
        ];
        assert_eq!(is, expected, "{}", input.escape_ascii());
    }
}

#[test]
fn integers_reach_both_ends_of_64_bits() {
    assert_eq!(
        parse(b"i9223372036854775807e").unwrap().int(),
        Some(i64::MAX)
    );
    assert_eq!(
        parse(b"i-9223372036854775808e").unwrap().int(),
        Some(i64::MIN)
    );
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let cases: [(&[u8], usize, Problem); 31] = [
        (b"", 0, Problem::CutShort),
        (b"i", 1, Problem::CutShort),
        (b"i7", 2, Problem::CutShort),
        (b"i-", 2, Problem::CutShort),
        (b"ie", 1, Problem::NoDigits),
        (b"i-e", 1, Problem::NoDigits),
        (b"i e", 1, Problem::UnexpectedByte(b' ')),
        (b"i 7e", 1, Problem::UnexpectedByte(b' ')),
        (b"i+7e", 1, Problem::UnexpectedByte(b'+')),
        (b"i7.5e", 2, Problem::UnexpectedByte(b'.')),
        (b"i--7e", 2, Problem::UnexpectedByte(b'-')),
        (b"i-0e", 1, Problem::NotCanonical),
        (b"i007e", 1, Problem::NotCanonical),
        (b"i-07e", 1, Problem::NotCanonical),
        (b"i9223372036854775808e", 1, Problem::NumberTooBig),
        (b"i-9223372036854775809e", 1, Problem::NumberTooBig),
        (b"5:spam", 0, Problem::CutShort),
        (b"04:spam", 0, Problem::NotCanonical),
        (b"-1:x", 0, Problem::UnexpectedByte(b'-')),
        (b"4spam", 1, Problem::UnexpectedByte(b's')),
        (b"18446744073709551617:x", 0, Problem::NumberTooBig),
        (b"9223372036854775807:x", 0, Problem::CutShort),
        (b"x", 0, Problem::UnexpectedByte(b'x')),
        (b"e", 0, Problem::UnexpectedByte(b'e')),
        (b"l", 1, Problem::CutShort),
        (b"lee", 2, Problem::TrailingBytes),
        (b"i7e\n", 3, Problem::TrailingBytes),
        (b"di7e1:ae", 1, Problem::KeyNotString),
        (b"d1:ae", 4, Problem::KeyWithoutValue),
        (b"d1:ai1e1:ai2ee", 13, Problem::DuplicateKey),
        (b"d1:b0:1:ad1:x0:e1:b0:e", 21, Problem::DuplicateKey),
    ];
    for (input, at, problem) in cases {
        assert_eq!(
            parse(input),
            Err(Error { at, problem }),
            "{}",
            input.escape_ascii()
        );
    }
}

#[test]
fn an_error_reads_as_a_sentence() {
    let error = parse(b"d1:a?e").unwrap_err();
    assert_eq!(
        error.to_string(),
        "not valid bencode at byte 4: a value can't begin or go on with '?'"
    );
}

#[test]
fn dictionaries_out_of_order_are_read() {
    let dict = parse(b"d1:bi1e1:ad1:zi2e1:yi3eee").unwrap().dict().unwrap();
    assert_eq!(dict.get(b"b").unwrap().int(), Some(1));
    assert_eq!(dict.get(b"a").unwrap().raw(), b"d1:zi2e1:yi3ee");
}

#[test]
fn the_same_key_may_occur_in_different_dictionaries() {
    assert!(parse(b"d1:bd1:ai1ee1:ad1:ai1eee").is_ok());
}

#[test]
fn a_walk_steps_into_dictionaries_and_over_all_else() {
    let tree = parse(b"d1:ad1:bd0:d1:xi1ee1:ci2eee1:dlee")
        .unwrap()
        .dict()
        .unwrap();
    let steps: Vec<_> = tree.walk(|key| !key.is_empty()).collect();
    let value = |raw| parse(raw).unwrap();
    let expected = [
        Step::Enter(b"a"),
        Step::Enter(b"b"),
        Step::Value(b"", value(b"d1:xi1ee")),
        Step::Value(b"c", value(b"i2e")),
        Step::Leave,
        Step::Leave,
        Step::Value(b"d", value(b"le")),
    ];
    assert_eq!(steps, expected);
}

#[test]
fn nesting_has_a_limit_and_no_depth_overflows_the_stack() {
    let nested =
        |depth: usize, open: &str, close: &str| [open.repeat(depth), close.repeat(depth)].concat();
    for (open, close, first) in [("l", "e", MAX_DEPTH), ("d1:a", "e", 4 * MAX_DEPTH)] {
        let inner = if open == "l" { "le" } else { "de" };
        let deepest = [
            open.repeat(MAX_DEPTH - 1),
            inner.into(),
            close.repeat(MAX_DEPTH - 1),
        ]
        .concat();
        assert!(parse(deepest.as_bytes()).is_ok());
        for depth in [MAX_DEPTH + 1, MAX_LEN / 8] {
            let error = parse(nested(depth, open, close).as_bytes()).unwrap_err();
            assert_eq!(
                error,
                Error {
                    at: first,
                    problem: Problem::TooDeep
                }
            );
        }
    }
}

#[test]
fn length_has_a_limit() {
    let mut input = Vec::new();
    put_bytes(&mut input, &vec![b'x'; MAX_LEN - 9]);
    assert_eq!(input.len(), MAX_LEN);
    assert!(parse(&input).is_ok());
    input.push(b'x');
    assert_eq!(parse(&input).unwrap_err().problem, Problem::TooLong);
}

#[derive(Clone, Debug, PartialEq)]
enum Tree {
    Int(i64),
    Bytes(Vec<u8>),
    List(Vec<Tree>),
    Dict(BTreeMap<Vec<u8>, Tree>),
}

impl Tree {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Tree::Int(number) => return put_int(out, *number),
            Tree::Bytes(bytes) => return put_bytes(out, bytes),
            Tree::List(items) => {
                begin_list(out);
                items.iter().for_each(|item| item.write(out));
            }
            Tree::Dict(entries) => {
                begin_dict(out);
                for (key, value) in entries {
                    put_bytes(out, key);
                    value.write(out);
                }
            }
        }
        end(out);
    }

    fn read(value: Value<'_>) -> Tree {
        if let Some(number) = value.int() {
            Tree::Int(number)
        } else if let Some(bytes) = value.bytes() {
            Tree::Bytes(bytes.to_vec())
        } else if let Some(items) = value.list() {
            Tree::List(items.map(Tree::read).collect())
        } else {
            let entries = value.dict().unwrap();
            Tree::Dict(
                entries
                    .iter()
                    .map(|(key, value)| (key.to_vec(), Tree::read(value)))
                    .collect(),
            )
        }
    }
}

fn trees() -> impl Strategy<Value = Tree> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..12);
    let leaf = prop_oneof![
        any::<i64>().prop_map(Tree::Int),
        bytes().prop_map(Tree::Bytes)
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Tree::List),
            proptest::collection::btree_map(bytes(), inner, 0..6).prop_map(Tree::Dict),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(tree in trees()) {
        let mut written = Vec::new();
        tree.write(&mut written);
        let value = parse(&written).unwrap();
        prop_assert_eq!(value.raw(), &written);
        prop_assert_eq!(Tree::read(value), tree);
    }

    #[test]
    fn every_unsigned_number_is_written_in_full(number: u64) {
        let mut written = Vec::new();
        put_int(&mut written, number);
        prop_assert_eq!(written, format!("i{number}e").into_bytes());
    }

    /// Whatever is accepted holds the same tree as its canonical spelling; whatever isn't, is refused without a panic.
    #[test]
    fn bytes_are_refused_or_mean_one_thing(input in proptest::collection::vec(
        prop_oneof![Just(b'i'), Just(b'l'), Just(b'd'), Just(b'e'), Just(b':'), Just(b'-'), b'0'..=b'9', any::<u8>()],
        0..64,
    )) {
        if let Ok(value) = parse(&input) {
            let mut written = Vec::new();
            Tree::read(value).write(&mut written);
            prop_assert_eq!(written.len(), input.len());
        }
    }

    #[test]
    fn a_cut_or_changed_input_is_refused_at_a_byte_of_it(tree in trees(), cut: prop::sample::Index, byte: u8) {
        let mut written = Vec::new();
        tree.write(&mut written);
        let cut = cut.index(written.len());
        let error = parse(&written[..cut]).unwrap_err();
        prop_assert!(error.at <= cut);
        written[cut] = byte;
        if let Err(error) = parse(&written) {
            prop_assert!(error.at <= written.len());
        }
    }
}
