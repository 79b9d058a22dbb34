//! Where clients, tracker and test find each other.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Condvar, Mutex};

use crate::site::{PATIENCE, Server};

/// Shared by all of them.
#[derive(Default)]
pub(crate) struct Meeting {
    /// The tracker's starts, and the port of the last.
    place: Mutex<(u64, u16)>,
    /// The place has changed, or as many have been answered as the test waits for.
    news: Condvar,
    answered: AtomicU64,
    awaited: AtomicU64,
    is_over: AtomicBool,
    troubles: Mutex<(u64, Option<String>)>,
}

impl Meeting {
    /// The tracker has been started.
    pub(crate) fn begin(&self, server: &Server) {
        let mut place = self.place.lock().unwrap();
        *place = (place.0 + 1, server.announce_port());
        self.news.notify_all();
    }

    /// The tracker's present start, or its first.
    pub(crate) fn place(&self) -> (u64, u16) {
        self.place_after(0)
    }

    /// The first start after that one.
    pub(crate) fn place_after(&self, start: u64) -> (u64, u16) {
        let is_old = |place: &mut (u64, u16)| place.0 <= start;
        let place = self.place.lock().unwrap();
        let waited = self.news.wait_timeout_while(place, PATIENCE, is_old);
        let (place, timeout) = waited.unwrap();
        assert!(!timeout.timed_out(), "nobody listens any more");
        *place
    }

    /// The test has seen enough.
    pub(crate) fn end(&self) {
        self.is_over.store(true, SeqCst);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(SeqCst)
    }

    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(SeqCst)
    }

    /// Failures and lost connections so far: how many, and the first.
    pub(crate) fn troubles(&self) -> (u64, Option<String>) {
        self.troubles.lock().unwrap().clone()
    }

    pub(crate) fn note_answer(&self) {
        if self.answered.fetch_add(1, SeqCst) + 1 == self.awaited.load(SeqCst) {
            // Locked, so that nobody is between a look at the number and going to sleep.
            let _place = self.place.lock().unwrap();
            self.news.notify_all();
        }
    }

    pub(crate) fn note_trouble(&self, trouble: String) {
        let mut troubles = self.troubles.lock().unwrap();
        troubles.0 += 1;
        troubles.1.get_or_insert(trouble);
    }

    /// Returns as soon as so many more announces have been answered.
    pub(crate) fn wait_for_answers(&self, answers: u64) {
        let awaited = self.answered.load(SeqCst) + answers;
        self.awaited.store(awaited, SeqCst);
        let is_early = |_: &mut (u64, u16)| self.answered.load(SeqCst) < awaited;
        let place = self.place.lock().unwrap();
        let waited = self.news.wait_timeout_while(place, PATIENCE, is_early);
        let timeout = waited.unwrap().1;
        assert!(!timeout.timed_out(), "no answers: {:?}", self.troubles);
    }
}
