//! What each key may hold, and the words for when it doesn't.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use toml::Value;
use tracing_subscriber::EnvFilter;

use crate::mail;

/// A key of the configuration.
pub(super) struct Key {
    /// As in `tracker.http`; keys of the top level have no dot.
    pub(super) name: &'static str,
    shape: Shape,
}

enum Shape {
    Flag,
    Whole(i64, i64),
    Decimal(f64, f64),
    Text(Rule),
    List(Rule),
    /// Like `Text`, but never shown; may be read from a file.
    Secret(Rule),
}

/// Does a text fit; and what a fitting one is, in words that go after "is not".
struct Rule {
    fits: fn(&str) -> bool,
    right: &'static str,
}

/// A value as it came, before anyone knows whether it is right.
#[derive(Clone, Debug)]
pub(super) enum Raw {
    /// From the environment or the command line.
    Text(String),
    /// From the file.
    Toml(Value),
}

use Shape::{Decimal, Flag, List, Secret, Text, Whole};

const HOUR_MS: i64 = 3_600_000;
const DAY_SECS: i64 = 86_400;

/// Every key, in the order of `config.toml`.
pub(super) const KEYS: [Key; 39] = [
    key("data_dir", Text(rule(not_empty, "the path of a folder"))),
    key(
        "database_url",
        Secret(rule(
            is_database_url,
            "sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME",
        )),
    ),
    key(
        "redis_url",
        Secret(rule(is_redis_url, "redis://HOST:PORT (or empty, for none)")),
    ),
    key(
        "token_key",
        Secret(rule(
            is_token_key,
            "64 hex digits (or empty, to have one generated)",
        )),
    ),
    key("migrate_on_start", Flag),
    key("tracker.http", List(ADDRESS)),
    key("tracker.udp", List(ADDRESS)),
    key("tracker.workers", Whole(0, 1024)),
    key("tracker.max_connections", Whole(0, 10_000_000)),
    key(
        "tracker.public_url",
        Text(rule(
            is_public_url,
            "https://HOST or http://HOST:PORT, without /announce (or empty)",
        )),
    ),
    key("tracker.announce_interval_secs", Whole(1, DAY_SECS)),
    key("tracker.min_interval_secs", Whole(0, DAY_SECS)),
    key("tracker.numwant_default", Whole(0, 1000)),
    // A thousand IPv6 endpoints are 18 KB of reply: more than any client connects to.
    key("tracker.numwant_max", Whole(1, 1000)),
    key("tracker.max_peers_per_torrent_per_user", Whole(1, 100)),
    key(
        "tracker.torrents",
        Text(rule(
            |text| ["registered", "any"].contains(&text),
            "registered or any",
        )),
    ),
    key("tracker.udp_keyless", Flag),
    key(
        "tracker.client_ip_header",
        Text(rule(
            is_header_name,
            "the name of a header, as in X-Forwarded-For (or empty)",
        )),
    ),
    key(
        "tracker.trusted_proxies",
        List(rule(
            is_network,
            "an address or a network, as in 127.0.0.1 or 10.0.0.0/8",
        )),
    ),
    key("tracker.allow_ip_param", Flag),
    key("persister.flush_interval_ms", Whole(1, HOUR_MS)),
    key("persister.fsync_interval_ms", Whole(0, HOUR_MS)),
    key("persister.journal_limit_mb", Whole(64, 1_048_576)),
    key("persister.retention_days", Whole(0, 36_500)),
    key("credits.multiplier", Decimal(0.0, 1000.0)),
    key("credits.min_ratio_warning", Decimal(0.0, 1000.0)),
    key(
        "credits.policy",
        Text(rule(
            is_file,
            "the path of a file, as in economy.toml (or empty)",
        )),
    ),
    key("api.listen", Text(ADDRESS)),
    key(
        "api.public_url",
        Text(rule(
            |text| text.is_empty() || is_web_address(text),
            "https://HOST or http://HOST:PORT (or empty)",
        )),
    ),
    key(
        "api.allowed_hosts",
        List(rule(is_host, "the name of a host, as in api.example.org")),
    ),
    key("api.requests_per_minute", Whole(0, 1_000_000_000)),
    key(
        "mail.smtp_url",
        Secret(rule(
            |text| text.is_empty() || mail::is_smtp_url(text),
            "smtps://USER:PASSWORD@HOST, smtp://USER:PASSWORD@HOST:587?tls=required or smtp://HOST:25 (or empty, for none)",
        )),
    ),
    key(
        "mail.from",
        Text(rule(
            |text| text.is_empty() || mail::sender(text).is_some(),
            "an address, as in tracker@example.org or Example Tracker <tracker@example.org> (or empty)",
        )),
    ),
    key("metrics.listen", Text(ADDRESS)),
    key("metrics.listen_api", Text(ADDRESS)),
    key(
        "log.format",
        Text(rule(
            |text| ["auto", "text", "json"].contains(&text),
            "auto, text or json",
        )),
    ),
    key(
        "log.filter",
        Text(rule(
            |text| EnvFilter::try_new(text).is_ok(),
            "a filter, as in info or info,persister=debug",
        )),
    ),
    key(
        "log.file",
        Text(rule(
            is_file,
            "the path of a file, as in logs/purser.log (or empty)",
        )),
    ),
    key("log.keep_files", Whole(0, 10_000)),
];

const ADDRESS: Rule = rule(
    |text| text.parse::<SocketAddr>().is_ok(),
    "an address with a port, as in 127.0.0.1:6969 or [::]:6969",
);

const fn key(name: &'static str, shape: Shape) -> Key {
    Key { name, shape }
}

const fn rule(fits: fn(&str) -> bool, right: &'static str) -> Rule {
    Rule { fits, right }
}

impl Key {
    /// The key of this name.
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name)
    }

    /// Its variable: `PURSER__TRACKER__HTTP` for `tracker.http`.
    pub(super) fn env_name(&self) -> String {
        format!("PURSER__{}", self.name.replace('.', "__").to_uppercase())
    }

    /// May it be read from a file, and must it not be shown?
    pub(super) fn is_secret(&self) -> bool {
        matches!(self.shape, Secret(_))
    }

    /// The value in the shape that [`super::Config`] takes, or what is wrong with it, in one line.
    pub(super) fn check(&self, raw: Raw) -> Result<Value, String> {
        let shown = shown(&raw);
        match &self.shape {
            Flag => flag(raw).ok_or_else(|| format!("{shown} is not true or false")),
            Whole(low, high) => whole(raw, *low, *high)
                .ok_or_else(|| format!("{shown} is not a whole number from {low} to {high}")),
            Decimal(low, high) => decimal(raw, *low, *high)
                .ok_or_else(|| format!("{shown} is not a number from {low} to {high}")),
            Text(rule) => text(raw, rule).ok_or_else(|| format!("{shown} is not {}", rule.right)),
            Secret(rule) => {
                text(raw, rule).ok_or_else(|| format!("the value is not {}", rule.right))
            }
            List(rule) => list(raw, rule),
        }
    }
}

fn flag(raw: Raw) -> Option<Value> {
    match raw {
        Raw::Text(text) => text.parse().ok().map(Value::Boolean),
        Raw::Toml(value) => value.is_bool().then_some(value),
    }
}

fn whole(raw: Raw, low: i64, high: i64) -> Option<Value> {
    let number = match raw {
        Raw::Text(text) => text.parse().ok(),
        Raw::Toml(value) => value.as_integer(),
    };
    number
        .filter(|number| (low..=high).contains(number))
        .map(Value::Integer)
}

fn decimal(raw: Raw, low: f64, high: f64) -> Option<Value> {
    let number = match raw {
        Raw::Text(text) => text.parse().ok(),
        Raw::Toml(Value::Integer(number)) => i32::try_from(number).ok().map(f64::from),
        Raw::Toml(value) => value.as_float(),
    };
    number
        .filter(|number| (low..=high).contains(number))
        .map(Value::Float)
}

fn text(raw: Raw, rule: &Rule) -> Option<Value> {
    let text = match raw {
        Raw::Text(text) | Raw::Toml(Value::String(text)) => text,
        Raw::Toml(_) => return None,
    };
    (rule.fits)(&text).then_some(Value::String(text))
}

/// Commas divide a list in the environment. Every item must fit.
fn list(raw: Raw, rule: &Rule) -> Result<Value, String> {
    let items = match raw {
        Raw::Text(text) => text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(Value::from)
            .collect(),
        Raw::Toml(Value::Array(items)) => items,
        Raw::Toml(value) => return Err(format!("{value} is not a list: write [{value}]")),
    };
    for item in &items {
        if !item.as_str().is_some_and(rule.fits) {
            return Err(format!(
                "{} is not {}",
                shorten(item.to_string()),
                rule.right
            ));
        }
    }
    Ok(Value::Array(items))
}

fn shown(raw: &Raw) -> String {
    shorten(match raw {
        Raw::Text(text) => format!("{text:?}"),
        Raw::Toml(value) => value.to_string(),
    })
}

/// An error is one line, however long and broken the value.
fn shorten(text: String) -> String {
    const LONGEST: usize = 80;
    let line = text.replace(['\n', '\r'], " ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn not_empty(text: &str) -> bool {
    !text.trim().is_empty()
}

fn is_database_url(text: &str) -> bool {
    ["sqlite:", "postgres://", "postgresql://"]
        .iter()
        .any(|scheme| text.strip_prefix(scheme).is_some_and(not_empty))
}

fn is_redis_url(text: &str) -> bool {
    let after = |scheme| text.strip_prefix(scheme).is_some_and(not_empty);
    text.is_empty() || after("redis://") || after("rediss://")
}

fn is_token_key(text: &str) -> bool {
    text.is_empty() || (text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_public_url(text: &str) -> bool {
    // `/announce/KEY` comes behind it.
    let has_announce = text.trim_end_matches('/').ends_with("/announce");
    text.is_empty() || (!has_announce && is_web_address(text))
}

fn is_web_address(text: &str) -> bool {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(is_host_and_path)
}

/// No query, no blank, and a host before the first slash.
fn is_host_and_path(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"?#\"<>".contains(&byte);
    is_host(text.split('/').next().unwrap_or_default()) && text.bytes().all(plain)
}

/// A name or an address, perhaps with a port.
fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]*".contains(&byte))
}

/// A token of RFC 9110, section 5.6.2.
fn is_header_name(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn is_file(text: &str) -> bool {
    text.is_empty() || (!text.ends_with('/') && std::path::Path::new(text).file_name().is_some())
}

fn is_network(text: &str) -> bool {
    network(text).is_some()
}

/// An address alone is a network of one.
pub(super) fn network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().or_else(|| {
        text.parse::<IpAddr>()
            .ok()
            .map(|ip| ip.to_canonical().into())
    })
}
