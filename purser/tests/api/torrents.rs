//! Torrents: uploaded, found, changed, downloaded, deleted; and what the tracker says of them afterwards.

use serde_json::{Value, json};
use sha1::{Digest, Sha1};
use store::UserRole;

use crate::people::{Caller, Club};
use crate::site::{Database, Server, until};

on_both_databases!(
    an_uploaded_torrent_is_announced_with_its_download,
    a_torrent_that_is_not_private_is_made_so,
    who_may_upload_and_who_may_not,
    bad_uploads_are_refused_and_nothing_is_written,
    a_torrent_that_is_there_is_taken,
    lists_are_sorted_narrowed_and_in_pages,
    a_search_is_words_and_never_syntax,
    wrong_questions_name_what_is_wrong,
    what_awaits_moderation_is_seen_by_its_uploader_and_staff,
    its_uploader_and_staff_change_a_torrent,
    a_deleted_torrent_is_gone_and_refused,
    a_download_keeps_its_token_until_that_is_revoked,
    an_api_key_downloads_with_reading_or_feeds,
    what_has_not_changed_is_not_sent_again,
    the_popular_ones_have_the_most_peers,
    a_long_list_of_files_comes_in_pages,
    what_is_wrong_is_said_shortly_however_long_it_is,
    of_many_downloads_at_once_all_have_one_token,
    what_becomes_of_torrents_is_in_the_audit,
    staff_bring_a_deleted_torrent_back,
);

const ALIVE: &str = "uploaded=0&downloaded=0&left=0";

/// A v1 torrent of one small file.
pub(crate) fn torrent(name: &str) -> Vec<u8> {
    sized(name, 1000, "7:privatei1e")
}

fn sized(name: &str, size: u32, private: &str) -> Vec<u8> {
    let name_len = name.len();
    format!(
        "d8:announce19:http://t/announce/k4:infod6:lengthi{size}e4:name{name_len}:{name}12:piece lengthi16384e\
         6:pieces20:aaaaaaaaaaaaaaaaaaaa{private}ee"
    )
    .into_bytes()
}

/// Of a .torrent whose last value is its info.
fn hash(torrent: &[u8]) -> String {
    let at = find(torrent, b"4:info").unwrap() + 6;
    let digest = Sha1::digest(&torrent[at..torrent.len() - 1]);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

pub(crate) fn percent(hash: &str) -> String {
    let digits = hash.as_bytes().chunks(2);
    digits
        .map(|pair| format!("%{}", str::from_utf8(pair).unwrap()))
        .collect()
}

fn fixture(name: &str) -> Vec<u8> {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tracker-core/tests/fixtures"
    );
    std::fs::read(format!("{folder}/{name}.torrent")).unwrap()
}

impl Caller {
    pub(crate) fn upload(&self, torrent: &[u8]) -> Value {
        let answer = self.form(&[("file", torrent)]);
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()
    }

    /// The names in a list.
    fn names(&self, query: &str) -> Vec<String> {
        let answer = self.get(&format!("/api/torrents/?{query}"));
        assert_eq!(answer.status, 200, "{query}: {answer:?}");
        names(&answer.json())
    }

    /// The key in the announce URL of a downloaded .torrent.
    fn key(&self, hash: &str) -> String {
        let answer = self.get(&format!("/api/torrents/{hash}/download/"));
        assert_eq!(answer.status, 200, "{answer:?}");
        let rest = answer.text.strip_prefix("d8:announce").unwrap();
        let (length, rest) = rest.split_once(':').unwrap();
        let url = &rest[..length.parse().unwrap()];
        url.split_once("/announce/").unwrap().1.to_owned()
    }
}

fn names(page: &Value) -> Vec<String> {
    let results = page["results"].as_array().unwrap();
    let name = |row: &Value| row["name"].as_str().unwrap().to_owned();
    results.iter().map(name).collect()
}

fn refused(server: &Server, key: &str, hash: &str, words: &str) {
    until(|| {
        let reply = server.announce(key, &percent(hash), 6881, ALIVE);
        reply.contains(words).then_some(())
    });
}

fn an_uploaded_torrent_is_announced_with_its_download(database: Database) {
    let club = Club::open(database);
    let (ann, bob) = (club.somebody("ann", UserRole::Uploader), club.member("bob"));
    let file = fixture("hybrid-multi");
    let answer = ann.form(&[
        ("file", &file),
        ("category", b"tv"),
        ("description", "Grüße\nand more".as_bytes()),
        ("name", b"The Series S01"),
    ]);
    assert_eq!(answer.status, 201, "{answer:?}");
    let made = answer.json();
    let hash = made["info_hash"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("location"), format!("/api/torrents/{hash}/"));
    assert_eq!(made["private_added"], false);
    assert_eq!(made["detail"], Value::Null);
    assert_eq!(made["name"], "The Series S01");
    assert_eq!(made["category"], "tv");
    assert_eq!(made["uploader"], "ann");
    assert_eq!(made["status"], "open");
    assert_eq!(made["private"], true);
    assert_eq!(made["freeleech"], false);

    let detail = bob
        .get(&format!("/api/torrents/{}/", hash.to_uppercase()))
        .json();
    let files = detail["files"].as_array().unwrap();
    let sum: u64 = files
        .iter()
        .map(|file| file["length"].as_u64().unwrap())
        .sum();
    assert_eq!(detail["size"], sum);
    assert_eq!(detail["file_count"], files.len());
    assert_eq!(detail["description"], "Grüße\nand more");
    let v2 = detail["info_hash_v2"].as_str().unwrap();
    let by_v2 = bob.get(&format!("/api/torrents/{v2}/")).json();
    assert_eq!(by_v2, detail);
    let list = bob.get("/api/torrents/").json();
    let row = &list["results"][0];
    for field in [
        "info_hash",
        "name",
        "size",
        "category",
        "seeders",
        "leechers",
        "completed",
        "uploader",
        "freeleech",
        "status",
        "created_at",
        "file_count",
    ] {
        assert_eq!(row[field], detail[field], "{field}");
    }
    assert_eq!(row.as_object().unwrap().len(), 12);

    let download = bob.get(&format!("/api/torrents/{hash}/download/"));
    assert_eq!(download.status, 200);
    assert_eq!(download.header("content-type"), "application/x-bittorrent");
    assert_eq!(
        download.header("content-disposition"),
        "attachment; filename=\"The Series S01.torrent\"; filename*=UTF-8''The%20Series%20S01.torrent"
    );
    assert_eq!(download.header("cache-control"), "no-store");
    assert!(find(&download.bytes, b"7:privatei1e").is_some());
    let key = bob.key(&hash);
    let reply = club
        .server
        .announce_when_known(&key, &percent(&hash), 6881, ALIVE);
    assert!(reply.contains("8:interval"), "{reply}");
    // The token opens nothing else.
    let reply = club.server.announce(&key, &"%11".repeat(20), 6881, ALIVE);
    assert!(reply.contains("failure reason"), "{reply}");
    club.anonymous()
        .get(&format!("/api/torrents/{hash}/download/"))
        .is_problem(401, "unauthenticated");
}

fn a_torrent_that_is_not_private_is_made_so(database: Database) {
    let club = Club::open(database);
    let ann = club.somebody("ann", UserRole::Uploader);
    let (open, private) = (sized("a", 1000, ""), torrent("a"));
    let made = ann.upload(&open);
    assert_eq!(made["private_added"], true);
    assert_eq!(made["private"], true);
    assert_eq!(made["info_hash"], hash(&private));
    assert!(
        made["detail"]
            .as_str()
            .unwrap()
            .contains("download it again")
    );
    let hash = hash(&private);
    let downloaded = ann.get(&format!("/api/torrents/{hash}/download/"));
    assert!(find(&downloaded.bytes, b"7:privatei1e").is_some());
    let key = ann.key(&hash);
    let reply = club
        .server
        .announce_when_known(&key, &percent(&hash), 6881, ALIVE);
    assert!(reply.contains("8:interval"), "{reply}");
    for again in [&open, &private] {
        let answer = ann.form(&[("file", again)]);
        assert!(
            answer.is_problem(409, "taken")["detail"]
                .as_str()
                .unwrap()
                .contains(&hash)
        );
    }
    assert_eq!(
        ann.upload(&sized("b", 7, "7:privatei0e"))["private_added"],
        true
    );
}

fn who_may_upload_and_who_may_not(database: Database) {
    let club = Club::open(database);
    let file = torrent("a");
    club.anonymous()
        .form(&[("file", &file)])
        .is_problem(401, "unauthenticated");
    let ann = club.member("ann");
    ann.form(&[("file", &file)]).is_problem(403, "forbidden");
    assert_eq!(ann.names(""), [""; 0]);
    let uploader = club.somebody("bob", UserRole::Uploader);
    let key = |scope: &str| {
        let body = json!({ "label": "bot", "scopes": [scope] });
        let made = uploader.post("/api/user/api-keys/", body).json();
        uploader.with(made["api_key"].as_str().unwrap())
    };
    key("read")
        .form(&[("file", &file)])
        .is_problem(403, "forbidden");
    assert_eq!(key("write").upload(&file)["uploader"], "bob");
    let staff = club.somebody("eve", UserRole::Staff);
    assert_eq!(staff.upload(&torrent("b"))["status"], "open");
    assert_eq!(club.admin().upload(&torrent("c"))["uploader"], "admin");
}

fn bad_uploads_are_refused_and_nothing_is_written(database: Database) {
    let club = Club::open(database);
    let ann = club.somebody("ann", UserRole::Uploader);
    let good = torrent("good");
    let files = |path: &str| {
        format!(
            "d4:infod5:filesld6:lengthi7e4:pathl{path}eee4:name1:n12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaaee"
        )
        .into_bytes()
    };
    for bad in [
        b"".to_vec(),
        b"hello".to_vec(),
        b"d".repeat(100_000),
        [b"d4:info".repeat(5000), b"e".repeat(5000)].concat(),
        [b"l".repeat(1_000_000), b"e".repeat(1_000_000)].concat(),
        good[..good.len() - 1].to_vec(),
        [good.clone(), b"e".to_vec()].concat(),
        torrent(".."),
        torrent("/etc/passwd"),
        torrent("a\0b"),
        torrent(""),
        torrent("..\\x"),
        sized("a", 0, "7:privatei1e"),
        sized("a", 1000, "7:private1:1"),
        files("2:..4:evil"),
        files("1:a2:.."),
        files("0:"),
        files("1:a0:1:b"),
        files("4:/etc"),
        files("3:a\0b"),
        files(""),
    ] {
        ann.form(&[("file", &bad)]).minds(&["file"]);
    }
    ann.form(&[("category", b"tv")]).minds(&["file"]);
    ann.form(&[]).minds(&["file"]);
    ann.form(&[("file", &good), ("category", b"films")])
        .minds(&["category"]);
    ann.form(&[
        ("file", b"x"),
        ("category", b""),
        ("description", b"\0"),
        ("name", b" "),
    ])
    .minds(&["file", "category", "description", "name"]);
    ann.form(&[("file", &good), ("name", "x".repeat(256).as_bytes())])
        .minds(&["name"]);
    ann.form(&[
        ("file", &good),
        ("description", "x".repeat(20_001).as_bytes()),
    ])
    .minds(&["description"]);
    ann.form(&[("file", &good), ("name", b"\xff")])
        .minds(&["name"]);
    ann.form(&[("file", &good), ("file", &good)])
        .minds(&["file"]);
    ann.form(&[("file", &good), ("name", b"a"), ("name", b"b")])
        .minds(&["name"]);
    ann.form(&[("file", &good), ("status", b"open")])
        .minds(&["status"]);
    ann.form(&[("file", &vec![b'x'; 10 * 1024 * 1024 + 1])])
        .is_problem(413, "too-large");
    ann.form(&[("file", &vec![b'x'; 10 * 1024 * 1024])])
        .minds(&["file"]);
    let raw = |kind: &str, body: &[u8]| {
        ann.call(
            "POST",
            "/api/torrents/",
            &[("content-type", kind)],
            body.to_vec(),
        )
    };
    raw("application/json", b"{}").is_problem(415, "unsupported-media-type");
    raw("multipart/form-data", b"").is_problem(415, "unsupported-media-type");
    raw("multipart/form-data; boundary=XX", b"--XX\r\nContent-Di").is_problem(400, "malformed");
    assert_eq!(ann.names(""), [""; 0]);
    let rows: Vec<(i64,)> = club.site.rows("select count(*) from torrents");
    assert_eq!(rows, [(0,)]);
}

fn a_torrent_that_is_there_is_taken(database: Database) {
    let club = Club::open(database);
    let ann = club.somebody("ann", UserRole::Uploader);
    let file = torrent("a");
    let made = ann.upload(&file);
    let again = ann.form(&[("file", &file), ("name", b"Another name")]);
    let detail = again.is_problem(409, "taken")["detail"].clone();
    assert!(
        detail
            .as_str()
            .unwrap()
            .contains(made["info_hash"].as_str().unwrap())
    );
    club.site
        .write("b.torrent", std::str::from_utf8(&torrent("b")).unwrap());
    let by_hand = club.site.run("add-torrent b.torrent");
    assert_eq!(by_hand, hash(&torrent("b")));
    ann.form(&[("file", &torrent("b"))])
        .is_problem(409, "taken");
    let detail = ann.get(&format!("/api/torrents/{by_hand}/")).json();
    assert_eq!(detail["uploader"], Value::Null);
    assert_eq!(detail["category"], "other");
    assert_eq!(detail["info_hash_v2"], Value::Null);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| ann.form(&[("file", &torrent("race"))]).status))
            .collect();
        callers.into_iter().map(|c| c.join().unwrap()).collect()
    });
    let made = statuses.iter().filter(|&&status| status == 201).count();
    assert_eq!(made, 1, "{statuses:?}");
    assert!(
        statuses.iter().all(|status| [201, 409].contains(status)),
        "{statuses:?}"
    );
}

fn lists_are_sorted_narrowed_and_in_pages(database: Database) {
    let club = Club::open(database);
    let ann = club.somebody("ann", UserRole::Uploader);
    let bob = club.somebody("bob", UserRole::Uploader);
    for (who, name, size, category) in [
        (&ann, "a", 300, "tv"),
        (&bob, "b", 100, "movies"),
        (&ann, "c", 200, "tv"),
        (&ann, "d", 200, "movies"),
    ] {
        let answer = who.form(&[
            ("file", &sized(name, size, "7:privatei1e")),
            ("category", category.as_bytes()),
        ]);
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    let set: Vec<(i64,)> = club
        .site
        .rows("update torrents set seeders = id, completed = 9 - id returning id");
    assert_eq!(set.len(), 4);
    let carl = club.member("carl");
    for (query, expected) in [
        ("", "dcba"),
        ("sort=-created", "dcba"),
        ("sort=created", "abcd"),
        ("sort=-size", "adcb"),
        ("sort=size", "bcda"),
        ("sort=-seeders", "dcba"),
        ("sort=-completed", "abcd"),
        ("category=tv", "ca"),
        ("category=xxx", ""),
        ("uploader=ann", "dca"),
        ("uploader=ANN&category=tv&sort=created", "ac"),
        ("uploader=nobody", ""),
        ("uploader=%00", ""),
        ("search=", "dcba"),
        ("search=c&category=tv", "c"),
    ] {
        assert_eq!(carl.names(query).concat(), expected, "{query}");
    }
    for (sort, expected) in [
        ("-size", "adcb"),
        ("size", "bcda"),
        ("-created", "dcba"),
        ("created", "abcd"),
    ] {
        let (mut found, mut cursor, mut pages) = (String::new(), String::new(), 0);
        loop {
            let query = format!("/api/torrents/?sort={sort}&limit=1{cursor}");
            let page = carl.get(&query).json();
            found += &names(&page).concat();
            pages += 1;
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!((found.as_str(), pages), (expected, 4), "{sort}");
    }
    let next = carl.get("/api/torrents/?sort=size&limit=1").json()["next"].clone();
    let next = next.as_str().unwrap();
    carl.get(&format!("/api/torrents/?sort=-size&cursor={next}"))
        .minds(&["cursor"]);
}

fn a_search_is_words_and_never_syntax(database: Database) {
    let club = Club::open(database);
    let ann = club.somebody("ann", UserRole::Uploader);
    for name in ["The.Quick.Brown.Fox.2024", "Quick_Dogs", "100% Brown"] {
        ann.upload(&torrent(name));
    }
    for (search, found) in [
        ("quick", 2),
        ("QUICK+bro", 1),
        ("bro+quick", 0),
        ("fox+brown", 1),
        ("2024", 1),
        ("quick+OR+brown", 0),
        ("%22quick", 2),
        ("quick%22+OR+%221", 0),
        ("quick'", 2),
        ("quick:*", 2),
        ("-quick", 2),
        ("name:quick", 0),
        ("quick)", 2),
        ("%26", 3),
        ("%00quick", 2),
        ("%5C", 3),
        ("100%25", 1),
        ("';drop+table+torrents;--", 0),
    ] {
        assert_eq!(
            ann.names(&format!("search={search}")).len(),
            found,
            "{search}"
        );
    }
}

fn wrong_questions_name_what_is_wrong(database: Database) {
    let club = Club::open(database);
    let ann = club.member("ann");
    for (query, field) in [
        ("sort=name", "sort"),
        ("sort=", "sort"),
        ("category=films", "category"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("limit=-1", "limit"),
        ("cursor=made-up", "cursor"),
        ("cursor=", "cursor"),
        ("colour=red", "colour"),
        (&format!("search={}", "x".repeat(201)), "search"),
    ] {
        ann.get(&format!("/api/torrents/?{query}")).minds(&[field]);
    }
    ann.get("/api/torrents/?status=pending")
        .is_problem(403, "forbidden");
    club.anonymous()
        .get("/api/torrents/")
        .is_problem(401, "unauthenticated");
    club.anonymous()
        .get("/api/torrents/popular/")
        .is_problem(401, "unauthenticated");
    for nothing in ["zz", &"0".repeat(40), &"0".repeat(39), "%00"] {
        for rest in ["", "download/"] {
            let path = format!("/api/torrents/{nothing}/{rest}");
            ann.get(&path).is_problem(404, "not-found");
        }
        let path = format!("/api/torrents/{nothing}/");
        ann.patch(&path, json!({})).is_problem(404, "not-found");
        club.admin().delete(&path).is_problem(404, "not-found");
    }
}

fn what_awaits_moderation_is_seen_by_its_uploader_and_staff(database: Database) {
    let club = Club::open(database);
    let ann = club.somebody("ann", UserRole::Uploader);
    let staff = club.somebody("eve", UserRole::Staff);
    let bob = club.member("bob");
    let hash = hash(&torrent("a"));
    ann.upload(&torrent("a"));
    let key = ann.key(&hash);
    let path = format!("/api/torrents/{hash}/");
    let set = |status: &str| {
        let answer = staff.patch(&path, json!({ "status": status }));
        assert_eq!(answer.json()["status"], status, "{answer:?}");
    };
    set("pending");
    assert_eq!(ann.names(""), ["a"]);
    assert_eq!(staff.names(""), ["a"]);
    assert_eq!(staff.names("status=pending"), ["a"]);
    assert_eq!(staff.names("status=open"), [""; 0]);
    assert_eq!(bob.names(""), [""; 0]);
    assert_eq!(ann.get(&path).json()["status"], "pending");
    for way in [path.clone(), format!("{path}download/")] {
        bob.get(&way).is_problem(404, "not-found");
        assert_eq!(ann.get(&way).status, 200);
    }
    bob.patch(&path, json!({ "name": "x" }))
        .is_problem(404, "not-found");
    assert_eq!(names(&ann.get("/api/torrents/popular/").json()), [""; 0]);
    until(|| {
        let reply = club.server.announce(&key, &percent(&hash), 6881, ALIVE);
        reply.contains("warning message").then_some(())
    });
    set("closed");
    refused(&club.server, &key, &hash, "failure reason");
    assert_eq!(ann.names(""), [""; 0]);
    ann.get(&path).is_problem(404, "not-found");
    assert_eq!(staff.names("status=closed"), ["a"]);
    set("open");
    assert_eq!(bob.names(""), ["a"]);
    refused(&club.server, &key, &hash, "8:interval");
    // Staff whose key isn't for that are members.
    let body = json!({ "label": "x", "scopes": ["read", "write"] });
    let made = staff.post("/api/user/api-keys/", body).json();
    let reader = staff.with(made["api_key"].as_str().unwrap());
    reader
        .get("/api/torrents/?status=open")
        .is_problem(403, "forbidden");
    reader
        .patch(&path, json!({ "status": "closed" }))
        .is_problem(403, "forbidden");
    reader.delete(&path).is_problem(403, "forbidden");
}

fn its_uploader_and_staff_change_a_torrent(database: Database) {
    let club = Club::open(database);
    let ann = club.somebody("ann", UserRole::Uploader);
    let bob = club.somebody("bob", UserRole::Uploader);
    let staff = club.somebody("eve", UserRole::Staff);
    let hash = hash(&torrent("a"));
    ann.upload(&torrent("a"));
    let path = format!("/api/torrents/{hash}/");
    let change = json!({ "name": "New name", "category": "music", "description": "more" });
    let changed = ann.patch(&path, change).json();
    assert_eq!(changed["name"], "New name");
    assert_eq!(changed["category"], "music");
    assert_eq!(changed["description"], "more");
    assert_eq!(changed["info_hash"], hash.as_str());
    assert_eq!(ann.get(&path).json(), changed);
    assert_eq!(ann.names("search=new+name"), ["New name"]);
    assert_eq!(ann.patch(&path, json!({})).json(), changed);
    let changed = staff.patch(&path, json!({ "category": "books" })).json();
    assert_eq!(
        (&changed["name"], &changed["category"]),
        (&json!("New name"), &json!("books"))
    );

    ann.patch(&path, json!({ "status": "closed" }))
        .is_problem(403, "forbidden");
    bob.patch(&path, json!({ "name": "Mine" }))
        .is_problem(403, "forbidden");
    club.anonymous()
        .patch(&path, json!({}))
        .is_problem(401, "unauthenticated");
    for (body, fields) in [
        (json!({ "name": "" }), &["name"][..]),
        (
            json!({ "name": "a\u{0}b", "description": "\u{7}" }),
            &["name", "description"],
        ),
        (json!({ "category": "films" }), &["category"]),
        (json!({ "status": "deleted" }), &["status"]),
        (json!({ "uploader": "bob" }), &["uploader"]),
        (json!({ "size": 1 }), &["size"]),
    ] {
        staff.patch(&path, body).minds(fields);
    }
    assert_eq!(ann.get(&path).json(), changed);
}

fn a_deleted_torrent_is_gone_and_refused(database: Database) {
    let club = Club::open(database);
    let ann = club.somebody("ann", UserRole::Uploader);
    let staff = club.somebody("eve", UserRole::Staff);
    let hash = hash(&torrent("a"));
    ann.upload(&torrent("a"));
    let key = ann.key(&hash);
    let reply = club
        .server
        .announce_when_known(&key, &percent(&hash), 6881, ALIVE);
    assert!(reply.contains("8:interval"), "{reply}");
    let path = format!("/api/torrents/{hash}/");
    club.anonymous()
        .delete(&path)
        .is_problem(401, "unauthenticated");
    ann.delete(&path).is_problem(403, "forbidden");
    let deleted = staff.delete(&path);
    assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
    refused(&club.server, &key, &hash, "failure reason");
    for caller in [&ann, &staff] {
        assert_eq!(caller.names(""), [""; 0]);
        assert_eq!(caller.names("search=a"), [""; 0]);
        caller.get(&path).is_problem(404, "not-found");
        caller
            .get(&format!("{path}download/"))
            .is_problem(404, "not-found");
        caller
            .patch(&path, json!({ "name": "b" }))
            .is_problem(404, "not-found");
    }
    assert_eq!(staff.names("status=closed"), [""; 0]);
    staff.delete(&path).is_problem(404, "not-found");
    ann.form(&[("file", &torrent("a"))])
        .is_problem(409, "taken");
}

fn a_download_keeps_its_token_until_that_is_revoked(database: Database) {
    let club = Club::open(database);
    let ann = club.somebody("ann", UserRole::Uploader);
    let bob = club.member("bob");
    let (a, b) = (hash(&torrent("a")), hash(&torrent("b")));
    ann.upload(&torrent("a"));
    ann.upload(&torrent("b"));
    let key = bob.key(&a);
    assert_eq!(bob.key(&a), key);
    assert_ne!(bob.key(&b), key);
    assert_ne!(ann.key(&a), key);
    let tokens = bob.get("/api/user/tokens/").json();
    let tokens = tokens["results"].as_array().unwrap();
    assert_eq!(tokens.len(), 2, "{tokens:?}");
    assert_eq!(tokens[0]["label"], "download");
    assert_eq!(tokens[0]["info_hash"], a.as_str());
    let path = format!("/api/user/tokens/{}/", tokens[0]["id"]);
    assert_eq!(bob.delete(&path).status, 204);
    let fresh = bob.key(&a);
    assert_ne!(fresh, key);
    let reply = club
        .server
        .announce_when_known(&fresh, &percent(&a), 6881, ALIVE);
    assert!(reply.contains("8:interval"), "{reply}");
    refused(&club.server, &key, &a, "revoked");
}

fn an_api_key_downloads_with_reading_or_feeds(database: Database) {
    let club = Club::open(database);
    let ann = club.somebody("ann", UserRole::Uploader);
    let hash = hash(&torrent("a"));
    ann.upload(&torrent("a"));
    let key = |scope: &str| {
        let body = json!({ "label": "bot", "scopes": [scope] });
        let made = ann.post("/api/user/api-keys/", body).json();
        ann.with(made["api_key"].as_str().unwrap())
    };
    let (list, path) = ("/api/torrents/", format!("/api/torrents/{hash}/download/"));
    for (scope, lists, downloads) in [("read", 200, 200), ("feeds", 403, 200), ("write", 403, 403)]
    {
        let bot = key(scope);
        assert_eq!(bot.get(list).status, lists, "{scope}");
        assert_eq!(bot.get(&path).status, downloads, "{scope}");
    }
}

fn what_has_not_changed_is_not_sent_again(database: Database) {
    let club = Club::open(database);
    let ann = club.somebody("ann", UserRole::Uploader);
    let hash = hash(&torrent("a"));
    ann.upload(&torrent("a"));
    let detail = format!("/api/torrents/{hash}/");
    for path in ["/api/torrents/", &detail, "/api/torrents/popular/"] {
        let first = ann.get(path);
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with("W/\""), "{path}: {tag}");
        assert_eq!(first.header("cache-control"), "private, no-cache");
        let ask = |tag: &str| ann.call("GET", path, &[("if-none-match", tag)], Vec::new());
        for known in [tag.as_str(), &format!("\"x\", {tag}"), "*"] {
            let same = ask(known);
            assert_eq!((same.status, same.text.as_str()), (304, ""), "{path}");
            assert_eq!(same.header("etag"), tag);
            assert_eq!(same.header("cache-control"), "private, no-cache");
        }
        assert_eq!(ask("\"x\"").status, 200);
        let name = format!("name for {}", path.len());
        assert_eq!(ann.patch(&detail, json!({ "name": name })).status, 200);
        let other = ask(&tag);
        assert_eq!(other.status, 200, "{path}");
        assert_ne!(other.header("etag"), tag);
    }
}

fn the_popular_ones_have_the_most_peers(database: Database) {
    let club = Club::open(database);
    let ann = club.somebody("ann", UserRole::Uploader);
    for name in ["a", "b", "c", "d"] {
        ann.upload(&torrent(name));
    }
    let _: Vec<(i64,)> = club.site.rows(
        "update torrents set seeders = case name when 'a' then 5 when 'b' then 1 else 0 end,
            leechers = case name when 'b' then 9 when 'd' then 2 else 0 end returning id",
    );
    let popular = ann.get("/api/torrents/popular/").json();
    assert_eq!(names(&popular).concat(), "badc");
    assert_eq!(popular["next"], Value::Null);
    let staff = club.somebody("eve", UserRole::Staff);
    let path = format!("/api/torrents/{}/", hash(&torrent("b")));
    staff.patch(&path, json!({ "status": "closed" }));
    assert_eq!(
        names(&staff.get("/api/torrents/popular/").json()).concat(),
        "adc"
    );
}

fn a_long_list_of_files_comes_in_pages(database: Database) {
    let club = Club::open(database);
    let (ann, bob) = (club.somebody("ann", UserRole::Uploader), club.member("bob"));
    let files: String = (0..1200)
        .map(|n| format!("d6:lengthi{}e4:pathl6:f{n:05}ee", n + 1))
        .collect();
    let file = format!(
        "d4:infod5:filesl{files}e4:name4:many12:piece lengthi1048576e6:pieces20:aaaaaaaaaaaaaaaaaaaa7:privatei1eee"
    );
    let hash = ann.upload(file.as_bytes())["info_hash"].clone();
    let path = format!("/api/torrents/{}/", hash.as_str().unwrap());
    let detail = bob.get(&path).json();
    assert_eq!(detail["file_count"], 1200);
    assert_eq!(detail["files"].as_array().unwrap().len(), 1000);
    let all = bob.all(&format!("{path}files/?limit=200"));
    assert_eq!(all.len(), 1200);
    assert_eq!(all[..1000], *detail["files"].as_array().unwrap());
    assert_eq!(all[1199], json!({ "path": "f01199", "length": 1200 }));
    let files = format!("{path}files/");
    bob.get(&format!("{files}?cursor=x")).minds(&["cursor"]);
    club.anonymous()
        .get(&files)
        .is_problem(401, "unauthenticated");
    let pending = json!({ "status": "pending" });
    assert_eq!(club.admin().patch(&path, pending).status, 200);
    bob.get(&files).is_problem(404, "not-found");
    assert_eq!(ann.get(&files).status, 200);
}

fn what_is_wrong_is_said_shortly_however_long_it_is(database: Database) {
    let club = Club::open(database);
    let ann = club.somebody("ann", UserRole::Uploader);
    let long = "x".repeat(5000);
    let fields: Vec<_> = (0..1000).map(|_| (long.as_str(), &b""[..])).collect();
    let in_json = ann.post("/api/user/tokens/", json!({ long.as_str(): 1 }));
    for answer in [ann.form(&fields), in_json] {
        answer.is_problem(422, "invalid");
        assert!(answer.text.len() < 10_000, "{}", answer.text.len());
    }
    // With a key, a body may be as long as without.
    let mut form = b"--XX\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n".to_vec();
    form.resize(13 << 20, b'x');
    form.extend(b"\r\n--XX--\r\n");
    let headers = [
        ("content-type", "multipart/form-data; boundary=XX"),
        ("idempotency-key", "1"),
    ];
    let answer = ann.call("POST", "/api/torrents/", &headers, form);
    let detail = answer.is_problem(413, "too-large")["detail"].clone();
    assert_eq!(detail, "a .torrent has at most 10 MiB");
}

fn of_many_downloads_at_once_all_have_one_token(database: Database) {
    let club = Club::open(database);
    let (ann, bob) = (club.somebody("ann", UserRole::Uploader), club.member("bob"));
    for turn in 0..5 {
        let file = torrent(&format!("t{turn}"));
        ann.upload(&file);
        let hash = hash(&file);
        let keys: Vec<String> = std::thread::scope(|scope| {
            let asking: Vec<_> = (0..8).map(|_| scope.spawn(|| bob.key(&hash))).collect();
            asking.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    }
    let tokens = bob.get("/api/user/tokens/").json();
    assert_eq!(tokens["results"].as_array().unwrap().len(), 5);
}

fn audits(club: &Club) -> Vec<(String, String, String)> {
    let log = club.admin().all("/api/logs/system-logs/?limit=50");
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let row = |row: &Value| (text(row, "actor"), text(row, "action"), text(row, "detail"));
    log.iter().rev().map(row).collect()
}

fn what_becomes_of_torrents_is_in_the_audit(database: Database) {
    let club = Club::open(database);
    let ann = club.somebody("ann", UserRole::Uploader);
    let staff = club.somebody("eve", UserRole::Staff);
    let hash = hash(&torrent("a"));
    ann.upload(&torrent("a"));
    let path = format!("/api/torrents/{hash}/");
    let edit = json!({ "name": "b", "category": "tv", "description": "more" });
    assert_eq!(ann.patch(&path, edit).status, 200);
    // Nothing is asked for, and nothing is written.
    assert_eq!(ann.patch(&path, json!({})).status, 200);
    let close = json!({ "status": "closed" });
    assert_eq!(staff.patch(&path, close).status, 200);
    assert_eq!(staff.delete(&path).status, 204);
    staff.delete(&path).is_problem(404, "not-found");
    let expected = [
        (
            "ann",
            "torrent.change",
            "name: a to b; category: other to tv; description",
        ),
        ("eve", "torrent.change", "status: open to closed"),
        ("eve", "torrent.delete", "b"),
    ];
    let expected =
        expected.map(|(who, what, how)| (who.to_owned(), what.to_owned(), how.to_owned()));
    assert_eq!(audits(&club), expected);
    let log = club.admin().get("/api/logs/system-logs/").json();
    assert_eq!(log["results"][0]["subject"], format!("torrent:{hash}"));
}

fn staff_bring_a_deleted_torrent_back(database: Database) {
    let club = Club::open(database);
    let ann = club.somebody("ann", UserRole::Uploader);
    let staff = club.somebody("eve", UserRole::Staff);
    let file = torrent("a");
    let hash = hash(&file);
    ann.upload(&file);
    let key = ann.key(&hash);
    let path = format!("/api/torrents/{hash}/");
    staff.form(&[("file", &file)]).is_problem(409, "taken");
    assert_eq!(staff.delete(&path).status, 204);
    refused(&club.server, &key, &hash, "failure reason");
    let detail = ann.form(&[("file", &file)]).is_problem(409, "taken")["detail"].clone();
    assert!(
        detail.as_str().unwrap().contains("staff can bring it back"),
        "{detail}"
    );
    staff
        .bot(&["write"])
        .form(&[("file", &file)])
        .is_problem(409, "taken");
    let back = staff.form(&[("file", &file), ("name", b"again"), ("category", b"tv")]);
    assert_eq!(back.status, 201, "{back:?}");
    let back = back.json();
    assert_eq!(
        (&back["name"], &back["uploader"], &back["status"]),
        (&json!("again"), &json!("eve"), &json!("open"))
    );
    assert_eq!(back["files"], json!([{ "path": "a", "length": 1000 }]));
    assert_eq!(ann.names("search=again"), ["again"]);
    assert_eq!(ann.key(&hash), key);
    until(|| {
        let reply = club.server.announce(&key, &percent(&hash), 6881, ALIVE);
        reply.contains("8:interval").then_some(())
    });
    let last = audits(&club).pop().unwrap();
    let restored = ("eve", "torrent.restore", "again");
    assert_eq!(
        (last.0.as_str(), last.1.as_str(), last.2.as_str()),
        restored
    );

    // The operator does the same by command.
    assert_eq!(staff.delete(&path).status, 204);
    club.site.write("a.torrent", str::from_utf8(&file).unwrap());
    let told = club.site.run("--json add-torrent a.torrent");
    assert!(told.contains("\"registered\": true"), "{told}");
    assert_eq!(ann.get(&path).json()["name"], "a");
    let last = audits(&club).pop().unwrap();
    let restored = ("", "torrent.restore", "a");
    assert_eq!(
        (last.0.as_str(), last.1.as_str(), last.2.as_str()),
        restored
    );
}
