//! What members took and haven't given back, and what it takes to rise.

use serde_json::{Value, json};

use crate::people::{Caller, Club};
use crate::shop::{buy, rich};
use crate::site::{Database, Site, until};

on_both_databases!(
    a_snatch_is_open_warned_and_a_hit_and_run_until_it_is_settled,
    what_is_owed_comes_in_pages_the_oldest_first,
    classes_say_what_they_ask_for_and_give,
    a_member_sees_what_is_missing_for_the_next_class,
);

const OWED: &str = "/api/user/hit-and-runs/";
const DAY: u32 = 86_400;

fn owed(who: &Caller) -> Vec<Value> {
    who.all(&format!("{OWED}?limit=2"))
}

fn hit_and_runs(who: &Caller) -> Value {
    who.get("/api/user/stats/").json()["hit_and_runs"].clone()
}

fn a_snatch_is_open_warned_and_a_hit_and_run_until_it_is_settled(database: Database) {
    let club = Club::open(database);
    let ann = rich(&club, "ann", 3_000_000);
    let made = ann.post("/api/user/tokens/", json!({})).json();
    let key = made["token"].as_str().unwrap();
    let hash = club.site.add_torrent();
    assert_eq!((owed(&ann), hit_and_runs(&ann)), (vec![], json!(0)));
    let announce = |rest: &str| club.server.announce_when_known(key, &hash, 6881, rest);
    announce("uploaded=0&downloaded=0&left=100&event=started");
    announce("uploaded=7&downloaded=100&left=0&event=completed");
    let open = until(|| owed(&ann).pop());
    let size = open["size"].as_u64().unwrap();
    assert_eq!(open["info_hash"], hash.replace('%', ""));
    assert_eq!(
        (&open["state"], &open["uploaded"]),
        (&json!("open"), &json!(7))
    );
    assert_eq!(
        (&open["seeded_secs"], &open["missing_secs"]),
        (&json!(0), &json!(72 * 3600))
    );
    assert_eq!(
        (&open["missing_bytes"], &open["is_seeding"]),
        (&json!(size - 7), &json!(true))
    );
    let ago = |secs: u32| {
        let rows: Vec<(i64,)> = club.site.rows(&format!(
            "update snatches set completed_at = completed_at - {secs} returning user_id"
        ));
        assert_eq!(rows.len(), 1);
        owed(&ann)[0]["state"].clone()
    };
    assert_eq!(ago(11 * DAY + 60), "warned");
    // She is seeding.
    assert_eq!(ago(3 * DAY), "warned");
    assert_eq!(hit_and_runs(&ann), 0);
    announce("uploaded=7&downloaded=100&left=0&event=stopped");
    until(|| (owed(&ann)[0]["state"] == "hit_and_run").then_some(()));
    assert_eq!(hit_and_runs(&ann), 1);
    let class = ann.get("/api/credits/class/").json();
    assert_eq!(class["standing"]["open_hit_and_runs"], 1);
    // Others have nothing to do with it.
    let bob = rich(&club, "bob", 3_000_000);
    assert_eq!((owed(&bob), hit_and_runs(&bob)), (vec![], json!(0)));
    let body = json!({ "info_hash": hash.replace('%', "") });
    let settle = |who: &Caller| buy(who, "settle-hit-and-run", body.clone());
    settle(&bob).is_problem(409, "conflict");
    let settled = settle(&ann);
    assert_eq!(settled.status, 201, "{settled:?}");
    assert_eq!(settled.json()["transaction"]["amount_milli"], -2_000_000);
    assert_eq!((owed(&ann), hit_and_runs(&ann)), (vec![], json!(0)));
    let problem = settle(&ann).is_problem(409, "conflict");
    assert_eq!(problem["detail"], "you owe this torrent nothing");
    club.anonymous()
        .get(OWED)
        .is_problem(401, "unauthenticated");
}

fn what_is_owed_comes_in_pages_the_oldest_first(database: Database) {
    let club = Club::open(database);
    let ann = club.member("ann");
    club.site.add_torrent();
    let id = ann.id();
    let now: Vec<(i64,)> = club.site.rows("select created_at from torrents");
    for number in 1..=5_i64 {
        let hash = format!("{number:02}").repeat(20);
        let literal = match database {
            Database::Sqlite => format!("x'{hash}'"),
            Database::Postgres => format!("decode('{hash}', 'hex')"),
        };
        let torrents: Vec<(i64,)> = club.site.rows(&format!(
            "insert into torrents (info_hash, name, size, piece_length, file_count, private, status, created_at)
             values ({literal}, 'x', 1, 1, 1, 1 = 1, 'open', 1) returning id"
        ));
        // Two at the same moment.
        let at = now[0].0 - number / 2;
        let _: Vec<(i64,)> = club.site.rows(&format!(
            "insert into snatches (user_id, torrent_id, completed_at) values ({id}, {}, {at}) returning user_id",
            torrents[0].0
        ));
    }
    let first = |rows: Vec<Value>| -> Vec<String> {
        let first = |row: &Value| row["info_hash"].as_str().unwrap()[..2].to_owned();
        rows.iter().map(first).collect()
    };
    assert_eq!(first(owed(&ann)), ["04", "05", "02", "03", "01"]);
    assert_eq!(
        first(ann.all(&format!("{OWED}?limit=200"))),
        ["04", "05", "02", "03", "01"]
    );
    ann.get(&format!("{OWED}?limit=0")).minds(&["limit"]);
    ann.get(&format!("{OWED}?cursor=x")).minds(&["cursor"]);
}

fn classes_say_what_they_ask_for_and_give(database: Database) {
    // With the defaults.
    let site = Site::new(database);
    let server = site.start("serve");
    let club = Club { site, server };
    let classes = club.member("ann").get("/api/credits/user-classes/").json();
    let (newbie, trusted) = (&classes["results"][0], &classes["results"][2]);
    assert_eq!(newbie["thresholds"]["min_uploaded"], 0);
    assert_eq!(newbie["privileges"]["download_slots"], 10);
    assert_eq!(
        trusted["thresholds"],
        json!({
            "min_age_days": 60, "min_uploaded": 250_u64 << 30, "min_ratio_milli": 1050, "min_seed_hours": 720,
            "min_torrents": 0, "no_open_hit_and_run": true,
        })
    );
    assert_eq!(
        trusted["privileges"],
        json!({
            "download_slots": 100, "invites": 2, "upload_percent": 105, "token_days": 180, "requests_per_minute": 300,
        })
    );
}

fn a_member_sees_what_is_missing_for_the_next_class(database: Database) {
    let club = Club::open(database);
    let ann = club.member("ann");
    let class = || ann.get("/api/credits/class/").json();
    assert_eq!(
        class(),
        json!({
            "name": "newbie",
            "standing": {
                "age_days": 0, "uploaded": 0, "ratio_milli": null, "seed_hours": 0, "torrents": 0, "open_hit_and_runs": 0,
            },
            "next": {
                "name": "member",
                "missing": [
                    { "what": "age_days", "have": 0, "need": 7 },
                    { "what": "uploaded", "have": 0, "need": 10_u64 << 30 },
                ],
            },
        })
    );
    let _: Vec<(i64,)> = club.site.rows(
        "update users set class = 'elite', uploaded = 5, credited_uploaded = 10, credited_downloaded = 3,
            created_at = created_at - 86400
         where username = 'ann' returning id",
    );
    let elite = class();
    assert_eq!(
        (&elite["name"], &elite["next"]),
        (&json!("elite"), &Value::Null)
    );
    assert_eq!(elite["standing"]["age_days"], 1);
    assert_eq!(
        (
            &elite["standing"]["uploaded"],
            &elite["standing"]["ratio_milli"]
        ),
        (&json!(5), &json!(3333))
    );
    club.anonymous()
        .get("/api/credits/class/")
        .is_problem(401, "unauthenticated");
}
