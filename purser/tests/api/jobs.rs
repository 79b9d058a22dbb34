//! What is done now and then: from announces to entries, and what admins see of it.

use serde_json::{Value, json};

use crate::people::{Caller, Club, PATIENT};
use crate::site::{Database, until};

on_both_databases!(
    traffic_and_seeding_come_to_the_account_once,
    the_policy_and_what_admins_set_are_what_it_is_worth,
    a_serving_process_runs_them_by_itself,
    admins_see_how_jobs_went,
    a_job_that_fails_says_why_and_the_others_run,
);

const GIB: u64 = 1 << 30;

/// A torrent that is worth something, from which Ann has two GiB and to which she gave three, three hours ago.
fn ann_shares(club: &Club) -> Caller {
    let ann = club.member("ann");
    let hash = club.site.add_torrent();
    let made = ann.post("/api/user/tokens/", json!({})).json();
    let key = made["token"].as_str().unwrap();
    let announce = |uploaded: u64, downloaded: u64, rest: &str| {
        let rest = format!("uploaded={uploaded}&downloaded={downloaded}&{rest}");
        club.server.announce_when_known(key, &hash, 6881, &rest);
    };
    announce(0, 0, "left=9&event=started");
    announce(3 * GIB, 2 * GIB, "left=0&event=completed");
    until(|| {
        let stats = ann.get("/api/user/stats/").json();
        (stats["seeding"] == 1 && stats["uploaded"] == 3 * GIB).then_some(())
    });
    let _: Vec<(i64,)> = club
        .site
        .rows("update torrents set size = 10737418240 returning id");
    let moved: Vec<(i64,)> = club
        .site
        .rows("update traffic set hour = hour - 3 returning hour");
    assert_eq!(moved.len(), 1);
    let _: Vec<(i64,)> = club.site.rows(
        "update users set unsettled_since = unsettled_since - 3 where unsettled_since is not null returning id",
    );
    ann
}

fn balance(member: &Caller) -> i64 {
    let balance = member.get("/api/credits/balance/").json();
    balance["credits_milli"].as_i64().unwrap()
}

/// Kinds and amounts, by kind: the order of jobs isn't promised.
fn entries(member: &Caller) -> Vec<(String, i64)> {
    let mut entries: Vec<_> = member
        .all("/api/credits/transactions/")
        .iter()
        .map(|entry| {
            let kind = entry["kind"].as_str().unwrap().to_owned();
            (kind, entry["amount_milli"].as_i64().unwrap())
        })
        .collect();
    entries.sort();
    entries
}

fn expected(entries: &[(&str, i64)]) -> Vec<(String, i64)> {
    let owned = entries
        .iter()
        .map(|(kind, milli)| ((*kind).to_owned(), *milli));
    owned.collect()
}

fn traffic_and_seeding_come_to_the_account_once(database: Database) {
    let club = Club::open(database);
    let ann = ann_shares(&club);
    club.site.run("update-stats");
    // Three credits, and 10 GiB of a new torrent that nobody else seeds: three times 200 thousandths each, but
    // for what the three credits take of it, 3 of 8000.
    let once = expected(&[("seeding", 5997), ("upload", 3000)]);
    assert_eq!(entries(&ann), once);
    assert_eq!(balance(&ann), 8997);
    let listed = ann.all("/api/credits/transactions/");
    let upload = listed.iter().find(|entry| entry["kind"] == "upload");
    let note = upload.unwrap()["note"].as_str().unwrap();
    assert!(note.starts_with("3.0 GiB in 1 torrent, 20"), "{note}");
    assert!(note.ends_with(":00 UTC"), "{note}");
    assert_eq!(upload.unwrap()["info_hash"], Value::Null);
    // The same hour, unless it ends just now: then seeding in the next is paid too.
    club.site.run("update-stats");
    let uploads: Vec<_> = entries(&ann)
        .into_iter()
        .filter(|(kind, _)| kind == "upload")
        .collect();
    assert_eq!(uploads, expected(&[("upload", 3000)]));
    let hours: Vec<(i64,)> = club
        .site
        .rows("select count(*) from credit_entries group by user_id, kind, note");
    assert!(hours.iter().all(|(count,)| *count == 1), "{hours:?}");
    let sums: Vec<(i64,)> = club.site.rows(
        "select users.credits_milli - cast(sum(credit_entries.amount_milli) as bigint)
         from users join credit_entries on credit_entries.user_id = users.id
         group by users.id",
    );
    assert_eq!(sums, [(0,)]);
}

fn the_policy_and_what_admins_set_are_what_it_is_worth(database: Database) {
    let site = crate::site::Site::new(database);
    let dear = "[earning]\ndownload_milli_per_gib = 250\n[seeding]\nbase_milli_per_hour = 0\n";
    site.write("economy.toml", &format!("{dear}{PATIENT}"));
    site.write("config.toml", "[credits]\npolicy = \"economy.toml\"\n");
    let server = site.start("serve");
    let club = Club { site, server };
    let admin = club.admin();
    let patch = json!({ "credits": { "multiplier": 1.5 } });
    let answer = admin.patch("/api/admin/system-config/", patch);
    assert_eq!(answer.status, 200, "{answer:?}");
    let ann = ann_shares(&club);
    club.site.run("update-stats");
    assert_eq!(
        entries(&ann),
        expected(&[("download", -500), ("upload", 4500)])
    );
    assert_eq!(balance(&ann), 4000);
}

fn a_serving_process_runs_them_by_itself(database: Database) {
    let club = Club::open(database);
    ann_shares(&club);
    let Club { site, server } = club;
    server.stop();
    // As if none had run yet.
    let _: Vec<(String,)> = site.rows("delete from jobs returning name");
    let server = site.start("api");
    let credits = "select credits_milli from users where username = 'ann'";
    until(|| (site.rows::<(i64,)>(credits)[0].0 >= 3000).then_some(()));
    until(|| {
        let held = site.rows::<(i64,)>("select count(*) from jobs where outcome = 'done'");
        (held[0].0 == 6).then_some(())
    });
    server.stop();
}

fn admins_see_how_jobs_went(database: Database) {
    let club = Club::open(database);
    let (ann, admin, staff) = (club.member("ann"), club.admin(), club.staff("sam"));
    for (who, status, kind) in [
        (&club.anonymous(), 401, "unauthenticated"),
        (&ann, 403, "forbidden"),
        (&staff, 403, "forbidden"),
    ] {
        who.get("/api/admin/jobs/").is_problem(status, kind);
    }
    club.site.run("update-stats");
    let jobs = admin.get("/api/admin/jobs/").json();
    let jobs = jobs["results"].as_array().unwrap();
    let names: Vec<_> = jobs.iter().map(|job| job["name"].clone()).collect();
    assert_eq!(
        names,
        ["peers", "settle", "seeding", "conduct", "expiry", "mail"]
    );
    assert_eq!(jobs[1]["schedule"], "10 * * * *");
    let next = jobs[1]["next_at"].as_str().unwrap();
    assert!(next.ends_with(":10:00Z"), "{next}");
    for job in jobs {
        let run = &job["last_run"];
        assert_eq!(run["outcome"], "done", "{job}");
        assert!(run["duration_ms"].is_u64(), "{job}");
        assert!(run["started_at"].is_string(), "{job}");
        assert!(!run["report"].as_str().unwrap().is_empty(), "{job}");
        assert!(job["is_running"].is_boolean(), "{job}");
    }
}

fn a_job_that_fails_says_why_and_the_others_run(database: Database) {
    let club = Club::open(database);
    let ann = ann_shares(&club);
    let _: Vec<(i64,)> = club
        .site
        .rows("update users set class = 'king' where username = 'ann' returning id");
    let line = club.site.run_badly("--json update-stats", &[]);
    assert_eq!(line, "purser: failed: conduct");
    let runs: Vec<(String, String)> = club
        .site
        .rows("select name, report from jobs where outcome = 'failed' order by name");
    assert_eq!(runs[0].0, "conduct");
    for (_, report) in &runs {
        assert!(
            report.contains("users.class") && report.contains("king"),
            "{report}"
        );
    }
    let _: Vec<(i64,)> = club
        .site
        .rows("update users set class = 'newbie' where username = 'ann' returning id");
    club.site.run("update-stats");
    assert_eq!(
        entries(&ann),
        expected(&[("seeding", 5997), ("upload", 3000)])
    );
}
