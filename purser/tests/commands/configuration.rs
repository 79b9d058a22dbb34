//! Wrong usage, wrong configuration, wrong folders: one line, the right status, and nothing half done.

use crate::sandbox::Sandbox;

#[test]
fn wrong_usage_is_status_2_and_one_line() {
    let table = [
        (
            "serv",
            "unrecognized subcommand 'serv'; tip: a similar subcommand exists: 'serve' (see purser --help)",
        ),
        (
            "create-user",
            "the following required arguments were not provided: --username <NAME> (see purser --help)",
        ),
        (
            "create-user --username a/b",
            "invalid value 'a/b' for '--username <NAME>': a username is 3 to 32 letters, digits, `_`, `-` or `.` (see purser --help)",
        ),
        (
            "create-user --username ab",
            "invalid value 'ab' for '--username <NAME>': a username is 3 to 32 letters, digits, `_`, `-` or `.` (see purser --help)",
        ),
        (
            "create-user --username ann --passkey 12",
            "invalid value '12' for '--passkey <HEX32>': a passkey is 32 hex digits (see purser --help)",
        ),
        (
            "create-user --username ann --class knight",
            "invalid value 'knight' for '--class <CLASS>' [possible values: newbie, member, trusted, elite] (see purser --help)",
        ),
        (
            "create-token --user ann --torrent 12",
            "invalid value '12' for '--torrent <HASH>': an info hash is 40 hex digits (see purser --help)",
        ),
        (
            "create-token --user ann --expires-in 0",
            "invalid value '0' for '--expires-in <SECS>': 0 is not in 1..=4294967295 (see purser --help)",
        ),
        (
            "create-invite --count 0",
            "invalid value '0' for '--count <N>': 0 is not in 1..=1000 (see purser --help)",
        ),
        (
            "add-torrent",
            "the following required arguments were not provided: <FILE>... (see purser --help)",
        ),
        (
            "doctor --colour",
            "unexpected argument '--colour' found (see purser --help)",
        ),
    ];
    let sandbox = Sandbox::new();
    for (args, expected) in table {
        assert_eq!(sandbox.bad(args, 2), expected, "{args}");
    }
    assert!(sandbox.files(".").is_empty());
}

#[test]
fn help_and_version_are_results() {
    let sandbox = Sandbox::new();
    assert!(sandbox.good("--help").contains("add-torrent"));
    assert!(sandbox.good("add-torrent --help").contains("<FILE>..."));
    assert_eq!(
        sandbox.good("--version"),
        format!("purser {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_wrong_configuration_stops_every_command_with_one_line() {
    let sandbox = Sandbox::new();
    sandbox.write("config.toml", "data_dir = 'data'\n\n[tracker]\nhtp = []\n");
    sandbox.write("other.toml", "[tracker]\nworkers = 'x'\n");
    sandbox.write("broken.toml", "[tracker\n");
    sandbox.write("latin.toml", b"data_dir = '\xff'");
    let unknown = "config.toml:4: unknown key tracker.htp: did you mean tracker.http?";
    for args in [
        "",
        "serve",
        "tracker",
        "api",
        "migrate",
        "create-user --username ann",
        "config check",
        "config show",
    ] {
        assert_eq!(sandbox.bad(args, 1), unknown, "{args}");
    }
    let table = [
        (
            "config check --config other.toml",
            "other.toml:2: tracker.workers: \"x\" is not a whole number from 0 to 1024",
        ),
        (
            "--config none.toml config check",
            "none.toml: can't read the config file: No such file or directory (os error 2)",
        ),
        (
            "--config . config check",
            ".: can't read the config file: Is a directory (os error 21)",
        ),
        (
            "--config broken.toml config check",
            "broken.toml:1: not TOML: unclosed table, expected `]`",
        ),
        (
            "--config latin.toml config check",
            "latin.toml: can't read the config file: stream did not contain valid UTF-8",
        ),
    ];
    for (args, expected) in table {
        assert_eq!(sandbox.bad(args, 1), expected, "{args}");
    }
    assert_eq!(
        sandbox.files("."),
        ["broken.toml", "config.toml", "latin.toml", "other.toml"]
    );
}

#[test]
fn a_wrong_variable_is_named() {
    let sandbox = Sandbox::new();
    let table = [
        (
            ("PURSER__TRAKCER__HTTP", "x"),
            "PURSER__TRAKCER__HTTP: unknown variable: did you mean PURSER__TRACKER__HTTP?",
        ),
        (
            ("PURSER__TRACKER__WORKERS", "x"),
            "PURSER__TRACKER__WORKERS: \"x\" is not a whole number from 0 to 1024",
        ),
        (
            ("DATABASE_URL", "mysql://u:geheim@h/d"),
            "DATABASE_URL: the value is not sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME",
        ),
    ];
    for (variable, expected) in table {
        assert_eq!(
            sandbox.bad_with("config check", &[variable], "", 1),
            expected
        );
    }
}

#[test]
fn config_check_says_which_file_is_right() {
    let sandbox = Sandbox::new();
    let run = sandbox.run("config check");
    assert_eq!((run.status, run.stdout.as_str()), (Some(0), ""));
    assert_eq!(
        run.stderr,
        "config ok (no file: the defaults and the environment)\n"
    );
    sandbox.write("config.toml", "tracker.workers = 2");
    assert_eq!(
        sandbox.run("config check").stderr,
        "config ok (config.toml)\n"
    );
    let json: serde_json::Value =
        serde_json::from_str(&sandbox.good("--json config check")).unwrap();
    assert_eq!(
        json,
        serde_json::json!({ "ok": true, "file": "config.toml" })
    );
}

#[test]
fn config_show_hides_secrets_and_can_be_read_again() {
    let sandbox = Sandbox::new();
    let env = [
        ("DATABASE_URL", "postgres://purser:geheim@db/purser"),
        ("REDIS_URL", "redis://:geheim@cache"),
        ("PURSER__TOKEN_KEY", &"5ec2e7".repeat(11)[..64]),
        ("PURSER__TRACKER__TRUSTED_PROXIES", "10.0.0.0/8"),
    ];
    for args in ["config show", "config show --json"] {
        let run = sandbox.run_with(args, &env, "");
        assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""), "{run:?}");
        assert!(
            run.stdout.contains("postgres://purser:***@db/purser"),
            "{run:?}"
        );
        for secret in ["geheim", "5ec2e7"] {
            assert!(!run.stdout.contains(secret), "{run:?}");
        }
    }
    let shown =
        sandbox.good("config show --set tracker.workers=3 --set tracker.trusted_proxies=10.0.0.1");
    sandbox.write("config.toml", &shown);
    assert_eq!(sandbox.good("config show"), shown);
    let json: serde_json::Value =
        serde_json::from_str(&sandbox.good("config show --json")).unwrap();
    assert_eq!(json["tracker"]["workers"], 3);
}

#[test]
fn an_unusable_folder_or_database_is_one_line() {
    const POSTGRES: &str = "the database postgres://purser@127.0.0.1:1/purser can't be used: \
        error communicating with database: Connection refused (os error 111)";
    const SQLITE: &str = "the database sqlite:/dev/null/x.db can't be used: \
        error returned from database: (code: 14) unable to open database file";
    let sandbox = Sandbox::new();
    let folder = sandbox.bad("create-user --username ann --set data_dir=/dev/null/x", 1);
    assert_eq!(
        folder,
        "data_dir: can't make the folder /dev/null/x: Not a directory (os error 20)"
    );
    for args in [
        "migrate",
        "create-invite",
        "create-user --username ann",
        "setup-admin --username ann",
    ] {
        let line = sandbox.bad_with(
            args,
            &[(
                "DATABASE_URL",
                "postgres://purser:geheim@127.0.0.1:1/purser",
            )],
            "",
            1,
        );
        assert_eq!(line, POSTGRES, "{args}");
        let line = sandbox.bad(
            &format!("{args} --set database_url=sqlite:/dev/null/x.db"),
            1,
        );
        assert_eq!(line, SQLITE, "{args}");
    }
}
