//! How many torrents each member is downloading: touched when a download begins or ends, and never by a regular announce.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use crate::ids::UserId;
use crate::pages::Pages;

/// A member has a slot of each open torrent that they leech, by however many clients. Who came without a key has none.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    taken: Pages<AtomicU32>,
}

impl Slots {
    /// Takes one, unless the member has `limit` already; 0: no limit. One step, as announces to other torrents may be
    /// doing the same.
    pub(super) fn take(&self, user: UserId, limit: u32) -> bool {
        let one_more = |taken| (limit == 0 || taken < limit).then_some(taken + 1);
        let slots = self.taken.get_or_make(user);
        slots.fetch_update(Relaxed, Relaxed, one_more).is_ok()
    }

    /// Gives back one that was taken.
    pub(super) fn give_back(&self, user: UserId) {
        if let Some(slots) = self.taken.get(user) {
            let before = slots.fetch_update(Relaxed, Relaxed, |taken| taken.checked_sub(1));
            debug_assert!(before.is_ok(), "{user:?} had none");
        }
    }
}

#[cfg(test)]
impl Slots {
    pub(super) fn taken(&self, user: UserId) -> u32 {
        self.taken.get(user).map_or(0, |slots| slots.load(Relaxed))
    }
}

#[cfg(test)]
mod tests;
