//! The policies that concern a batch: read in its transaction, so that none is a moment too old.

use std::borrow::Cow;
use std::collections::HashMap;

use economy::window::{self, Counted, Scope, Who, Window};
use tracker_core::accounting::Counters;
use tracker_core::ids::{TorrentId, UnixTime, UserId};
use tracker_core::record::SessionKey;
use tracker_core::registry::UserClass;

use super::{Batch, SessionChange};

/// Memory forgets silent sessions now and then, not to the second.
const SLACK_SECS: u32 = 600;

/// What bytes count.
pub(super) struct Policies {
    /// All that hold from here on are known.
    pub(super) since: UnixTime,
    windows: Vec<Window>,
    /// Of the batch's members, where a policy or a change asks for it.
    pub(super) classes: HashMap<UserId, UserClass>,
    /// When the batch's members had another class, in order: hardly any had.
    changes: HashMap<UserId, Vec<ClassChange>>,
    /// What else holds for one member in one torrent: few have any.
    tokens: HashMap<(UserId, TorrentId), Vec<Window>>,
}

/// A member's class became another one.
#[derive(Clone, Copy)]
pub(super) struct ClassChange {
    pub(super) user: UserId,
    /// The first second of the class after it.
    pub(super) at: UnixTime,
    pub(super) before: UserClass,
}

pub(super) type ClassChangeRow = (i64, i64, String);

/// What of a session's growth counts in the same way.
pub(super) struct Part {
    /// The member's then; `None`: the one that they have.
    pub(super) class: Option<UserClass>,
    pub(super) growth: Counters,
    pub(super) counted: Counted,
}

/// Freeleech for one member in one torrent.
pub(super) struct Token {
    pub(super) user: UserId,
    pub(super) torrent: TorrentId,
    pub(super) starts_at: UnixTime,
    pub(super) ends_at: UnixTime,
}

pub(super) type TokenRow = (i64, i64, i64, i64);

impl Policies {
    pub(super) fn new(since: UnixTime, windows: Vec<Window>) -> Self {
        Self {
            since,
            windows,
            classes: HashMap::new(),
            changes: HashMap::new(),
            tokens: HashMap::new(),
        }
    }

    /// A token is a window for its member that is looked at in its torrent alone.
    pub(super) fn add_tokens(&mut self, tokens: Vec<Token>) {
        for token in tokens {
            let window = Window {
                scope: Scope::User(token.user),
                download_percent: 0,
                upload_percent: 100,
                starts_at: token.starts_at,
                ends_at: Some(token.ends_at),
            };
            let place = (token.user, token.torrent);
            self.tokens.entry(place).or_default().push(window);
        }
    }

    /// In the order of their times.
    pub(super) fn add_changes(&mut self, changes: Vec<ClassChange>) {
        for change in changes {
            self.changes.entry(change.user).or_default().push(change);
        }
    }

    /// The last change of a member's class that is known here, and has to be the last there is.
    pub(super) fn class_changed_at(&self, user: UserId) -> UnixTime {
        let last = self.changes_of(user).last();
        last.map_or(UnixTime(0), |change| change.at)
    }

    /// Before this, no session of the batch that memory knows can have announced.
    pub(super) fn earliest(batch: &Batch) -> UnixTime {
        let first = batch.sessions.iter().map(|change| change.first_at).min();
        earlier(first.unwrap_or_default(), batch)
    }

    /// Most sites have no policy for a class, and most members no other class than they had.
    pub(super) fn ask_for_classes(&self) -> bool {
        let is_class = |window: &Window| matches!(window.scope, Scope::Class(_));
        !self.changes.is_empty() || self.windows.iter().any(is_class)
    }

    /// Whether it matters when the session announced before: a policy began or ended since it may have, or the member's
    /// class changed.
    pub(super) fn ask_for_time(&self, change: &SessionChange, batch: &Batch) -> bool {
        let (from, to) = (earlier(change.first_at, batch), change.announced_at);
        let changes = self.changes_of(change.key.user);
        if changes
            .iter()
            .any(|change| from < change.at && change.at <= to)
        {
            return true;
        }
        let windows = self.windows(&change.key);
        let has_edge = |class| window::has_edge(&windows, &who(&change.key, class), from, to);
        !windows.is_empty() && has_edge(self.class(change.key.user))
    }

    /// What growth between two announces counts: cut where the member's class changed, and each part counted for the class
    /// that they had then.
    pub(super) fn count(
        &self,
        key: &SessionKey,
        growth: Counters,
        from: UnixTime,
        to: UnixTime,
        mut each: impl FnMut(Part),
    ) {
        let windows = self.windows(key);
        let class = self.class(key.user);
        let counted =
            |class, growth, from, to| window::count(&windows, &who(key, class), growth, from, to);
        let changes = self.changes_of(key.user);
        if changes.is_empty() {
            return each(Part {
                class: None,
                growth,
                counted: counted(class, growth, from, to),
            });
        }
        // Everything at once, if nothing is known of the time before.
        let clamp = |at: UnixTime| if from < to { at.clamp(from, to) } else { from };
        let (mut start, mut so_far) = (from, Counters::default());
        let ends = changes.iter().map(|change| (change.at, change.before));
        for (end, class) in ends.chain([(UnixTime(u32::MAX), class)]) {
            let (by_end, _) = window::cut(growth, from, to, end);
            let part = Counters {
                uploaded: by_end.uploaded - so_far.uploaded,
                downloaded: by_end.downloaded - so_far.downloaded,
            };
            let until = if from < to { clamp(end) } else { to };
            if part != Counters::default() {
                each(Part {
                    class: Some(class),
                    growth: part,
                    counted: counted(class, part, start, until),
                });
            }
            (start, so_far) = (clamp(end), by_end);
        }
    }

    fn changes_of(&self, user: UserId) -> &[ClassChange] {
        self.changes.get(&user).map_or(&[], Vec::as_slice)
    }

    fn class(&self, user: UserId) -> UserClass {
        self.classes.get(&user).copied().unwrap_or_default()
    }

    fn windows(&self, key: &SessionKey) -> Cow<'_, [Window]> {
        match self.tokens.get(&(key.user, key.torrent)) {
            None => Cow::Borrowed(&self.windows),
            Some(tokens) => Cow::Owned([self.windows.as_slice(), tokens].concat()),
        }
    }
}

fn who(key: &SessionKey, class: UserClass) -> Who {
    Who {
        user: key.user,
        class,
        torrent: key.torrent,
    }
}

fn earlier(at: UnixTime, batch: &Batch) -> UnixTime {
    let back = batch.silence_secs.saturating_add(SLACK_SECS);
    UnixTime(at.0.saturating_sub(back)).min(batch.hints_since)
}
