//! A refusal is an answer: it has a name for metrics and logs, kind words for the member, and says when to come back.

use crate::key::BadKey;
use crate::query::BadQuery;

/// When a refused client may try again: `retry in` (BEP 31).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Nothing that waiting would mend.
    Never,
    /// After so many minutes.
    Minutes(u32),
}

/// Why an announce or a scrape isn't answered with peers or counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The query doesn't say what an announce must say.
    #[error(transparent)]
    BadQuery(#[from] BadQuery),
    /// Neither an announce nor a scrape URL.
    #[error("not an announce URL: copy yours from the site again")]
    NotAnAnnounceUrl,
    /// A good announce URL, opened in a browser: "is my URL right?" has an answer.
    #[error("this announce URL works: give it to your torrent client")]
    NotAnAnnounce,
    /// Another method than GET.
    #[error("only GET is understood here")]
    NotGet,
    /// There's no key in the URL.
    #[error("missing key: copy your announce URL from the site again")]
    MissingKey,
    /// Neither a token nor a passkey.
    #[error("malformed key: copy your announce URL from the site again")]
    MalformedKey,
    /// A token that wasn't signed here, or was changed since.
    #[error("invalid key: copy your announce URL from the site again")]
    InvalidKey,
    /// A passkey or a member that isn't there.
    #[error("unknown key: copy your announce URL from the site again")]
    UnknownKey,
    /// A token past its time.
    #[error("expired key: get a fresh announce URL from the site")]
    ExpiredKey,
    /// A token that its owner or the staff took back.
    #[error("revoked key: get a fresh announce URL from the site")]
    RevokedKey,
    /// A token bound to another torrent.
    #[error("this key is for another torrent: download the .torrent again")]
    WrongTorrent,
    /// A member who may not announce.
    #[error("account disabled: ask the staff")]
    AccountDisabled,
    /// A member who may seed, and not download.
    #[error("your downloads are suspended: see your account on the site")]
    LeechSuspended,
    /// A member who downloads as many torrents as their class may.
    #[error("you may download {0} torrent{s} at a time: finish or stop one first", s = if *.0 == 1 { "" } else { "s" })]
    DownloadSlots(u32),
    /// Its address, or a network around it, is blocked.
    #[error("your address is blocked: ask the staff")]
    AddressBlocked,
    /// A rule denies this torrent client.
    #[error("this torrent client is not allowed here: see the rules of the site")]
    ClientNotAllowed,
    /// The site doesn't have it.
    #[error("unregistered torrent")]
    UnregisteredTorrent,
    /// The site had it.
    #[error("this torrent was taken down")]
    TorrentClosed,
    /// A scrape over UDP. BEP 41 puts the key into announces alone, so nobody knows whose it is.
    #[error("a scrape over UDP has no key: scrape over HTTP")]
    KeylessScrape,
    /// A scrape that names no torrent.
    #[error("full scrape is off: name an info_hash")]
    FullScrape,
    /// The ledger can't keep up. Nothing is lost: the next announce carries the same counters and more.
    #[error("the tracker is busy, try again in a few minutes")]
    Busy,
}

impl Refusal {
    /// Its name in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::BadQuery(_) => "bad_query",
            Self::NotAnAnnounceUrl => "not_an_announce_url",
            Self::NotAnAnnounce => "not_an_announce",
            Self::NotGet => "not_get",
            Self::MissingKey => "missing_key",
            Self::MalformedKey => "malformed_key",
            Self::InvalidKey => "invalid_key",
            Self::UnknownKey => "unknown_key",
            Self::ExpiredKey => "expired_key",
            Self::RevokedKey => "revoked_key",
            Self::WrongTorrent => "wrong_torrent",
            Self::AccountDisabled => "account_disabled",
            Self::LeechSuspended => "leech_suspended",
            Self::DownloadSlots(_) => "download_slots",
            Self::AddressBlocked => "address_blocked",
            Self::ClientNotAllowed => "client_not_allowed",
            Self::UnregisteredTorrent => "unregistered_torrent",
            Self::TorrentClosed => "torrent_closed",
            Self::KeylessScrape => "keyless_scrape",
            Self::FullScrape => "full_scrape",
            Self::Busy => "busy",
        }
    }

    /// A new member's key or a new torrent reaches the tracker within two seconds, so that "unknown" may mend itself.
    pub fn retry(self) -> Retry {
        match self {
            Self::Busy | Self::DownloadSlots(_) => Retry::Minutes(5),
            Self::UnknownKey
            | Self::UnregisteredTorrent
            | Self::AccountDisabled
            | Self::AddressBlocked
            | Self::LeechSuspended => Retry::Minutes(30),
            _ => Retry::Never,
        }
    }
}

impl From<BadKey> for Refusal {
    fn from(bad: BadKey) -> Self {
        match bad {
            BadKey::Malformed => Self::MalformedKey,
            BadKey::Forged => Self::InvalidKey,
        }
    }
}

/// The announce was taken, its counters too, and there is something to say. Goes out as `warning message`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// Earlier than `min interval` after the last one.
    #[error("announced too soon: your bytes are counted, and peers come after the min interval")]
    TooSoon,
    /// `max_peers_per_torrent_per_user` clients of this member are in this swarm already.
    #[error("too many of your clients are on this torrent: stop one of them")]
    TooManyClients,
    /// The torrent awaits moderation.
    #[error("this torrent awaits moderation: peers come once it is approved")]
    PendingTorrent,
    /// Peers are given, for now.
    #[error("your ratio is too low: raise it, or your downloads will be suspended")]
    LowRatio,
}

impl Warning {
    /// Its name in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::TooSoon => "too_soon",
            Self::TooManyClients => "too_many_clients",
            Self::PendingTorrent => "pending_torrent",
            Self::LowRatio => "low_ratio",
        }
    }

    /// Whether no peers are given.
    pub fn withholds_peers(self) -> bool {
        self != Self::LowRatio
    }
}
