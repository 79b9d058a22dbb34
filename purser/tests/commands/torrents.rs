//! `purser add-torrent`.

use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use crate::sandbox::Sandbox;

/// A v1 torrent of one small file, and its info hash.
fn torrent(name: &str, private: bool) -> (Vec<u8>, String) {
    let private = if private { "7:privatei1e" } else { "" };
    let info = format!(
        "d6:lengthi1000e4:name{}:{name}12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaa{private}e",
        name.len()
    );
    let hash = Sha1::digest(&info)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    (format!("d4:info{info}e").into_bytes(), hash)
}

#[test]
fn a_registered_torrent_is_named_by_its_hash() {
    let sandbox = Sandbox::new();
    sandbox.good("migrate");
    let ((one, one_hash), (two, two_hash)) = (torrent("one", true), torrent("two", false));
    sandbox.write("one.torrent", one);
    sandbox.write("two.torrent", two);
    let run = sandbox.run("add-torrent one.torrent two.torrent");
    assert_eq!(
        (run.status, run.stdout),
        (Some(0), format!("{one_hash}\n{two_hash}\n"))
    );
    assert_eq!(
        run.stderr,
        "two.torrent: registered, but not marked private (BEP 27): clients will look for peers elsewhere too\n"
    );

    let again = sandbox.run("add-torrent one.torrent");
    assert_eq!(
        (again.status, again.stdout),
        (Some(0), format!("{one_hash}\n"))
    );
    assert_eq!(again.stderr, "one.torrent: registered already\n");

    let bound = format!("create-token --user ann --torrent {one_hash}");
    sandbox.good("create-user --username ann");
    assert!(
        sandbox
            .good(&bound)
            .starts_with("http://localhost:6969/announce/")
    );
}

#[test]
fn one_damaged_file_and_none_is_registered() {
    let sandbox = Sandbox::new();
    let (good, hash) = torrent("good", true);
    sandbox.write("cut.torrent", &good[..good.len() - 1]);
    sandbox.write("empty.torrent", "");
    sandbox.write("text.torrent", "hello");
    sandbox.write("good.torrent", good);
    for damaged in [
        "cut.torrent",
        "empty.torrent",
        "text.torrent",
        ".",
        "none.torrent",
        "/dev/zero",
    ] {
        let line = sandbox.bad(&format!("add-torrent good.torrent {damaged}"), 1);
        assert!(line.starts_with(&format!("{damaged}: ")), "{line}");
    }
    assert!(!sandbox.path("data").exists(), "nothing half done");
    sandbox.good("add-torrent good.torrent");
    let line = sandbox.bad("add-torrent good.torrent --by nobody", 1);
    assert_eq!(line, "nobody: there is no such member");
    let run = sandbox.run("add-torrent --json good.torrent");
    let result: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(
        result,
        json!([{ "info_hash": hash, "name": "good", "size": 1000, "registered": false }])
    );
}

/// A member's own .torrent has their key in its announce URL.
#[test]
fn a_registered_torrent_keeps_nobodys_announce_url() {
    let sandbox = Sandbox::new();
    let (bytes, _) = torrent("a.txt", true);
    let announce = b"d8:announce19:http://t/announce/k".as_slice();
    sandbox.write("a.torrent", [announce, &bytes[1..]].concat());
    sandbox.good("add-torrent a.torrent");
    let database = std::fs::read(sandbox.path("data/purser.db")).unwrap();
    assert!(!database.windows(9).any(|window| window == b"/announce"));
}
