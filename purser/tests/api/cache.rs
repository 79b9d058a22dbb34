//! Answers that are kept for some seconds, alone and shared by processes.

use crate::people::{Caller, Club, PASSWORD, patient_site};
use crate::redis::Redis;
use crate::site::{Database, Site, until};

/// How many torrents somebody finds among the popular ones.
fn popular(caller: &Caller) -> usize {
    let answer = caller.get("/api/torrents/popular/");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["results"].as_array().unwrap().len()
}

/// Registers one more, of which no API process hears.
fn one_more(site: &Site) {
    let count: Vec<(i64,)> = site.rows("select count(*) from torrents");
    let (count,) = count[0];
    let hash = match site.database_url().starts_with("sqlite:") {
        true => format!("cast('{count:020}' as blob)"),
        false => format!("cast('{count:020}' as bytea)"),
    };
    let _: Vec<(i64,)> = site.rows(&format!(
        "insert into torrents (info_hash, name, size, piece_length, file_count, private, status, created_at)
         values ({hash}, 'another', 1, 16384, 1, {private}, 'open', 1) returning id",
        private = if hash.ends_with("blob)") { "1" } else { "true" },
    ));
}

#[test]
fn what_is_kept_grows_old_and_is_counted_again() {
    let club = Club::open_with(
        Database::Sqlite,
        &[("PURSER__API__REQUESTS_PER_MINUTE", "0")],
    );
    let ann = club.member("ann");
    for number in 0..2 {
        until(|| (popular(&ann) == number).then_some(()));
        one_more(&club.site);
    }
    until(|| (popular(&ann) == 2).then_some(()));
}

#[test]
#[ignore = "needs PURSER_TEST_POSTGRES, which scripts/test sets, and redis-server"]
fn two_api_processes_show_what_one_has_found_out_and_go_on_without_redis() {
    let mut redis = Redis::start();
    let url = redis.url();
    let site = patient_site(Database::Postgres);
    let env = [
        ("REDIS_URL", url.as_str()),
        ("PURSER__API__REQUESTS_PER_MINUTE", "0"),
    ];
    let server = site.start_with("api", &env);
    let code = site.run("create-invite");
    let first = Caller::at(&server);
    assert_eq!(first.register("ann", &code).status, 201);
    let first = first.logged_in("ann", PASSWORD);
    let bearer = first.bearer.clone().unwrap();
    // One that has just started can only know from the other how many there were before the last one came. Between the two
    // the answer may have become too old: then it is tried again.
    let try_to_share = |known: usize| {
        until(|| (popular(&first) == known).then_some(()));
        one_more(&site);
        let server = site.start_with("api", &env);
        let second = Caller::at(&server).with(&bearer);
        (popular(&second) == known).then_some((known + 1, second, server))
    };
    let (all, second, _server) = (0..3).find_map(try_to_share).unwrap();
    redis.kill();
    for caller in [&first, &second] {
        until(|| (popular(caller) == all).then_some(()));
    }
    one_more(&site);
    for caller in [&first, &second] {
        until(|| (popular(caller) == all + 1).then_some(()));
    }
}
