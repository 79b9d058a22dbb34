//! What the operator may choose. The comments here are the comments of `config.toml`: a test holds the two together.
//!
//! A value is looked for on the command line (`--set`), in the environment, in the file, and here, in this order.
//! [`load()`] does that, [`keys`] says what each key may hold, so that values are right once they are in [`Config`].

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use economy::policy::Policy;
use ipnet::IpNet;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

#[cfg(test)]
mod file_tests;
mod keys;
mod load;
mod secret;
#[cfg(test)]
mod tests;

pub(crate) use load::{BadOverride, file_in_use, load};
pub(crate) use secret::Secret;

/// Every key, with the value it has when nobody says otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Folder for what the program keeps by itself: secrets, the journal, the embedded database. Created when missing.
    /// One tracker process a folder. Relative to the working directory.
    pub(crate) data_dir: PathBuf,
    /// `sqlite:PATH` (embedded: nothing to install, one machine) or `postgres://USER:PASSWORD@HOST/NAME` (production).
    /// A SQLite path is relative to the working directory, not to data_dir.
    pub(crate) database_url: Secret,
    /// `redis://HOST:6379`. Empty: the in-process equivalents, which is enough for a single process.
    /// In it, API processes count requests together. While it is away, each counts by itself.
    pub(crate) redis_url: Secret,
    /// Signs the tokens in announce URLs: 64 hex digits, the same in every process of a site.
    /// Empty: generated into data_dir/token.key (mode 0600). A new key makes every announce URL given out invalid.
    pub(crate) token_key: Secret,
    /// Bring the database schema up to date before serving. With `false`, run `purser migrate` yourself.
    pub(crate) migrate_on_start: bool,
    /// Announces: who is told about whom, and how often they may ask.
    pub(crate) tracker: Tracker,
    /// How announces become rows in the database.
    pub(crate) persister: Persister,
    /// What uploads earn.
    pub(crate) credits: Credits,
    /// REST API, dashboard and their documentation.
    pub(crate) api: Api,
    /// What members are told by mail, too: classes, ratio, hit-and-runs, changes to their account.
    pub(crate) mail: Mail,
    /// Prometheus metrics and health: /metrics, /livez, /readyz.
    pub(crate) metrics: Metrics,
    /// Logs go to stderr, and to a file when one is named.
    pub(crate) log: Log,
}

/// `[tracker]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Tracker {
    /// HTTP announce sockets, ADDRESS:PORT. `[::]` takes IPv4 too.
    pub(crate) http: Vec<SocketAddr>,
    /// UDP announce sockets (BEP 15), ADDRESS:PORT. `[::]` takes IPv4 too; on a machine with several addresses name each,
    /// as answers to `[::]` leave from the one that the kernel thinks best. Empty: no UDP.
    pub(crate) udp: Vec<SocketAddr>,
    /// Threads that answer announces. 0: one per core.
    pub(crate) workers: u16,
    /// Open HTTP connections in the process: each costs memory and a file descriptor. One more is closed at once.
    /// 0: no limit.
    pub(crate) max_connections: u32,
    /// The address of the announce listener as members reach it, as in `https://tracker.example.org`; announce URLs begin
    /// with it. Empty: http://localhost with the port of the first HTTP socket.
    pub(crate) public_url: String,
    /// Seconds until a client should announce again. Shorter: fresher swarms; longer: less load.
    pub(crate) announce_interval_secs: u32,
    /// Sooner than this many seconds: a warning and an empty list, counters still taken. 0: no limit.
    pub(crate) min_interval_secs: u32,
    /// Peers in a reply when the client doesn't say how many it wants.
    pub(crate) numwant_default: u16,
    /// Peers in a reply at most, whatever the client asks for.
    pub(crate) numwant_max: u16,
    /// Places (peer ids) from which one member may be in one swarm at a time. One more that starts
    /// takes the place of the one silent for longest; one that doesn't say so gets a warning and no peers.
    /// Lists count no more of a member's as seeders of a torrent, nor as leechers.
    pub(crate) max_peers_per_torrent_per_user: u8,
    /// "registered": an unknown info hash is refused. "any": it is tracked too, without credit. Nothing limits how many of
    /// them members bring in but their peers' expiry, so memory is theirs to fill.
    pub(crate) torrents: TorrentPolicy,
    /// With torrents = "any": answer UDP announces and scrapes of unregistered torrents without a key, too. Otherwise UDP
    /// scrapes are refused, because no client puts a key into them (BEP 41 has no place for it). Anybody can then fill
    /// the memory, at some 350 bytes a packet, until the peers expire.
    pub(crate) udp_keyless: bool,
    /// Header in which a proxy passes the client's address, as in `X-Forwarded-For`. Honoured only from trusted_proxies.
    pub(crate) client_ip_header: String,
    /// Addresses or networks (CIDR) of those proxies, as in `10.0.0.0/8`.
    #[serde(deserialize_with = "networks")]
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Honour the `ip` parameter of an announce (BEP 3). Members could then name any address as theirs.
    pub(crate) allow_ip_param: bool,
}

/// Which info hashes are tracked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TorrentPolicy {
    /// Those of the database.
    Registered,
    /// Every one.
    Any,
}

/// `[persister]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Persister {
    /// Milliseconds between two looks at what is new in the journal. Longer: fewer, larger transactions, and accounts that
    /// lag behind by as much.
    pub(crate) flush_interval_ms: u32,
    /// Milliseconds between two fsyncs of the journal: what a power cut may cost. A crash of the process alone costs
    /// nothing that was acknowledged. 0: fsync before every acknowledged event.
    pub(crate) fsync_interval_ms: u32,
    /// Megabytes that the journal in data_dir may take while the database is away; an announce takes some 70 bytes.
    /// Near it, announces that say nothing new leave no record; at it, all but last words are refused until there is room.
    pub(crate) journal_limit_mb: u32,
    /// Days that what members did is kept in detail: traffic by the hour, and sessions that haven't announced since. What
    /// follows from it stays: accounts, credit entries, seed time. `purser simulate` looks back only as far. At least 30.
    /// 0: for ever.
    pub(crate) retention_days: u32,
}

/// `[credits]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Credits {
    /// What an uploaded byte earns, times the rest of the economy's factors.
    pub(crate) multiplier: f64,
    /// Below this ratio of uploaded to downloaded, members are warned. 0: never.
    pub(crate) min_ratio_warning: f64,
    /// The economy: a TOML file with prices, seeding rewards, classes, hit-and-run, ratio watch and the shop. It needs only
    /// what differs from the defaults, which docs/economy.md lists. Empty: the defaults.
    pub(crate) policy: String,
}

/// `[api]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Api {
    /// ADDRESS:PORT. Loopback, because it belongs behind a proxy that speaks TLS.
    pub(crate) listen: SocketAddr,
    /// The address of the API as members reach it, as in `https://api.example.org`; download links in feeds begin with it.
    /// Empty: the name that each request was sent to, and https if a trusted proxy says so (X-Forwarded-Proto).
    pub(crate) public_url: String,
    /// Names under which the API may be called (the Host header): keeps DNS rebinding out. Empty: any.
    pub(crate) allowed_hosts: Vec<String>,
    /// Requests that one address (of IPv6: one /64) may make a minute; more get a 429. 0: no limit.
    pub(crate) requests_per_minute: u32,
}

/// `[mail]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Mail {
    /// The mail server: `smtps://USER:PASSWORD@HOST` (TLS, port 465), `smtp://USER:PASSWORD@HOST:587?tls=required`
    /// (STARTTLS), or `smtp://HOST:25` for one on the same machine: nothing is encrypted. Percent-encode what a URL can't
    /// hold. A path is the name to greet with, as in `smtps://HOST/tracker.example.org`. Empty: no mail.
    pub(crate) smtp_url: Secret,
    /// Whom mails are from, as in `Example Tracker <tracker@example.org>`: the name is what mails call the site, and the
    /// address gets what can't be delivered. Needed with smtp_url.
    pub(crate) from: String,
}

/// `[metrics]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Metrics {
    /// ADDRESS:PORT. Loopback, because it asks nobody for a password.
    pub(crate) listen: SocketAddr,
    /// The same for `purser api` as a process of its own, so that it can run beside `purser tracker` with one config.
    pub(crate) listen_api: SocketAddr,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    /// On stderr: "text", "json", or "auto" (text on a terminal, JSON otherwise).
    pub(crate) format: LogFormat,
    /// What is logged: error, warn, info, debug or trace, also by part, as in `info,persister=debug`.
    pub(crate) filter: String,
    /// Write JSON logs to this file too, a new one each day: `logs/purser.log` becomes `logs/purser.2026-11-22.log`.
    /// Empty: no file.
    pub(crate) file: String,
    /// Files of past days that stay; older ones are deleted. 0: all stay.
    pub(crate) keep_files: u32,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people on a terminal, for programs elsewhere.
    Auto,
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl Config {
    /// Where members' announce URLs begin: scheme, host, port, and no slash at the end.
    pub(crate) fn public_url(&self) -> String {
        if self.tracker.public_url.is_empty() {
            let port = self.tracker.http.first().map_or(6969, SocketAddr::port);
            return format!("http://localhost:{port}");
        }
        self.tracker.public_url.trim_end_matches('/').to_owned()
    }

    /// The same for UDP, at the first UDP socket; `None` without one. Where members reach HTTP they reach UDP, too.
    pub(crate) fn udp_url(&self) -> Option<String> {
        let port = self.tracker.udp.first()?.port();
        let url = self.public_url();
        let (_, rest) = url.split_once("://")?;
        let authority = rest.split('/').next().unwrap_or_default();
        let host = match authority.rsplit_once(':') {
            // Within brackets, colons belong to an IPv6 address.
            Some((host, port)) if !port.ends_with(']') => host,
            _ => authority,
        };
        Some(format!("udp://{host}:{port}"))
    }

    /// The economy's rules. What is wrong in its file is said with its line.
    pub(crate) fn economy(&self) -> anyhow::Result<Policy> {
        let path = &self.credits.policy;
        if path.is_empty() {
            return Ok(Policy::default());
        }
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("credits.policy: can't read {path}"))?;
        Policy::parse(&text)
            .map_err(|error| anyhow::anyhow!("{path}:{}: {}", error.line, error.reason))
    }

    /// What a member pastes into a client. `key` is a signed token or a passkey.
    pub(crate) fn announce_url(&self, key: &str) -> String {
        format!("{}/announce/{key}", self.public_url())
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: "data".into(),
            database_url: Secret::new("sqlite:data/purser.db"),
            redis_url: Secret::default(),
            token_key: Secret::default(),
            migrate_on_start: true,
            tracker: Tracker::default(),
            persister: Persister::default(),
            credits: Credits::default(),
            api: Api::default(),
            mail: Mail::default(),
            metrics: Metrics::default(),
            log: Log::default(),
        }
    }
}

impl Default for Tracker {
    fn default() -> Self {
        Self {
            http: vec![everywhere(6969)],
            udp: vec![everywhere(6969)],
            workers: 0,
            max_connections: 50_000,
            public_url: String::new(),
            announce_interval_secs: 1800,
            min_interval_secs: 900,
            numwant_default: 50,
            numwant_max: 200,
            max_peers_per_torrent_per_user: 3,
            torrents: TorrentPolicy::Registered,
            udp_keyless: false,
            client_ip_header: String::new(),
            trusted_proxies: Vec::new(),
            allow_ip_param: false,
        }
    }
}

impl Default for Persister {
    fn default() -> Self {
        Self {
            flush_interval_ms: 1000,
            fsync_interval_ms: 1000,
            journal_limit_mb: 4096,
            retention_days: 400,
        }
    }
}

impl Default for Credits {
    fn default() -> Self {
        Self {
            multiplier: 1.0,
            min_ratio_warning: 0.5,
            policy: String::new(),
        }
    }
}

impl Default for Api {
    fn default() -> Self {
        Self {
            listen: loopback(8000),
            public_url: String::new(),
            allowed_hosts: Vec::new(),
            requests_per_minute: 600,
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            listen: loopback(9600),
            listen_api: loopback(9601),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Auto,
            filter: "info".to_owned(),
            file: String::new(),
            keep_files: 7,
        }
    }
}

fn everywhere(port: u16) -> SocketAddr {
    (std::net::Ipv6Addr::UNSPECIFIED, port).into()
}

fn loopback(port: u16) -> SocketAddr {
    (std::net::Ipv4Addr::LOCALHOST, port).into()
}

/// `10.0.0.1` is as good as `10.0.0.1/32`.
fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    Vec::<String>::deserialize(deserializer)?
        .iter()
        .map(|text| keys::network(text).ok_or_else(|| Error::custom("not a network")))
        .collect()
}
