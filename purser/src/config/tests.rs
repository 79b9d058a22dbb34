//! Layers, and what is said about a wrong one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ffi::OsString;
use std::fs;

use super::{Config, Secret, TorrentPolicy, load};

fn vars(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect()
}

/// What `load` says to this file, these variables and these `--set`.
fn load_all(file: &str, env: &[(&str, &str)], set: &[&str]) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    fs::write(&path, file).unwrap();
    let set: Vec<_> = set.iter().map(|&pair| pair.to_owned()).collect();
    let place = format!("{}/", dir.path().display());
    load(Some(&path), &set, vars(env), &[])
        .map_err(|error| format!("{error:#}").replace(&place, ""))
}

#[test]
fn the_nearest_layer_wins() {
    let file = "database_url = 'sqlite:file'\nredis_url = 'redis://file'\n[tracker]\nworkers = 1\nhttp = []";
    let env = [
        ("DATABASE_URL", "sqlite:usual"),
        ("PURSER__DATABASE_URL", "sqlite:own"),
        ("REDIS_URL", ""),
        ("PURSER__TRACKER__WORKERS", "2"),
        ("PURSER__TRACKER__TRUSTED_PROXIES", "10.0.0.1, fd00::/8,"),
        ("PURSER__TRACKER__TORRENTS", "any"),
        ("PURSER", "not ours"),
    ];
    let config = load_all(file, &env, &["tracker.workers=3", "credits.multiplier=2"]).unwrap();
    assert_eq!(config.database_url, Secret::new("sqlite:own"));
    assert_eq!(config.redis_url, Secret::default());
    assert_eq!(config.tracker.workers, 3);
    assert_eq!(config.tracker.http, []);
    assert_eq!(
        config.tracker.trusted_proxies,
        ["10.0.0.1/32".parse().unwrap(), "fd00::/8".parse().unwrap()]
    );
    assert_eq!(config.tracker.torrents, TorrentPolicy::Any);
    assert_eq!(config.credits.multiplier, 2.0);
    assert_eq!(config.persister, Config::default().persister);
}

#[test]
fn a_secret_is_read_from_the_file_that_the_environment_names() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "sqlite:from a file\n").unwrap();
    let path = file.path().to_str().unwrap();
    for name in ["DATABASE_URL_FILE", "PURSER__DATABASE_URL_FILE"] {
        let config = load_all("", &[(name, path)], &[]).unwrap();
        assert_eq!(config.database_url, Secret::new("sqlite:from a file"));
    }
    let both = [("PURSER__TOKEN_KEY", ""), ("PURSER__TOKEN_KEY_FILE", path)];
    let error = load_all("", &both, &[]).unwrap_err();
    assert_eq!(
        error,
        "PURSER__TOKEN_KEY and PURSER__TOKEN_KEY_FILE are both set: keep one"
    );
    let error = load_all("", &[("PURSER__TOKEN_KEY_FILE", path)], &[]).unwrap_err();
    assert!(
        error.ends_with("the value is not 64 hex digits (or empty, to have one generated)"),
        "{error}"
    );
}

#[test]
fn a_wrong_file_gets_one_line_that_says_where() {
    let table = [
        (
            "[tracker]\nhtp = []",
            "config.toml:2: unknown key tracker.htp: did you mean tracker.http?",
        ),
        (
            "\n[trakcer]\nhttp = []",
            "config.toml:2: unknown key trakcer: did you mean tracker?",
        ),
        (
            "numwant_max = 5",
            "config.toml:1: unknown key numwant_max: did you mean tracker.numwant_max?",
        ),
        (
            "colour = 'red'",
            "config.toml:1: unknown key colour: `purser config show` lists every key",
        ),
        (
            "tracker = 5",
            "config.toml:1: tracker is a section: write [tracker]",
        ),
        (
            "[[tracker]]",
            "config.toml:1: tracker is a section: write [tracker]",
        ),
        (
            "[data_dir]",
            "config.toml:1: data_dir: {} is not the path of a folder",
        ),
        (
            "a = ",
            "config.toml:1: not TOML: string values must be quoted, expected literal string",
        ),
        ("\n[log]\n[log]", "config.toml:3: not TOML: duplicate key"),
        (
            "data_dir = ''",
            "config.toml:1: data_dir: \"\" is not the path of a folder",
        ),
        (
            "database_url = 'mysql://u:pw@db/x'",
            "config.toml:1: database_url: the value is not sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME",
        ),
        (
            "redis_url = 'cache:6379'",
            "config.toml:1: redis_url: the value is not redis://HOST:PORT (or empty, for none)",
        ),
        (
            "token_key = 'abc'",
            "config.toml:1: token_key: the value is not 64 hex digits (or empty, to have one generated)",
        ),
        (
            "migrate_on_start = 'no'",
            "config.toml:1: migrate_on_start: \"no\" is not true or false",
        ),
        (
            "tracker.http = '[::]:1'",
            "config.toml:1: tracker.http: \"[::]:1\" is not a list: write [\"[::]:1\"]",
        ),
        (
            "tracker.udp = ['[::]:1', ':2']",
            "config.toml:1: tracker.udp: \":2\" is not an address with a port, as in 127.0.0.1:6969 or [::]:6969",
        ),
        (
            "api.listen = '127.0.0.1:70000'",
            "config.toml:1: api.listen: \"127.0.0.1:70000\" is not an address with a port, as in 127.0.0.1:6969 or [::]:6969",
        ),
        (
            "tracker.workers = -1",
            "config.toml:1: tracker.workers: -1 is not a whole number from 0 to 1024",
        ),
        (
            "tracker.workers = 1.5",
            "config.toml:1: tracker.workers: 1.5 is not a whole number from 0 to 1024",
        ),
        (
            "tracker.announce_interval_secs = 0",
            "config.toml:1: tracker.announce_interval_secs: 0 is not a whole number from 1 to 86400",
        ),
        (
            "tracker.announce_interval_secs = 60",
            "config.toml:1: tracker.announce_interval_secs: tracker.min_interval_secs (900) is more than tracker.announce_interval_secs (60)",
        ),
        (
            "tracker.numwant_default = 201",
            "config.toml:1: tracker.numwant_default: tracker.numwant_default (201) is more than tracker.numwant_max (200)",
        ),
        (
            "tracker.udp_keyless = true",
            "config.toml:1: tracker.udp_keyless: needs tracker.torrents = \"any\": a registered torrent isn't for clients without a key",
        ),
        (
            "tracker.max_peers_per_torrent_per_user = 101",
            "config.toml:1: tracker.max_peers_per_torrent_per_user: 101 is not a whole number from 1 to 100",
        ),
        (
            "mail.smtp_url = 'smtps://ann:geheim@mail:x'",
            "config.toml:1: mail.smtp_url: the value is not smtps://USER:PASSWORD@HOST, smtp://USER:PASSWORD@HOST:587?tls=required or smtp://HOST:25 (or empty, for none)",
        ),
        (
            "mail.smtp_url = 'smtp://localhost'",
            "config.toml:1: mail.smtp_url: needs mail.from: whom mails are from",
        ),
        (
            "mail.from = 'tracker'",
            "config.toml:1: mail.from: \"tracker\" is not an address, as in tracker@example.org or Example Tracker <tracker@example.org> (or empty)",
        ),
        (
            "[persister]\nretention_days = 29",
            "config.toml:2: persister.retention_days: 29 is not 0 (for ever), or 30 or more",
        ),
        (
            "tracker.torrents = 'all'",
            "config.toml:1: tracker.torrents: \"all\" is not registered or any",
        ),
        (
            "tracker.public_url = 'tracker.org'",
            "config.toml:1: tracker.public_url: \"tracker.org\" is not https://HOST or http://HOST:PORT, without /announce (or empty)",
        ),
        (
            "tracker.public_url = 'https://t.org/announce/'",
            "config.toml:1: tracker.public_url: \"https://t.org/announce/\" is not https://HOST or http://HOST:PORT, without /announce (or empty)",
        ),
        (
            "tracker.client_ip_header = 'X Real'",
            "config.toml:1: tracker.client_ip_header: \"X Real\" is not the name of a header, as in X-Forwarded-For (or empty)",
        ),
        (
            "tracker.trusted_proxies = ['10.0.0.0/33']",
            "config.toml:1: tracker.trusted_proxies: \"10.0.0.0/33\" is not an address or a network, as in 127.0.0.1 or 10.0.0.0/8",
        ),
        (
            "credits.multiplier = -1",
            "config.toml:1: credits.multiplier: -1 is not a number from 0 to 1000",
        ),
        (
            "credits.multiplier = nan",
            "config.toml:1: credits.multiplier: nan is not a number from 0 to 1000",
        ),
        (
            "credits.multiplier = inf",
            "config.toml:1: credits.multiplier: inf is not a number from 0 to 1000",
        ),
        (
            "log.format = 'xml'",
            "config.toml:1: log.format: \"xml\" is not auto, text or json",
        ),
        (
            "log.filter = 'a=b=c'",
            "config.toml:1: log.filter: \"a=b=c\" is not a filter, as in info or info,persister=debug",
        ),
        (
            "log.file = 'logs/'",
            "config.toml:1: log.file: \"logs/\" is not the path of a file, as in logs/purser.log (or empty)",
        ),
    ];
    for (file, expected) in table {
        assert_eq!(load_all(file, &[], &[]).unwrap_err(), expected, "{file}");
    }
}

#[test]
fn a_wrong_variable_or_option_is_named() {
    let env = [
        (
            "PURSER__TRACKER__HTP",
            "",
            "PURSER__TRACKER__HTP: unknown variable: did you mean PURSER__TRACKER__HTTP?",
        ),
        (
            "PURSER__WORKERS",
            "2",
            "PURSER__WORKERS: unknown variable: did you mean PURSER__TRACKER__WORKERS?",
        ),
        (
            "PURSER__DATA_DIR_FILE",
            "x",
            "PURSER__DATA_DIR_FILE: unknown variable: did you mean PURSER__DATA_DIR?",
        ),
        (
            "PURSER__TRACKER__WORKERS",
            "x",
            "PURSER__TRACKER__WORKERS: \"x\" is not a whole number from 0 to 1024",
        ),
        (
            "PURSER__TRACKER__WORKERS",
            "",
            "PURSER__TRACKER__WORKERS: \"\" is not a whole number from 0 to 1024",
        ),
        (
            "DATABASE_URL",
            "",
            "DATABASE_URL: the value is not sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME",
        ),
        (
            "REDIS_URL_FILE",
            "/none",
            "REDIS_URL_FILE: can't read \"/none\": No such file or directory (os error 2)",
        ),
    ];
    for (name, value, expected) in env {
        assert_eq!(load_all("", &[(name, value)], &[]).unwrap_err(), expected);
    }
    let set = [
        (
            "workers=1",
            "--set workers: unknown key: did you mean tracker.workers?",
        ),
        (
            "tracker.workers",
            "--set tracker.workers: write KEY=VALUE, as in --set tracker.workers=2",
        ),
        (
            "api.listen=1",
            "--set api.listen: \"1\" is not an address with a port, as in 127.0.0.1:6969 or [::]:6969",
        ),
    ];
    for (pair, expected) in set {
        assert_eq!(load_all("", &[], &[pair]).unwrap_err(), expected);
    }
}

#[test]
fn udp_urls_have_the_host_of_the_others_and_a_port_of_their_own() {
    let url = |set: &[&str]| load_all("", &[], set).unwrap().udp_url();
    let table = [
        ("", "udp://localhost:6969"),
        ("http://t.example.org", "udp://t.example.org:6969"),
        ("https://t.example.org/", "udp://t.example.org:6969"),
        ("http://t.example.org:8080/site", "udp://t.example.org:6969"),
        ("http://[2001:db8::1]", "udp://[2001:db8::1]:6969"),
        ("http://[2001:db8::1]:80", "udp://[2001:db8::1]:6969"),
    ];
    for (public, expected) in table {
        let public = format!("tracker.public_url={public}");
        assert_eq!(url(&[&public]).as_deref(), Some(expected), "{public}");
    }
    assert_eq!(
        url(&["tracker.udp=[::]:7000"]).as_deref(),
        Some("udp://localhost:7000")
    );
    assert_eq!(url(&["tracker.udp="]), None);
}

#[test]
fn announce_urls_begin_with_what_members_see() {
    let url = |set: &[&str]| load_all("", &[], set).unwrap().announce_url("KEY");
    assert_eq!(url(&[]), "http://localhost:6969/announce/KEY");
    assert_eq!(
        url(&["tracker.http=127.0.0.1:7000"]),
        "http://localhost:7000/announce/KEY"
    );
    assert_eq!(
        url(&["tracker.public_url=https://t.example.org/"]),
        "https://t.example.org/announce/KEY"
    );
}
