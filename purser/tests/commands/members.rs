//! Administrators, members, invites and tokens, from an empty folder.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};

use crate::sandbox::Sandbox;

const PASSKEY: &str = "00112233445566778899aabbccddeeff";

/// One value from the sandbox's database, as text; a missing row is no value either.
fn select(sandbox: &Sandbox, sql: &'static str) -> Option<String> {
    in_database(sandbox, async |database| {
        let value: Option<Option<String>> = sqlx::query_scalar(sql)
            .fetch_optional(database)
            .await
            .unwrap();
        value.flatten()
    })
}

pub(crate) fn execute(sandbox: &Sandbox, sql: &'static str) {
    in_database(sandbox, async |database| {
        sqlx::query(sql).execute(database).await.unwrap()
    });
}

fn in_database<T>(sandbox: &Sandbox, work: impl AsyncFnOnce(&mut SqliteConnection) -> T) -> T {
    let url = format!("sqlite:{}", sandbox.path("data/purser.db").display());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut database = SqliteConnection::connect(&url).await.unwrap();
        let result = work(&mut database).await;
        database.close().await.unwrap();
        result
    })
}

#[test]
fn the_first_command_makes_a_private_folder_a_key_and_a_database() {
    let sandbox = Sandbox::new();
    let url = sandbox.good("create-user --username Ann_1");
    let token = url
        .trim_end()
        .strip_prefix("http://localhost:6969/announce/")
        .unwrap();
    assert_eq!(token.len(), 44, "{url}");
    let mode = |name: &str| {
        fs::metadata(sandbox.path(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode("data"), 0o700);
    assert_eq!(mode("data/token.key"), 0o600);
    assert_eq!(
        select(&sandbox, "select label from tokens").as_deref(),
        Some("default")
    );
    assert_eq!(select(&sandbox, "select password_hash from users"), None);

    let other = sandbox.good("create-token --user ann_1");
    assert_ne!(url, other, "a fresh token");
}

#[test]
fn a_member_brought_over_keeps_their_passkey() {
    let sandbox = Sandbox::new();
    let args = format!(
        "create-user --username ann --class Elite --passkey {PASSKEY} --set tracker.public_url=https://t.org"
    );
    assert_eq!(
        sandbox.good(&args),
        format!("https://t.org/announce/{PASSKEY}\n")
    );
    assert_eq!(
        select(&sandbox, "select lower(hex(passkey)) from users").as_deref(),
        Some(PASSKEY)
    );
    assert_eq!(
        select(&sandbox, "select class from users").as_deref(),
        Some("elite")
    );
}

#[test]
fn a_command_says_when_it_begins_a_new_site() {
    let sandbox = Sandbox::new();
    let first = sandbox.run("create-user --username ann");
    assert!(
        first.stderr.starts_with("a new site begins in /"),
        "{first:?}"
    );
    let second = sandbox.run("create-user --username bob");
    assert_eq!(second.stderr, "");
}

/// Two machines on one database, the second without the first one's token.key.
#[test]
fn a_database_has_one_token_key() {
    let (first, second) = (Sandbox::new(), Sandbox::new());
    first.good("create-user --username ann");
    let database = first.path("data/purser.db");
    let same_database = format!("--set database_url=sqlite:{}", database.display());
    for command in [
        "create-user --username bob",
        "create-token --user ann",
        "serve",
    ] {
        let line = second.bad(&format!("{command} {same_database} --set tracker.http=127.0.0.1:0 --set tracker.udp= --set api.listen=127.0.0.1:0 --set metrics.listen=127.0.0.1:0"), 1);
        assert!(
            line.contains("signed with another key"),
            "{command}: {line}"
        );
    }
}

#[test]
fn a_password_comes_from_stdin_and_is_kept_as_argon2id() {
    let sandbox = Sandbox::new();
    let line = sandbox.bad_with(
        "create-user --username ann --password-stdin",
        &[],
        "short\n",
        1,
    );
    assert_eq!(line, "the password has 5 characters: 8 is the least");
    assert!(sandbox.files(".").is_empty(), "nothing half done");

    sandbox.good_with(
        "create-user --username ann --password-stdin",
        "correct horse\nnot this\n",
    );
    let hash = select(&sandbox, "select password_hash from users").unwrap();
    assert!(hash.starts_with("$argon2id$"), "{hash}");
}

#[test]
fn names_and_passkeys_are_given_once() {
    let sandbox = Sandbox::new();
    sandbox.good(&format!("create-user --username ann --passkey {PASSKEY}"));
    let table = [
        (
            "create-user --username ANN".to_owned(),
            "ANN: this username is taken already",
        ),
        (
            format!("create-user --username bob --passkey {PASSKEY}"),
            "bob: this passkey is taken already",
        ),
        (
            "create-token --user bob".to_owned(),
            "bob: there is no such member",
        ),
        (
            "create-invite --by bob".to_owned(),
            "bob: there is no such member",
        ),
        (
            format!("create-token --user ann --torrent {}", "0".repeat(40)),
            "0000000000000000000000000000000000000000: there is no such torrent",
        ),
    ];
    for (args, expected) in table {
        assert_eq!(sandbox.bad(&args, 1), expected);
    }
    assert_eq!(
        select(&sandbox, "select cast(count(*) as text) from users").as_deref(),
        Some("1")
    );
    assert_eq!(
        select(&sandbox, "select cast(count(*) as text) from tokens").as_deref(),
        Some("0")
    );
}

#[test]
fn an_administrator_is_created_and_then_reset() {
    let sandbox = Sandbox::new();
    let first = sandbox.run("setup-admin --username root");
    assert_eq!(
        (first.status, first.stdout.trim_end().len()),
        (Some(0), 20),
        "{first:?}"
    );
    assert!(
        !first.stderr.contains(first.stdout.trim_end()),
        "the password is on stdout alone"
    );
    let before = select(&sandbox, "select password_hash from users");
    assert_eq!(
        select(&sandbox, "select role from users").as_deref(),
        Some("admin")
    );

    assert_eq!(
        sandbox.good_with(
            "setup-admin --username root --password-stdin",
            "correct horse\n"
        ),
        ""
    );
    assert_ne!(select(&sandbox, "select password_hash from users"), before);
    assert_eq!(
        select(&sandbox, "select cast(count(*) as text) from users").as_deref(),
        Some("1")
    );

    sandbox.good("create-user --username ann");
    sandbox.good("setup-admin --username ann");
    assert_eq!(
        select(&sandbox, "select role from users where username = 'ann'").as_deref(),
        Some("admin")
    );
}

#[test]
fn invites_are_one_a_line_and_all_different() {
    let sandbox = Sandbox::new();
    sandbox.good("create-user --username ann");
    let codes = sandbox.good("create-invite --count 3 --by ann");
    let mut codes: Vec<_> = codes.lines().collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), 3);
    assert_eq!(sandbox.good("create-invite").lines().count(), 1);
    assert_eq!(
        select(&sandbox, "select cast(count(*) as text) from invites").as_deref(),
        Some("4")
    );
    assert_eq!(
        select(
            &sandbox,
            "select cast(count(created_by) as text) from invites"
        )
        .as_deref(),
        Some("3")
    );
}

#[test]
fn results_come_as_json_when_asked() {
    let sandbox = Sandbox::new();
    let json = |args: &str| serde_json::from_str::<Value>(&sandbox.good(args)).unwrap();
    let user = json("create-user --username ann --json");
    assert_eq!(user["username"], "ann");
    assert_eq!(user["user_class"], "newbie");
    assert!(user["announce_url"].is_string());
    let token = json("--json create-token --user ann --expires-in 60");
    assert!(token["token"].is_string() && token["expires_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(
        json("create-invite --json --count 2")
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let admin = json("setup-admin --username root --json");
    assert_eq!(
        (&admin["created"], admin["password"].as_str().map(str::len)),
        (&json!(true), Some(20))
    );
    assert!(json("migrate --json")["migrated"] == false);
}

#[test]
fn a_database_from_a_newer_version_is_left_alone() {
    let sandbox = Sandbox::new();
    sandbox.good("migrate");
    execute(
        &sandbox,
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values (9999, 'from the future', 1, x'00', 0)",
    );
    for args in [
        "migrate",
        "create-user --username ann",
        "create-invite",
        "setup-admin --username ann",
    ] {
        let line = sandbox.bad(args, 1);
        assert!(line.contains("newer"), "{args}: {line}");
    }
    assert_eq!(
        select(&sandbox, "select cast(count(*) as text) from users").as_deref(),
        Some("0")
    );
}

#[test]
fn a_damaged_key_file_stops_what_needs_it() {
    let sandbox = Sandbox::new();
    sandbox.good("migrate");
    sandbox.write("data/token.key", "not a key");
    let line = sandbox.bad("create-user --username ann", 1);
    assert!(
        line.starts_with("data/token.key: damaged key file: 64 hex digits are needed"),
        "{line}"
    );
    assert_eq!(
        select(&sandbox, "select cast(count(*) as text) from users").as_deref(),
        Some("0")
    );
}
