//! The job `expiry`: what is over goes, and what it came to stays.

use serde_json::json;

use crate::people::Club;
use crate::shop::{buy, rich};
use crate::site::{Database, until};

on_both_databases!(
    what_is_over_goes_and_accounts_stay,
    nothing_is_pruned_that_is_kept_for_ever,
);

/// Seven bytes and ten minutes of seeding, long ago.
fn ann_seeded(club: &Club) -> crate::people::Caller {
    let ann = rich(club, "ann", 1_000_000);
    let hash = club.site.add_torrent();
    let made = ann.post("/api/user/tokens/", json!({})).json();
    let key = made["token"].as_str().unwrap();
    let announce = |rest: &str| club.server.announce_when_known(key, &hash, 6881, rest);
    announce("uploaded=0&downloaded=0&left=0&event=started");
    announce("uploaded=7&downloaded=0&left=0&event=stopped");
    until(|| {
        let stats = ann.get("/api/user/stats/").json();
        (stats["uploaded"] == 7).then_some(())
    });
    for sql in [
        "update sessions set seeded_secs = 600, announced_at = 1 returning user_id",
        "update traffic set hour = 1 returning hour",
    ] {
        let rows: Vec<(i64,)> = club.site.rows(sql);
        assert_eq!(rows.len(), 1, "{sql}");
    }
    ann
}

fn what_is_over_goes_and_accounts_stay(database: Database) {
    let club = Club::open(database);
    let ann = ann_seeded(&club);
    let token = buy(&ann, "freeleech-token", json!({}));
    assert_eq!(token.status, 201, "{token:?}");
    let soon = "update bought_tokens set expires_at = bought_at + 86400 returning id";
    let _: Vec<(i64,)> = club.site.rows(soon);
    let _: Vec<(i64,)> = club
        .site
        .rows("update users set invites = 1 where username = 'ann' returning id");
    let code = ann.post("/api/user/invites/", json!({ "expires_in": 3600 }));
    assert_eq!(code.status, 201, "{code:?}");
    let _: Vec<(i64,)> = club
        .site
        .rows("update invites set expires_at = 1 where cost > 0 returning id");
    assert_eq!(ann.get("/api/user/profile/").json()["invites"], 0);
    let before = ann.get("/api/user/stats/").json();
    assert_eq!(before["seed_time_secs"], 600);
    assert_eq!(ann.all("/api/user/announces/").len(), 1);

    club.site.run("update-stats");
    club.site.run("update-stats");

    let after = ann.get("/api/user/stats/").json();
    for same in ["uploaded", "downloaded", "seed_time_secs", "hit_and_runs"] {
        assert_eq!(after[same], before[same], "{same}");
    }
    assert_eq!(ann.all("/api/user/announces/").len(), 0);
    let traffic: Vec<(i64,)> = club.site.rows("select count(*) from traffic");
    assert_eq!(traffic, [(0,)]);
    assert_eq!(ann.get("/api/user/profile/").json()["invites"], 1);
    let told = ann.all("/api/user/notifications/");
    let tokens: Vec<_> = told.iter().filter(|told| told["kind"] == "token").collect();
    assert_eq!(tokens.len(), 1, "{told:?}");
    // The second run found nothing more.
    let jobs = club.admin().get("/api/admin/jobs/").json();
    let jobs = jobs["results"].as_array().unwrap();
    let expiry = jobs.iter().find(|job| job["name"] == "expiry").unwrap();
    assert_eq!(expiry["schedule"], "35 3 * * *");
    assert_eq!(
        expiry["last_run"]["report"],
        "0 tokens about to expire, 0 expired invites given back, 0 rows of what is over, 0 sessions and 0 rows of \
         traffic deleted"
    );
}

fn nothing_is_pruned_that_is_kept_for_ever(database: Database) {
    let club = Club::open_with(
        database,
        &[
            ("PURSER__API__REQUESTS_PER_MINUTE", "0"),
            ("PURSER__PERSISTER__RETENTION_DAYS", "0"),
        ],
    );
    let ann = ann_seeded(&club);
    club.site
        .write("config.toml", "[persister]\nretention_days = 0\n");
    club.site.run("update-stats");
    assert_eq!(ann.all("/api/user/announces/").len(), 1);
    let traffic: Vec<(i64,)> = club.site.rows("select count(*) from traffic");
    assert_eq!(traffic, [(1,)]);
}
