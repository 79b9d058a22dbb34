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
    /// Of the batch's members, where a policy asks for it.
    pub(super) classes: HashMap<UserId, UserClass>,
    /// What else holds for one member in one torrent: few have any.
    tokens: HashMap<(UserId, TorrentId), Vec<Window>>,
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

    /// Before this, no session of the batch that memory knows can have announced.
    pub(super) fn earliest(batch: &Batch) -> UnixTime {
        let first = batch.sessions.iter().map(|change| change.first_at).min();
        earlier(first.unwrap_or_default(), batch)
    }

    /// Most sites have none for a class.
    pub(super) fn ask_for_classes(&self) -> bool {
        let is_class = |window: &Window| matches!(window.scope, Scope::Class(_));
        self.windows.iter().any(is_class)
    }

    /// Whether it matters when the session announced before: a policy began or ended since it may have.
    pub(super) fn ask_for_time(&self, change: &SessionChange, batch: &Batch) -> bool {
        let from = earlier(change.first_at, batch);
        let windows = self.windows(&change.key);
        !windows.is_empty()
            && window::has_edge(&windows, &self.who(&change.key), from, change.announced_at)
    }

    /// What growth between two announces counts.
    pub(super) fn count(
        &self,
        key: &SessionKey,
        growth: Counters,
        from: UnixTime,
        to: UnixTime,
    ) -> Counted {
        window::count(&self.windows(key), &self.who(key), growth, from, to)
    }

    fn windows(&self, key: &SessionKey) -> Cow<'_, [Window]> {
        match self.tokens.get(&(key.user, key.torrent)) {
            None => Cow::Borrowed(&self.windows),
            Some(tokens) => Cow::Owned([self.windows.as_slice(), tokens].concat()),
        }
    }

    fn who(&self, key: &SessionKey) -> Who {
        Who {
            user: key.user,
            class: self.classes.get(&key.user).copied().unwrap_or_default(),
            torrent: key.torrent,
        }
    }
}

fn earlier(at: UnixTime, batch: &Batch) -> UnixTime {
    let back = batch.silence_secs.saturating_add(SLACK_SECS);
    UnixTime(at.0.saturating_sub(back)).min(batch.hints_since)
}
