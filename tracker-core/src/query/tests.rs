use proptest::prelude::*;

use super::*;

const GOOD: &str = "info_hash=%01%02aaaaaaaaaaaaaaaaaa&peer_id=-TR3000-abcdefghijkl&port=51413\
                    &uploaded=1&downloaded=2&left=3";

fn parse(query: &str) -> Result<Announce<'_>, BadQuery> {
    Announce::parse(query.as_bytes())
}

#[test]
fn announce_reads_every_parameter() {
    let query = format!(
        "{GOOD}&event=paused&numwant=80&compact=0&no_peer_id=1&key=first&key=second&ip=::1&x&=y&&"
    );
    assert_eq!(
        parse(&query),
        Ok(Announce {
            info_hash: InfoHash(*b"\x01\x02aaaaaaaaaaaaaaaaaa"),
            peer_id: PeerId(*b"-TR3000-abcdefghijkl"),
            port: 51413,
            counters: Counters {
                uploaded: 1,
                downloaded: 2
            },
            left: 3,
            event: Event::Paused,
            numwant: Some(80),
            compact: false,
            no_peer_id: true,
            key: Some(b"first"),
            ip: Some(b"::1"),
        })
    );
}

/// Each row: a parameter's value in place of the good one, and the refusal it earns.
#[test]
fn bad_value_has_a_named_reason() {
    let twenty_one = "a".repeat(21);
    let minuses = "-".repeat(1 << 20);
    let table = [
        (
            "info_hash",
            "aaaaaaaaaaaaaaaaaaa",
            BadQuery::WrongLength("info_hash"),
        ),
        ("info_hash", &twenty_one, BadQuery::WrongLength("info_hash")),
        ("info_hash", "", BadQuery::WrongLength("info_hash")),
        (
            "info_hash",
            "%0gaaaaaaaaaaaaaaaaaaa",
            BadQuery::BadEscape("info_hash"),
        ),
        (
            "info_hash",
            "aaaaaaaaaaaaaaaaaaa%1",
            BadQuery::BadEscape("info_hash"),
        ),
        ("peer_id", "%", BadQuery::BadEscape("peer_id")),
        ("peer_id", "short", BadQuery::WrongLength("peer_id")),
        ("port", "0", BadQuery::BadPort),
        ("port", "65536", BadQuery::BadPort),
        ("port", "-1", BadQuery::BadPort),
        ("port", "99999999999999999999", BadQuery::BadPort),
        ("port", "http", BadQuery::NotANumber("port")),
        ("uploaded", "-1", BadQuery::Negative("uploaded")),
        (
            "uploaded",
            "9223372036854775808",
            BadQuery::TooLarge("uploaded"),
        ),
        ("downloaded", "1e3", BadQuery::NotANumber("downloaded")),
        ("downloaded", "", BadQuery::NotANumber("downloaded")),
        ("downloaded", "-", BadQuery::NotANumber("downloaded")),
        ("downloaded", &minuses, BadQuery::NotANumber("downloaded")),
        ("left", "18446744073709551616", BadQuery::TooLarge("left")),
    ];
    for (name, value, expected) in table {
        let is_its_own = |pair: &&str| pair.split_once('=').is_some_and(|(own, _)| own == name);
        let old = GOOD.split('&').find(is_its_own).unwrap_or_default();
        let query = GOOD.replacen(old, &format!("{name}={value}"), 1);
        assert_eq!(parse(&query), Err(expected), "{name}={value}");
    }
    for (extra, expected) in [
        ("event=finished", BadQuery::UnknownEvent),
        ("numwant=many", BadQuery::NotANumber("numwant")),
    ] {
        assert_eq!(parse(&format!("{GOOD}&{extra}")), Err(expected), "{extra}");
    }
}

#[test]
fn missing_and_repeated_parameters_are_named() {
    for name in [
        "info_hash",
        "peer_id",
        "port",
        "uploaded",
        "downloaded",
        "left",
    ] {
        let pairs = || {
            GOOD.split('&')
                .filter(|pair| pair.starts_with(&format!("{name}=")))
        };
        let without: Vec<_> = GOOD
            .split('&')
            .filter(|pair| !pair.starts_with(&format!("{name}=")))
            .collect();
        assert_eq!(parse(&without.join("&")), Err(BadQuery::Missing(name)));
        let twice = format!("{GOOD}&{}", pairs().collect::<String>());
        assert_eq!(parse(&twice), Err(BadQuery::Repeated(name)));
    }
}

#[test]
fn numwant_is_a_wish() {
    for (value, expected) in [
        ("0", Some(0)),
        ("-1", None),
        ("99999999999999999999", Some(u32::MAX)),
    ] {
        let query = format!("{GOOD}&numwant={value}");
        assert_eq!(parse(&query).map(|announce| announce.numwant), Ok(expected));
    }
}

#[test]
fn plus_is_a_byte_like_any_other() {
    let query = GOOD.replace("%01%02", "++");
    assert_eq!(
        parse(&query).map(|a| a.info_hash),
        Ok(InfoHash(*b"++aaaaaaaaaaaaaaaaaa"))
    );
}

#[test]
fn scrape_takes_many_hashes() {
    let query = b"info_hash=aaaaaaaaaaaaaaaaaaaa&x=1&info_hash=bbbbbbbbbbbbbbbbbbb%63&info_hash=c";
    let hashes: Vec<_> = scrape_hashes(query).collect();
    assert_eq!(
        hashes,
        [
            Ok(InfoHash([b'a'; 20])),
            Ok(InfoHash(*b"bbbbbbbbbbbbbbbbbbbc")),
            Err(BadQuery::WrongLength("info_hash")),
        ]
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(query in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = Announce::parse(&query);
        scrape_hashes(&query).for_each(drop);
        key(&query);
    }

    #[test]
    fn any_hash_survives_percent_encoding(hash: [u8; 20], escape_all: bool, peer_id: [u8; 20],
                                          uploaded in 0..=i64::MAX as u64, port in 1..=u16::MAX) {
        let encode = |bytes: &[u8]| -> String {
            bytes.iter().map(|&byte| match byte {
                b'a'..=b'z' | b'0'..=b'9' | b'+' if !escape_all => char::from(byte).to_string(),
                _ => format!("%{byte:02X}"),
            }).collect()
        };
        let query = format!("peer_id={}&port={port}&info_hash={}&uploaded={uploaded}&left=0&downloaded=0",
            encode(&peer_id), encode(&hash));
        let announce = parse(&query);
        prop_assert_eq!(announce.map(|a| (a.info_hash.0, a.peer_id.0, a.port, a.counters.uploaded)),
            Ok((hash, peer_id, port, uploaded)));
    }
}
