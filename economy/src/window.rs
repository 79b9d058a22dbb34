//! Freeleech and multipliers: from when to when, for whom, and what traffic counts for then.

use tracker_core::accounting::Counters;
use tracker_core::ids::{TorrentId, UnixTime, UserId};
use tracker_core::registry::UserClass;

/// Whom a [`Window`] is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everybody, in every torrent.
    Global,
    /// The members of one class.
    Class(UserClass),
    /// Everybody, in one torrent.
    Torrent(TorrentId),
    /// One member. A token is such a window too, given to [`count`] for the token's torrent alone.
    User(UserId),
}

/// A time in which traffic counts for less, or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// For whom.
    pub scope: Scope,
    /// What a downloaded byte counts for: 0 (freeleech) to 100.
    pub download_percent: u16,
    /// What an uploaded byte counts for: 100 to 1000.
    pub upload_percent: u16,
    /// The first second.
    pub starts_at: UnixTime,
    /// The first second after it; without, it doesn't end.
    pub ends_at: Option<UnixTime>,
}

/// Whose traffic, and in which torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who {
    /// The member.
    pub user: UserId,
    /// Their class at the time.
    pub class: UserClass,
    /// The torrent.
    pub torrent: TorrentId,
}

/// Bytes times percent: hundredths of a byte, so that nothing is rounded until it is priced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Hundredths of an uploaded byte.
    pub uploaded: u128,
    /// Hundredths of a downloaded byte.
    pub downloaded: u128,
}

impl Counted {
    /// Adds, and stays at the top instead of wrapping round.
    pub fn saturating_add(self, other: Self) -> Self {
        Self {
            uploaded: self.uploaded.saturating_add(other.uploaded),
            downloaded: self.downloaded.saturating_add(other.downloaded),
        }
    }
}

impl Window {
    /// Whether its numbers are in range and its end is after its start; if not, what would be right.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.download_percent > 100 {
            return Err("download_percent is not a number from 0 to 100");
        }
        if !(100..=1000).contains(&self.upload_percent) {
            return Err("upload_percent is not a number from 100 to 1000");
        }
        if self.ends_at.is_some_and(|end| end <= self.starts_at) {
            return Err("ends_at is not after starts_at");
        }
        Ok(())
    }

    /// Whether it is for them, at whatever time.
    pub fn applies_to(&self, who: &Who) -> bool {
        match self.scope {
            Scope::Global => true,
            Scope::Class(class) => class == who.class,
            Scope::Torrent(torrent) => torrent == who.torrent,
            Scope::User(user) => user == who.user,
        }
    }

    /// Whether `time` lies in it.
    pub fn is_open_at(&self, time: UnixTime) -> bool {
        self.starts_at <= time && self.ends_at.is_none_or(|end| time < end)
    }

    /// Whether both are open at some time, for the same: one of them would be for nothing.
    pub fn overlaps(&self, other: &Self) -> bool {
        let starts_before_end =
            |one: &Self, other: &Self| other.ends_at.is_none_or(|end| one.starts_at < end);
        self.scope == other.scope
            && starts_before_end(self, other)
            && starts_before_end(other, self)
    }

    fn edges(&self) -> impl Iterator<Item = UnixTime> {
        [Some(self.starts_at), self.ends_at].into_iter().flatten()
    }
}

/// What growth between two announces counts.
///
/// It is split at each edge in proportion to time: by an edge, the whole bytes that an even pace had moved by then, so that
/// the parts add up to the growth. In each part the best percent for the member is taken, separately for each direction.
/// Whoever comes from nowhere (`from` isn't before `to`) has moved everything at `to`.
pub fn count(
    windows: &[Window],
    who: &Who,
    growth: Counters,
    from: UnixTime,
    to: UnixTime,
) -> Counted {
    let theirs = || windows.iter().filter(|window| window.applies_to(who));
    let mut edges: Vec<UnixTime> = theirs()
        .flat_map(Window::edges)
        .filter(|edge| from < *edge && *edge < to)
        .collect();
    edges.sort_unstable();
    edges.dedup();

    let mut counted = Counted::default();
    let mut start = if from < to { from } else { to };
    let mut so_far = Counters::default();
    for end in edges.into_iter().chain([to]) {
        let by_end = if end == to {
            growth
        } else {
            moved_by(end, growth, from, to)
        };
        let open = || theirs().filter(|window| window.is_open_at(start));
        let download_percent = open().map(|window| window.download_percent).min();
        let upload_percent = open().map(|window| window.upload_percent).max();
        counted = counted.saturating_add(Counted {
            uploaded: times(by_end.uploaded - so_far.uploaded, upload_percent),
            downloaded: times(by_end.downloaded - so_far.downloaded, download_percent),
        });
        (start, so_far) = (end, by_end);
    }
    counted
}

/// Cuts growth in two, as [`count`] would at an edge: for a member whose class changes at `at`, between two announces. What
/// came before counts for the old class, the rest for the new.
pub fn cut(growth: Counters, from: UnixTime, to: UnixTime, at: UnixTime) -> (Counters, Counters) {
    let before = if at >= to && from < to {
        growth
    } else if at <= from || from >= to {
        Counters::default()
    } else {
        moved_by(at, growth, from, to)
    };
    let after = Counters {
        uploaded: growth.uploaded - before.uploaded,
        downloaded: growth.downloaded - before.downloaded,
    };
    (before, after)
}

/// Whether the answer of [`count`] depends on `from`: an edge of a window that applies to them lies after `from`, and not
/// after `to`. If not, everything counts as it does at `to`.
pub fn has_edge(windows: &[Window], who: &Who, from: UnixTime, to: UnixTime) -> bool {
    windows
        .iter()
        .filter(|window| window.applies_to(who))
        .flat_map(Window::edges)
        .any(|edge| from < edge && edge <= to)
}

/// `time` is between `from` and `to`, and `from` before `to`.
fn moved_by(time: UnixTime, growth: Counters, from: UnixTime, to: UnixTime) -> Counters {
    let elapsed = u128::from(time.secs_since(from));
    let whole = u128::from(to.secs_since(from)).max(1);
    // A share of a u64 is one too.
    let share = |bytes: u64| (u128::from(bytes) * elapsed / whole) as u64;
    Counters {
        uploaded: share(growth.uploaded),
        downloaded: share(growth.downloaded),
    }
}

fn times(bytes: u64, percent: Option<u16>) -> u128 {
    u128::from(bytes) * u128::from(percent.unwrap_or(100))
}
