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
    let all_before = if from < to { at >= to } else { at > to };
    let before = if all_before {
        growth
    } else if from < at && at < to {
        moved_by(at, growth, from, to)
    } else {
        Counters::default()
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WHO: Who = Who {
        user: UserId(7),
        class: UserClass::Member,
        torrent: TorrentId(3),
    };

    fn window(scope: Scope, (down, up): (u16, u16), starts_at: u32, ends_at: u32) -> Window {
        Window {
            scope,
            download_percent: down,
            upload_percent: up,
            starts_at: UnixTime(starts_at),
            ends_at: (ends_at != 0).then_some(UnixTime(ends_at)),
        }
    }

    fn bytes(uploaded: u64, downloaded: u64) -> Counters {
        Counters {
            uploaded,
            downloaded,
        }
    }

    fn counted(windows: &[Window], growth: Counters, from: u32, to: u32) -> (u128, u128) {
        let counted = count(windows, &WHO, growth, UnixTime(from), UnixTime(to));
        (counted.uploaded, counted.downloaded)
    }

    #[test]
    fn a_window_is_for_whom_it_says() {
        let table = [
            (Scope::Global, true),
            (Scope::Class(UserClass::Member), true),
            (Scope::Class(UserClass::Elite), false),
            (Scope::Torrent(TorrentId(3)), true),
            (Scope::Torrent(TorrentId(7)), false),
            (Scope::User(UserId(7)), true),
            (Scope::User(UserId(3)), false),
        ];
        for (scope, applies) in table {
            let window = window(scope, (0, 100), 100, 0);
            assert_eq!(window.applies_to(&WHO), applies, "{scope:?}");
            let expected = if applies { (1000, 0) } else { (1000, 1000) };
            assert_eq!(
                counted(&[window], bytes(10, 10), 100, 200),
                expected,
                "{scope:?}"
            );
        }
    }

    /// Each row: from, to, and what 1000 bytes down and 1000 up count, in a window from 1000 to 2000 of 50 % and 200 %.
    #[test]
    fn a_window_begins_with_its_first_second_and_ends_before_its_last() {
        let windows = [window(Scope::Global, (50, 200), 1000, 2000)];
        let table = [
            ("at once, a second before", 999, 999, (100_000, 100_000)),
            (
                "at once, in the first second",
                1000,
                1000,
                (200_000, 50_000),
            ),
            ("at once, in the last second", 1999, 1999, (200_000, 50_000)),
            ("at once, at the end", 2000, 2000, (100_000, 100_000)),
            ("backwards, into it", 1500, 1200, (200_000, 50_000)),
            ("backwards, out of it", 1500, 900, (100_000, 100_000)),
            ("up to its start", 900, 1000, (100_000, 100_000)),
            (
                "one second of a hundred is in it",
                901,
                1001,
                (101_000, 99_500),
            ),
            ("half is in it", 900, 1100, (150_000, 75_000)),
            ("all of it, edge to edge", 1000, 2000, (200_000, 50_000)),
            ("half is after it", 1900, 2100, (150_000, 75_000)),
            (
                "one second of a hundred was in it",
                1999,
                2099,
                (101_000, 99_500),
            ),
            ("from its end on", 2000, 2100, (100_000, 100_000)),
            ("it is a quarter of the time", 500, 4500, (125_000, 87_500)),
        ];
        for (name, from, to, expected) in table {
            assert_eq!(
                counted(&windows, bytes(1000, 1000), from, to),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn a_part_is_the_whole_bytes_that_had_moved_by_its_end() {
        let windows = [
            window(Scope::Global, (0, 100), 101, 102),
            window(Scope::Torrent(WHO.torrent), (0, 200), 102, 0),
        ];
        // Of ten bytes in three seconds: three in the first, three in the second, four in the third.
        assert_eq!(counted(&windows[..1], bytes(10, 10), 100, 103), (1000, 700));
        assert_eq!(counted(&windows, bytes(10, 10), 100, 103), (1400, 300));
        let most = bytes(u64::MAX, u64::MAX);
        let all = u128::from(u64::MAX);
        let halves = [window(Scope::Global, (100, 1000), 0, 1 << 31)];
        let (up, down) = counted(&halves, most, 0, u32::MAX);
        assert!(up > 549 * all && up < 551 * all, "nothing overflows: {up}");
        assert_eq!(down, 100 * all);
    }

    #[test]
    fn the_best_for_the_member_wins_in_each_direction() {
        let user = Scope::User(WHO.user);
        let class = Scope::Class(WHO.class);
        let table: &[(&str, &[Window], (u128, u128))] = &[
            ("none", &[], (10_000, 10_000)),
            (
                "two of which each is better in one direction",
                &[
                    window(Scope::Global, (50, 300), 100, 0),
                    window(user, (20, 200), 100, 0),
                ],
                (30_000, 2_000),
            ),
            (
                "freeleech of a torrent within a half price for all",
                &[
                    window(Scope::Global, (50, 100), 100, 200),
                    window(Scope::Torrent(WHO.torrent), (0, 100), 150, 200),
                ],
                (10_000, 2_500),
            ),
            (
                "factors of two windows aren't multiplied",
                &[
                    window(Scope::Global, (100, 200), 100, 200),
                    window(class, (100, 200), 100, 200),
                ],
                (20_000, 10_000),
            ),
            (
                "one for others changes nothing",
                &[window(Scope::Class(UserClass::Elite), (0, 1000), 100, 200)],
                (10_000, 10_000),
            ),
        ];
        for (name, windows, expected) in table {
            assert_eq!(
                counted(windows, bytes(100, 100), 100, 200),
                *expected,
                "{name}"
            );
        }
    }

    /// Promoted at 130, between announces at 100 and 200: freeleech for members ends for them, that for elites begins.
    #[test]
    fn who_changes_class_between_announces_has_both() {
        let windows = [window(Scope::Class(UserClass::Elite), (0, 200), 100, 0)];
        let [from, to, at] = [100, 200, 130].map(UnixTime);
        let (before, after) = cut(bytes(1001, 100), from, to, at);
        assert_eq!((before, after), (bytes(300, 30), bytes(701, 70)));
        let promoted = Who {
            class: UserClass::Elite,
            ..WHO
        };
        let counted = count(&windows, &WHO, before, from, at)
            .saturating_add(count(&windows, &promoted, after, at, to));
        assert_eq!(counted.uploaded, 300 * 100 + 701 * 200);
        assert_eq!(counted.downloaded, 30 * 100);
    }

    /// Each row: from, to, when the class changes, and what of 100 bytes was before.
    #[test]
    fn growth_is_cut_where_the_class_changes() {
        let table = [
            (100, 200, 99, 0),
            (100, 200, 100, 0),
            (100, 200, 101, 1),
            (100, 200, 199, 99),
            (100, 200, 200, 100),
            (100, 200, 201, 100),
            (200, 200, 199, 0),
            (200, 200, 200, 0),
            (200, 200, 201, 100),
            (300, 200, 250, 100),
            (300, 200, 200, 0),
        ];
        for (from, to, at, expected) in table {
            let (before, after) = cut(bytes(100, 0), UnixTime(from), UnixTime(to), UnixTime(at));
            assert_eq!(before.uploaded, expected, "{from} to {to}, at {at}");
            assert_eq!(after.uploaded, 100 - expected, "{from} to {to}, at {at}");
        }
    }

    #[test]
    fn a_window_is_checked() {
        let table = [
            (window(Scope::Global, (0, 100), 5, 6), None),
            (window(Scope::Global, (100, 1000), 5, 0), None),
            (
                window(Scope::Global, (101, 100), 5, 6),
                Some("download_percent"),
            ),
            (window(Scope::Global, (0, 99), 5, 6), Some("upload_percent")),
            (
                window(Scope::Global, (0, 1001), 5, 6),
                Some("upload_percent"),
            ),
            (window(Scope::Global, (0, 100), 5, 5), Some("ends_at")),
            (window(Scope::Global, (0, 100), 5, 4), Some("ends_at")),
        ];
        for (window, wrong) in table {
            let key = window.check().err().and_then(|why| why.split(' ').next());
            assert_eq!(key, wrong, "{window:?}");
        }
    }

    #[test]
    fn windows_overlap_when_both_are_open_for_the_same() {
        let one = window(Scope::Class(UserClass::Member), (0, 100), 100, 200);
        let table = [
            (Scope::Class(UserClass::Member), 200, 300, false),
            (Scope::Class(UserClass::Member), 199, 300, true),
            (Scope::Class(UserClass::Member), 50, 100, false),
            (Scope::Class(UserClass::Member), 50, 101, true),
            (Scope::Class(UserClass::Member), 50, 0, true),
            (Scope::Class(UserClass::Member), 200, 0, false),
            (Scope::Class(UserClass::Member), 120, 130, true),
            (Scope::Class(UserClass::Newbie), 120, 130, false),
            (Scope::Global, 120, 130, false),
        ];
        for (scope, starts_at, ends_at, overlap) in table {
            let other = window(scope, (0, 100), starts_at, ends_at);
            assert_eq!(one.overlaps(&other), overlap, "{other:?}");
            assert_eq!(
                other.overlaps(&one),
                overlap,
                "{other:?}, asked the other way"
            );
        }
    }

    fn any_window() -> impl Strategy<Value = Window> {
        let scope = prop_oneof![
            Just(Scope::Global),
            Just(Scope::Class(WHO.class)),
            Just(Scope::Class(UserClass::Elite)),
            Just(Scope::Torrent(WHO.torrent)),
            Just(Scope::User(WHO.user)),
        ];
        let percent = (0..=100_u16, 100..=1000_u16);
        let length = prop_oneof![Just(None), (1..80_u32).prop_map(Some)];
        (scope, percent, 0..120_u32, length).prop_map(|(scope, percent, start, length)| {
            window(
                scope,
                percent,
                start,
                length.map_or(0, |length| start + length),
            )
        })
    }

    fn any_windows() -> impl Strategy<Value = Vec<Window>> {
        proptest::collection::vec(any_window(), 0..8)
    }

    fn any_growth() -> impl Strategy<Value = Counters> {
        let amount = || prop_oneof![0..1000_u64, any::<u64>()];
        (amount(), amount()).prop_map(|(uploaded, downloaded)| bytes(uploaded, downloaded))
    }

    proptest! {
        /// Edges without a difference, wherever they are, lose and invent nothing.
        #[test]
        fn a_window_of_100_and_100_changes_nothing(
            windows in any_windows(), neutral in any_windows(), growth in any_growth(), from in 0..120_u32, to in 0..120_u32
        ) {
            let neutral = neutral.into_iter().map(|window| Window {
                download_percent: 100,
                upload_percent: 100,
                ..window
            });
            let alone: Vec<Window> = neutral.clone().collect();
            let whole = (u128::from(growth.uploaded) * 100, u128::from(growth.downloaded) * 100);
            prop_assert_eq!(counted(&alone, growth, from, to), whole);
            let more: Vec<Window> = windows.iter().copied().chain(neutral).collect();
            prop_assert_eq!(counted(&more, growth, from, to), counted(&windows, growth, from, to));
        }

        #[test]
        fn a_window_in_two_pieces_is_the_same_window(
            windows in any_windows(), at in 0..120_u32, growth in any_growth(), from in 0..120_u32, to in 0..120_u32
        ) {
            let at = UnixTime(at);
            let pieces: Vec<Window> = windows
                .iter()
                .flat_map(|window| {
                    let first = Window { ends_at: Some(at), ..*window };
                    let second = Window { starts_at: at, ..*window };
                    if window.starts_at < at && window.is_open_at(at) {
                        vec![first, second]
                    } else {
                        vec![*window]
                    }
                })
                .collect();
            prop_assert_eq!(counted(&pieces, growth, from, to), counted(&windows, growth, from, to));
        }

        #[test]
        fn more_windows_never_make_it_worse(
            windows in any_windows(), more in any_windows(), growth in any_growth(), from in 0..120_u32, to in 0..120_u32
        ) {
            let (up, down) = counted(&windows, growth, from, to);
            let all: Vec<Window> = windows.into_iter().chain(more).collect();
            let (more_up, less_down) = counted(&all, growth, from, to);
            prop_assert!(more_up >= up && less_down <= down);
            prop_assert!(more_up <= u128::from(growth.uploaded) * 1000);
        }

        #[test]
        fn without_an_edge_it_counts_as_at_its_end(
            windows in any_windows(), growth in any_growth(), from in 0..120_u32, to in 0..120_u32
        ) {
            let (at_from, at_to) = (UnixTime(from), UnixTime(to));
            if !has_edge(&windows, &WHO, at_from, at_to) {
                prop_assert_eq!(counted(&windows, growth, from, to), counted(&windows, growth, to, to));
            }
        }

        /// Second by second is how it is meant; the sum is exact, as each second's bytes are whole.
        #[test]
        fn it_counts_as_it_would_second_by_second(
            windows in any_windows(), per_second in (0..1000_u64, 0..1000_u64), from in 0..120_u32, secs in 1..120_u32
        ) {
            let (up, down) = per_second;
            let growth = bytes(up * u64::from(secs), down * u64::from(secs));
            let each = (from..from + secs).map(|second| counted(&windows, bytes(up, down), second, second));
            let sum = each.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
            prop_assert_eq!(counted(&windows, growth, from, from + secs), sum);
        }
    }
}
