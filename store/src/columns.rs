//! How our types look as columns, and back. What doesn't fit is [`StoreError::Corrupt`].

use tracker_core::accounting::{Baseline, Counters, Suspect, SuspectKind};
use tracker_core::ids::UnixTime;
use tracker_core::record::Role;
use tracker_core::registry::{MemberStatus, TorrentStatus, UserClass};

use crate::error::{Result, StoreError};

/// The highest count: SQL has no unsigned 64 bits.
pub(crate) const COUNT_MAX: u64 = i64::MAX as u64;

/// A count on its way in. What is beyond 8 EiB stays at 8 EiB.
pub(crate) fn bigint(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A count on its way out.
pub(crate) fn count(value: i64, column: &'static str) -> Result<u64> {
    u64::try_from(value).map_err(|_| StoreError::corrupt(column, value))
}

/// A baseline as a row of `sessions` keeps it.
#[derive(Clone, Copy, sqlx::FromRow)]
pub(crate) struct BaselineColumns {
    pub(crate) uploaded: i64,
    pub(crate) downloaded: i64,
    pub(crate) suspect: i64,
    pub(crate) suspect_uploaded: i64,
    pub(crate) suspect_downloaded: i64,
}

impl From<Baseline> for BaselineColumns {
    fn from(baseline: Baseline) -> Self {
        let Baseline { counters, suspect } = baseline;
        let fallen_to = suspect.map(|suspect| suspect.counters).unwrap_or_default();
        Self {
            uploaded: bigint(counters.uploaded),
            downloaded: bigint(counters.downloaded),
            suspect: match suspect.map(|suspect| suspect.kind) {
                None => 0,
                Some(SuspectKind::Fell) => 1,
                Some(SuspectKind::Repeated) => 2,
                Some(SuspectKind::Ended) => 3,
            },
            suspect_uploaded: bigint(fallen_to.uploaded),
            suspect_downloaded: bigint(fallen_to.downloaded),
        }
    }
}

impl TryFrom<BaselineColumns> for Baseline {
    type Error = StoreError;

    fn try_from(columns: BaselineColumns) -> Result<Self> {
        let fallen_to = Counters {
            uploaded: count(columns.suspect_uploaded, "sessions.suspect_uploaded")?,
            downloaded: count(columns.suspect_downloaded, "sessions.suspect_downloaded")?,
        };
        let kind = match columns.suspect {
            0 => None,
            1 => Some(SuspectKind::Fell),
            2 => Some(SuspectKind::Repeated),
            3 => Some(SuspectKind::Ended),
            other => return Err(StoreError::corrupt("sessions.suspect", other)),
        };
        Ok(Self {
            counters: Counters {
                uploaded: count(columns.uploaded, "sessions.uploaded")?,
                downloaded: count(columns.downloaded, "sessions.downloaded")?,
            },
            suspect: kind.map(|kind| Suspect {
                counters: fallen_to,
                kind,
            }),
        })
    }
}

/// A row number.
pub(crate) fn id(value: i64, column: &'static str) -> Result<u32> {
    u32::try_from(value).map_err(|_| StoreError::corrupt(column, value))
}

/// A time.
pub(crate) fn time(value: i64, column: &'static str) -> Result<UnixTime> {
    id(value, column).map(UnixTime)
}

/// The same, where there may be none.
pub(crate) fn maybe_time(value: Option<i64>, column: &'static str) -> Result<Option<UnixTime>> {
    value.map(|at| time(at, column)).transpose()
}

/// A hash, a key or an endpoint.
pub(crate) fn array<const N: usize>(bytes: &[u8], column: &'static str) -> Result<[u8; N]> {
    bytes
        .try_into()
        .map_err(|_| StoreError::corrupt(column, format!("{} bytes", bytes.len())))
}

/// The same, where there may be none.
pub(crate) fn maybe_array<const N: usize>(
    bytes: Option<Vec<u8>>,
    column: &'static str,
) -> Result<Option<[u8; N]>> {
    bytes.map(|bytes| array(&bytes, column)).transpose()
}

/// An enum that is a word in the database, in JSON and in logs.
pub(crate) trait Word: Copy + 'static {
    const ALL: &'static [Self];
    const COLUMN: &'static str;

    fn word(self) -> &'static str;

    fn parse(text: &str) -> Result<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|candidate| candidate.word() == text)
            .ok_or_else(|| StoreError::corrupt(Self::COLUMN, format!("`{text}`")))
    }
}

impl Word for MemberStatus {
    const ALL: &'static [Self] = &[Self::Active, Self::Disabled];
    const COLUMN: &'static str = "users.status";

    fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }
}

impl Word for UserClass {
    const ALL: &'static [Self] = &Self::ALL;
    const COLUMN: &'static str = "users.class";

    fn word(self) -> &'static str {
        self.name()
    }
}

impl Word for TorrentStatus {
    const ALL: &'static [Self] = &[Self::Open, Self::Pending, Self::Closed];
    const COLUMN: &'static str = "torrents.status";

    fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Pending => "pending",
            Self::Closed => "closed",
        }
    }
}

impl Word for Role {
    const ALL: &'static [Self] = &[Self::Leecher, Self::Seeder, Self::Partial];
    const COLUMN: &'static str = "sessions.role";

    fn word(self) -> &'static str {
        match self {
            Self::Leecher => "leecher",
            Self::Seeder => "seeder",
            Self::Partial => "partial",
        }
    }
}
