//! Torznab and RSS, read by a library that nobody here wrote, and the links in them.

use rss::{Channel, Item};
use serde_json::{Value, json};
use store::UserRole;

use crate::people::{Answer, Caller, Club};
use crate::site::Database;
use crate::torrents::{percent, torrent};

on_both_databases!(
    what_there_is_to_ask_needs_no_key,
    an_item_has_all_that_programs_read,
    a_link_needs_no_header_and_its_torrent_is_announced,
    a_search_finds_what_programs_look_for,
    pages_go_on_by_offset,
    refusals_say_why_in_newznabs_codes,
    only_open_torrents_are_in_feeds,
    no_name_breaks_a_feed,
    rss_is_narrowed_and_says_when_nothing_has_changed,
);

const SOON: &str = "uploaded=0&downloaded=0";

/// A program that has an API key and knows of no headers.
struct Program {
    caller: Caller,
    key: String,
}

impl Program {
    fn of(club: &Club, member: &Caller, scope: &str) -> Self {
        Self {
            caller: club.anonymous(),
            key: new_key(member, scope)["api_key"]
                .as_str()
                .unwrap()
                .to_owned(),
        }
    }

    fn ask(&self, query: &str) -> Answer {
        let key = &self.key;
        self.caller
            .get(&format!("/torznab/api?apikey={key}&{query}"))
    }

    fn feed(&self, query: &str) -> Channel {
        let answer = self.ask(query);
        assert_eq!(answer.status, 200, "{query}: {answer:?}");
        let kind = answer.header("content-type");
        assert_eq!(kind, "application/rss+xml; charset=utf-8", "{answer:?}");
        Channel::read_from(answer.bytes.as_slice()).unwrap()
    }

    fn titles(&self, query: &str) -> Vec<String> {
        titles(&self.feed(query))
    }

    fn rss(&self, query: &str) -> Answer {
        let key = &self.key;
        self.caller.get(&format!("/rss/?apikey={key}&{query}"))
    }

    fn rss_titles(&self, query: &str) -> Vec<String> {
        let answer = self.rss(query);
        assert_eq!(answer.status, 200, "{query}: {answer:?}");
        titles(&Channel::read_from(answer.bytes.as_slice()).unwrap())
    }
}

fn new_key(member: &Caller, scope: &str) -> Value {
    let body = json!({ "label": "Prowlarr", "scopes": [scope] });
    let made = member.post("/api/user/api-keys/", body);
    assert_eq!(made.status, 201, "{made:?}");
    made.json()
}

fn titles(channel: &Channel) -> Vec<String> {
    let title = |item: &Item| item.title().unwrap().to_owned();
    channel.items().iter().map(title).collect()
}

/// The values of a `torznab:attr`.
fn attribute<'i>(item: &'i Item, name: &str) -> Vec<&'i str> {
    item.extensions()["torznab"]["attr"]
        .iter()
        .filter(|attribute| attribute.attrs()["name"] == name)
        .map(|attribute| attribute.attrs()["value"].as_str())
        .collect()
}

fn is_refused(answer: &Answer, code: &str, words: &str) {
    assert_eq!(answer.status, 200, "{answer:?}");
    let kind = answer.header("content-type");
    assert_eq!(kind, "application/xml; charset=utf-8");
    let start = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><error code=\"{code}\" description=\"{words}"
    );
    assert!(answer.text.starts_with(&start), "{}", answer.text);
}

impl Caller {
    fn add(&self, name: &str, category: &str) -> String {
        let file = torrent(name);
        let made = self.form(&[
            ("file", &file),
            ("name", name.as_bytes()),
            ("category", category.as_bytes()),
        ]);
        assert_eq!(made.status, 201, "{made:?}");
        made.json()["info_hash"].as_str().unwrap().to_owned()
    }
}

fn what_there_is_to_ask_needs_no_key(database: Database) {
    let club = Club::open(database);
    for path in [
        "/torznab/api?t=caps",
        "/torznab/api/?t=caps",
        "/torznab/api?t=caps&apikey=wrong&extended=1",
    ] {
        let answer = club.anonymous().get(path);
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.header("content-type"),
            "application/xml; charset=utf-8"
        );
        let caps = answer.text;
        for part in [
            "<caps><server title=\"Purser\" version=\"",
            "<limits max=\"100\" default=\"100\"/>",
            "<registration available=\"no\" open=\"no\"/>",
            "<search available=\"yes\" supportedParams=\"q\"/>",
            "<tv-search available=\"yes\" supportedParams=\"q,season,ep\"/>",
            "<movie-search available=\"yes\" supportedParams=\"q\"/>",
            "<music-search available=\"no\"",
            "<category id=\"2000\" name=\"Movies\"></category>",
            "<category id=\"5000\" name=\"TV\"><subcat id=\"5070\" name=\"TV/Anime\"/></category>",
        ] {
            assert!(caps.contains(part), "{part}: {caps}");
        }
        assert_eq!(caps.matches("<category ").count(), 8);
    }
}

fn an_item_has_all_that_programs_read(database: Database) {
    let club = Club::open(database);
    let ann = club.somebody("ann", UserRole::Uploader);
    let hash = ann.add("Some Show S01E02 1080p", "anime");
    let program = Program::of(&club, &ann, "feeds");
    let key = club.site.create_user("bob");
    let announce = |port, rest: &str| {
        let rest = format!("{SOON}&{rest}");
        let reply = club
            .server
            .announce_when_known(&key, &percent(&hash), port, &rest);
        assert!(reply.contains("8:interval"), "{reply}");
    };
    announce(6881, "left=0&event=completed");
    announce(6882, "left=5&event=started");
    announce(6883, "left=5&event=started");
    let detail = format!("/api/torrents/{hash}/");
    let detail = crate::site::until(|| {
        club.site.run("update-stats");
        let detail = ann.get(&detail).json();
        (detail["leechers"] == 2 && detail["seeders"] == 1).then_some(detail)
    });

    let feed = program.feed("t=search&q=show");
    assert_eq!(feed.title(), "Purser");
    let base = &program.caller.base;
    assert_eq!(feed.link(), format!("{base}/"));
    let page = feed.extensions()["newznab"]["response"][0].attrs();
    assert_eq!(
        (page["offset"].as_str(), page["total"].as_str()),
        ("0", "1")
    );
    let own = feed.extensions()["atom"]["link"][0].attrs();
    let here = format!("{base}/torznab/api?apikey={}&t=search&q=show", program.key);
    assert_eq!((own["rel"].as_str(), &own["href"]), ("self", &here));
    let [item] = feed.items() else {
        panic!("{feed:?}")
    };
    assert_eq!(item.title(), Some("Some Show S01E02 1080p"));
    let guid = item.guid().unwrap();
    assert_eq!(guid.value(), format!("urn:btih:{hash}"));
    assert!(!guid.is_permalink());
    let link = format!(
        "{base}/api/torrents/{hash}/download/?apikey={}",
        program.key
    );
    assert_eq!(item.link(), Some(link.as_str()));
    let about = format!("{base}/api/torrents/{hash}/");
    assert_eq!(item.comments(), Some(about.as_str()));
    let published = jiff::fmt::rfc2822::parse(item.pub_date().unwrap()).unwrap();
    assert_eq!(
        published.timestamp().to_string(),
        detail["created_at"].as_str().unwrap()
    );
    assert!(item.pub_date().unwrap().ends_with(" +0000"));
    let enclosure = item.enclosure().unwrap();
    assert_eq!(enclosure.url(), link);
    assert_eq!(enclosure.length(), "1000");
    assert_eq!(enclosure.mime_type(), "application/x-bittorrent");
    assert_eq!(item.categories()[0].name(), "TV/Anime");
    for (name, values) in [
        ("category", &["5000", "5070"][..]),
        ("size", &["1000"]),
        ("seeders", &["1"]),
        ("peers", &["3"]),
        ("grabs", &["1"]),
        ("files", &["1"]),
        ("infohash", &[hash.as_str()]),
        ("downloadvolumefactor", &["1"]),
        ("uploadvolumefactor", &["1"]),
        // There are no such rules here.
        ("minimumratio", &[]),
        ("minimumseedtime", &[]),
    ] {
        assert_eq!(attribute(item, name), values, "{name}");
    }
}

fn a_link_needs_no_header_and_its_torrent_is_announced(database: Database) {
    let club = Club::open(database);
    let ann = club.somebody("ann", UserRole::Uploader);
    let bob = club.member("bob");
    let hash = ann.add("a film", "movies");
    let program = Program::of(&club, &bob, "feeds");
    let feed = program.feed("t=movie&q=film");
    let link = feed.items()[0].enclosure().unwrap().url();
    let path = link.strip_prefix(&program.caller.base).unwrap();
    let got = club.anonymous().get(path);
    assert_eq!(got.status, 200, "{got:?}");
    assert_eq!(got.header("content-type"), "application/x-bittorrent");
    assert_eq!(got.header("cache-control"), "no-store");
    // Whose it is, the announce shows: another download of bob's has the same token.
    let with_header = bob.get(&format!("/api/torrents/{hash}/download/"));
    assert_eq!(got.bytes, with_header.bytes);
    let (_, rest) = got.text.split_once("/announce/").unwrap();
    let key = rest.split("4:info").next().unwrap();
    let key = key.split_once("10:created by").map_or(key, |(key, _)| key);
    let reply =
        club.server
            .announce_when_known(key, &percent(&hash), 6881, &format!("{SOON}&left=0"));
    assert!(reply.contains("8:interval"), "{reply}");

    // A key in the address is the one that counts, and other paths don't look for one.
    let wrong = path.replace("apikey=purser_", "apikey=purser_9");
    bob.get(&wrong).is_problem(401, "unauthenticated");
    let elsewhere = format!("/api/torrents/{hash}/?apikey={}", program.key);
    club.anonymous()
        .get(&elsewhere)
        .is_problem(401, "unauthenticated");
    let writer = Program::of(&club, &bob, "write");
    let path = path.replace(&program.key, &writer.key);
    club.anonymous().get(&path).is_problem(403, "forbidden");
}

fn a_search_finds_what_programs_look_for(database: Database) {
    let club = Club::open(database);
    let ann = club.somebody("ann", UserRole::Uploader);
    for (name, category) in [
        ("Some.Show.S01E01.1080p", "tv"),
        ("Some.Show.S01E02.1080p", "tv"),
        ("Some.Show.S02E01.1080p", "tv"),
        ("Daily.Show.2024.05.17.720p", "tv"),
        ("Some Show S01E02 [Fansub]", "anime"),
        ("Some.Film.2024.1080p", "movies"),
        ("Some.Song.S01", "music"),
    ] {
        ann.add(name, category);
    }
    let program = Program::of(&club, &ann, "read");
    let (show, fansub) = ("Some.Show.S01E02.1080p", "Some Show S01E02 [Fansub]");
    for (query, found) in [
        ("t=search&q=some+show+s01e02", &[fansub, show][..]),
        ("t=search&q=song", &["Some.Song.S01"]),
        ("t=search&q=nothing", &[]),
        ("t=tvsearch&q=Some%20Show&season=1&ep=2", &[fansub, show]),
        ("t=tvsearch&q=Some+Show&season=01&ep=02&cat=5070", &[fansub]),
        (
            "t=tvsearch&q=Some+Show&season=2",
            &["Some.Show.S02E01.1080p"],
        ),
        ("t=tvsearch&season=1&ep=1", &["Some.Show.S01E01.1080p"]),
        (
            "t=tvsearch&q=daily+show&season=2024&ep=05/17",
            &["Daily.Show.2024.05.17.720p"],
        ),
        ("t=tvsearch&q=daily+show&season=2024&ep=05/18", &[]),
        ("t=movie&q=some", &["Some.Film.2024.1080p"]),
        ("t=search&cat=2000", &["Some.Film.2024.1080p"]),
        ("t=search&q=song&cat=2000,5000", &[]),
        (
            "t=search&q=some&cat=3000,2000",
            &["Some.Song.S01", "Some.Film.2024.1080p"],
        ),
        // What Sonarr has as its own categories at first, and more that it sends.
        (
            "t=tvsearch&cat=5030,5040&extended=1&apikey2=x&attrs=size&offset=0&limit=2&q=",
            &["Daily.Show.2024.05.17.720p", "Some.Show.S02E01.1080p"],
        ),
        ("t=search&cat=9999,100001", &[]),
        ("t=search&cat=none", &[]),
        // Names know of no ids.
        ("t=tvsearch&tvdbid=1234&rid=7", &[]),
        ("t=movie&imdbid=tt1234&q=film", &["Some.Film.2024.1080p"]),
    ] {
        assert_eq!(program.titles(query), found, "{query}");
    }
    assert_eq!(program.titles("t=search").len(), 7);
    assert_eq!(program.titles("t=tvsearch").len(), 5);
    assert_eq!(program.titles("t=search&cat=").len(), 7);
}

fn pages_go_on_by_offset(database: Database) {
    let club = Club::open(database);
    let ann = club.somebody("ann", UserRole::Uploader);
    for number in 1..=5 {
        let category = if number % 2 == 0 { "anime" } else { "tv" };
        ann.add(&format!("n{number}"), category);
    }
    let program = Program::of(&club, &ann, "feeds");
    let page = |query: &str| {
        let feed = program.feed(query);
        let response = feed.extensions()["newznab"]["response"][0].attrs().clone();
        let total = response.get("total").cloned();
        (titles(&feed), response["offset"].clone(), total)
    };
    for function in ["search", "tvsearch"] {
        let of = |n: &[&str]| n.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let rest = format!("t={function}&limit=2&offset=");
        assert_eq!(
            page(&format!("{rest}0")),
            (of(&["n5", "n4"]), "0".into(), None)
        );
        assert_eq!(
            page(&format!("{rest}2")),
            (of(&["n3", "n2"]), "2".into(), None)
        );
        assert_eq!(
            page(&format!("{rest}4")),
            (of(&["n1"]), "4".into(), Some("5".into()))
        );
        assert_eq!(page(&format!("{rest}6")), (of(&[]), "6".into(), None));
        assert_eq!(page(&format!("{rest}5000")), (of(&[]), "5000".into(), None));
        is_refused(
            &program.ask(&format!("{rest}5001")),
            "201",
            "Incorrect parameter: offset: at most 5000",
        );
    }
    // As many as there are, if that is as many as there may be.
    assert_eq!(page("t=search&limit=100000").2, Some("5".into()));
    assert_eq!(page("t=search&limit=0").0.len(), 5);
}

fn refusals_say_why_in_newznabs_codes(database: Database) {
    let club = Club::open(database);
    let ann = club.member("ann");
    let made = new_key(&ann, "feeds");
    let key = made["api_key"].as_str().unwrap();
    let program = Program {
        caller: club.anonymous(),
        key: key.to_owned(),
    };
    let anonymous = club.anonymous();
    is_refused(
        &anonymous.get("/torznab/api"),
        "200",
        "Missing parameter: t\"",
    );
    is_refused(
        &anonymous.get("/torznab/api?t=search"),
        "200",
        "Missing parameter\"",
    );
    is_refused(&program.ask("t=nothing"), "202", "No such function\"");
    is_refused(&program.ask("t=music"), "203", "Function not available\"");
    for wrong in [
        "t=search&limit=x",
        "t=search&limit=-1",
        "t=search&offset=-1",
        "t=tvsearch&season=x",
        "t=tvsearch&season=1&ep=02/22",
        "t=search&q=a&q=b",
        &format!("t=search&q={}", "x".repeat(201)),
    ] {
        is_refused(&program.ask(wrong), "201", "Incorrect parameter: ");
    }
    let credentials = "Incorrect user credentials\"";
    for wrong in ["", "x", &key[..key.len() - 1], &key.replace("purser_", "")] {
        let answer = anonymous.get(&format!("/torznab/api?t=search&apikey={wrong}"));
        is_refused(&answer, "100", credentials);
        let answer = anonymous.get(&format!("/rss/?apikey={wrong}"));
        answer.is_problem(401, "unauthenticated");
    }
    // A login would leave with its links.
    is_refused(&ann.get("/torznab/api?t=search"), "100", credentials);
    ann.get("/rss/").is_problem(401, "unauthenticated");
    anonymous.get("/rss/").is_problem(401, "unauthenticated");
    let as_bearer = anonymous.with(key);
    assert!(
        as_bearer
            .get("/torznab/api?t=search")
            .text
            .contains("<rss ")
    );
    assert_eq!(as_bearer.get("/rss").status, 200);
    let writer = Program::of(&club, &ann, "write");
    is_refused(
        &writer.ask("t=search"),
        "102",
        "Insufficient privileges/not authorized: this API key hasn&apos;t the scope `feeds` or `read`",
    );
    writer.rss("").is_problem(403, "forbidden");

    assert_eq!(program.titles("t=search"), [""; 0]);
    let other = Program::of(&club, &ann, "feeds");
    let path = format!("/api/user/api-keys/{}/", made["id"]);
    assert_eq!(ann.delete(&path).status, 204);
    is_refused(&program.ask("t=search"), "100", credentials);
    let path = format!("/api/admin/users/{}/", ann.id());
    let disabled = club.admin().patch(&path, json!({ "status": "disabled" }));
    assert_eq!(disabled.status, 200, "{disabled:?}");
    is_refused(
        &other.ask("t=search"),
        "100",
        "Incorrect user credentials\"",
    );
    other.rss("").is_problem(401, "unauthenticated");
}

fn only_open_torrents_are_in_feeds(database: Database) {
    let club = Club::open(database);
    let ann = club.somebody("ann", UserRole::Uploader);
    let staff = club.staff("sue");
    let hashes = ["open", "pending", "closed", "deleted"].map(|name| ann.add(name, "tv"));
    let path = |n: usize| format!("/api/torrents/{}/", hashes[n]);
    for (n, status) in [(1, "pending"), (2, "closed")] {
        let changed = staff.patch(&path(n), json!({ "status": status }));
        assert_eq!(changed.status, 200, "{changed:?}");
    }
    assert_eq!(staff.delete(&path(3)).status, 204);
    for member in [&ann, &staff] {
        let program = Program::of(&club, member, "feeds");
        assert_eq!(program.titles("t=search"), ["open"]);
        assert_eq!(program.titles("t=tvsearch&cat=5000"), ["open"]);
        assert_eq!(program.rss_titles(""), ["open"]);
        assert_eq!(program.rss_titles("uploader=ann"), ["open"]);
    }
}

fn no_name_breaks_a_feed(database: Database) {
    let club = Club::open(database);
    let ann = club.somebody("ann", UserRole::Uploader);
    let hash = ann.add("plain", "other");
    let program = Program::of(&club, &ann, "feeds");
    for (name, shown) in [
        ("<b>&amp; \"quoted\" 'x' ]]></title>", None),
        (
            "🦊 שלום עולם \u{202e}gnp.exe 東京 👩\u{200d}👩\u{200d}👧",
            None,
        ),
        ("con\u{1}trol\u{1b}[31m\u{fffe}", Some("control[31m")),
    ] {
        let quoted = name.replace('\'', "''");
        let rows: Vec<(i64,)> = club.site.rows(&format!(
            "update torrents set name = '{quoted}' returning cast(id as bigint)"
        ));
        assert_eq!(rows.len(), 1);
        let shown = [shown.unwrap_or(name)];
        assert_eq!(program.titles("t=search"), shown);
        assert_eq!(program.rss_titles(""), shown);
    }
    // What is asked comes back in the feed's own address.
    let asked = "t=search&q=%3C/rss%3E&\"'<&x=\u{1}";
    let encoded = asked
        .replace('"', "%22")
        .replace('<', "%3C")
        .replace('\u{1}', "%01");
    let feed = program.feed(&encoded);
    let own = &feed.extensions()["atom"]["link"][0].attrs()["href"];
    assert!(own.ends_with(&encoded), "{own}");
    assert!(hash.len() == 40);
}

fn rss_is_narrowed_and_says_when_nothing_has_changed(database: Database) {
    let club = Club::open(database);
    let (ann, bob) = (
        club.somebody("ann", UserRole::Uploader),
        club.somebody("bob", UserRole::Uploader),
    );
    ann.add("first film", "movies");
    bob.add("second film", "movies");
    ann.add("third show", "tv");
    let program = Program::of(&club, &bob, "feeds");
    for (query, found) in [
        ("", &["third show", "second film", "first film"][..]),
        ("search=film", &["second film", "first film"]),
        ("category=movies&uploader=ANN", &["first film"]),
        ("uploader=nobody", &[]),
        ("uploader=%00", &[]),
        ("limit=1&_=123", &["third show"]),
    ] {
        assert_eq!(program.rss_titles(query), found, "{query}");
    }
    program.rss("limit=0").minds(&["limit"]);
    program.rss("limit=201").minds(&["limit"]);
    program.rss("category=none").minds(&["category"]);
    let long = format!("search={}", "x".repeat(201));
    program.rss(&long).minds(&["search"]);

    let answer = program.rss("");
    let kind = answer.header("content-type");
    assert_eq!(kind, "application/rss+xml; charset=utf-8");
    assert_eq!(answer.header("cache-control"), "private, no-cache");
    let feed = Channel::read_from(answer.bytes.as_slice()).unwrap();
    let base = &program.caller.base;
    let own = feed.extensions()["atom"]["link"][0].attrs();
    let here = format!("{base}/rss/?apikey={}&", program.key);
    assert_eq!((own["rel"].as_str(), &own["href"]), ("self", &here));
    let item = &feed.items()[0];
    let enclosure = item.enclosure().unwrap();
    assert_eq!(enclosure.mime_type(), "application/x-bittorrent");
    assert_eq!(item.link(), Some(enclosure.url()));
    let path = enclosure.url().strip_prefix(base).unwrap();
    assert_eq!(club.anonymous().get(path).status, 200);
    assert!(jiff::fmt::rfc2822::parse(item.pub_date().unwrap()).is_ok());

    let tag = answer.header("etag");
    let again = |tag: &str| {
        let path = format!("/rss/?apikey={}&", program.key);
        let known = [("if-none-match", tag)];
        program.caller.call("GET", &path, &known, Vec::new())
    };
    let same = again(tag);
    assert_eq!((same.status, same.text.as_str()), (304, ""));
    ann.add("fourth", "tv");
    assert_eq!(again(tag).status, 200);
}

/// The links of a feed that is asked for with these headers begin so.
fn base(club: &Club, headers: &[(&str, &str)]) -> String {
    let ann = club.somebody("ann", UserRole::Uploader);
    ann.add("a", "tv");
    let program = Program::of(club, &ann, "feeds");
    let path = format!("/rss/?apikey={}", program.key);
    let answer = program.caller.call("GET", &path, headers, Vec::new());
    assert_eq!(answer.status, 200, "{answer:?}");
    let feed = Channel::read_from(answer.bytes.as_slice()).unwrap();
    let link = feed.items()[0].link().unwrap();
    link.split_once("/api/").unwrap().0.to_owned()
}

#[test]
fn links_lead_where_the_feed_was_asked_for_or_where_the_operator_says() {
    let sqlite = |env: &[(&str, &str)]| Club::open_with(Database::Sqlite, env);
    let asked = [
        ("host", "api.example.org:8443"),
        ("x-forwarded-proto", "https"),
    ];
    let club = sqlite(&[]);
    assert_eq!(base(&club, &asked), "http://api.example.org:8443");
    let trusted = ("PURSER__TRACKER__TRUSTED_PROXIES", "127.0.0.1");
    let club = sqlite(&[trusted]);
    assert_eq!(base(&club, &asked), "https://api.example.org:8443");
    let told = ("PURSER__API__PUBLIC_URL", "https://torrents.example.org/x/");
    let club = sqlite(&[told]);
    assert_eq!(base(&club, &asked), "https://torrents.example.org/x");
    let allowed = ("PURSER__API__ALLOWED_HOSTS", "api.example.org");
    let club = sqlite(&[allowed]);
    let agent = club.anonymous();
    agent
        .get("/torznab/api?t=search")
        .is_problem(421, "wrong-host");
    let odd = [("host", "a/b@c")];
    let club = sqlite(&[]);
    let answer = club.anonymous().call("GET", "/rss/", &odd, Vec::new());
    assert_eq!(answer.status, 400, "{answer:?}");
}

#[test]
fn a_key_in_an_address_is_in_no_log() {
    let everything = "info,api_server=trace,axum=trace,hyper=trace,hyper_util=trace,tower=trace,\
                      tower_http=trace,purser=trace";
    let club = Club::open_with(Database::Sqlite, &[("PURSER__LOG__FILTER", everything)]);
    let ann = club.somebody("ann", UserRole::Uploader);
    let hash = ann.add("a", "tv");
    let program = Program::of(&club, &ann, "feeds");
    assert_eq!(program.titles("t=search"), ["a"]);
    program.ask("t=search&limit=x&q=a&q=b");
    program.rss("limit=x");
    let path = format!("/api/torrents/{hash}/download/?apikey={}", program.key);
    assert_eq!(club.anonymous().get(&path).status, 200);
    club.server.signal(rustix::process::Signal::TERM);
    let (_, log) = club.server.ended();
    assert!(log.contains("purser") && !log.is_empty());
    assert!(!log.contains("apikey"), "{log}");
    let secret = program.key.rsplit('_').next().unwrap();
    assert!(!log.contains(secret), "{log}");
}
