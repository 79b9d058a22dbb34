//! What the operator chose, as far as announces are concerned. May change while the tracker runs.

use std::net::IpAddr;

use hyper::header::HeaderName;
use ipnet::IpNet;

/// See `[tracker]` in config.toml, and `[classes]` in the economy's default.toml.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How often clients should announce.
    pub announce_interval_secs: u32,
    /// Sooner than this: a warning and an empty list. 0: no limit.
    pub min_interval_secs: u32,
    /// Peers for a client that doesn't say how many it would like.
    pub numwant_default: u32,
    /// Peers in one reply, at most.
    pub numwant_max: u32,
    /// Sessions of one member in one swarm.
    pub max_peers_per_torrent_per_user: usize,
    /// Torrents that a member of each class may download at a time, in the order of
    /// [`UserClass::ALL`](crate::registry::UserClass::ALL). 0: no limit. From the economy's policy.
    pub download_slots: [u32; 4],
    /// `torrents = "any"`: unknown info hashes are tracked, without accounts.
    pub track_unregistered: bool,
    /// Whether UDP announces and scrapes of unregistered torrents are answered without a key.
    pub udp_keyless: bool,
    /// Where a trusted proxy says whom it speaks for.
    pub client_ip_header: Option<HeaderName>,
    /// Who is believed about that.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether a client's own `ip=` is believed.
    pub allow_ip_param: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            announce_interval_secs: 1800,
            min_interval_secs: 900,
            numwant_default: 50,
            numwant_max: 200,
            max_peers_per_torrent_per_user: 3,
            download_slots: [0; 4],
            track_unregistered: false,
            udp_keyless: false,
            client_ip_header: None,
            trusted_proxies: Vec::new(),
            allow_ip_param: false,
        }
    }
}

impl Settings {
    /// A peer that missed two announces in a row is gone.
    pub fn peer_timeout_secs(&self) -> u32 {
        self.announce_interval_secs.saturating_mul(2)
    }

    /// Whether an address belongs to a proxy that is believed.
    pub fn trusts(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.trusted_proxies.iter().any(|net| net.contains(&ip))
    }
}
