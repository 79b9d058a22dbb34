//! Counters in, growth out: the one rule by which reported bytes become credit.
//!
//! A client reports cumulative counters for its session. Credit is their growth above the session's baseline, counted
//! once. The rule runs in one place, where a batch of records meets the baselines in the database. No IO, no clock.

use crate::record::Event;

/// Bytes that a client says it moved since its session began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes sent to other peers.
    pub uploaded: u64,
    /// Bytes received from other peers.
    pub downloaded: u64,
}

impl Counters {
    fn fell_below(self, earlier: Self) -> bool {
        self.uploaded < earlier.uploaded || self.downloaded < earlier.downloaded
    }

    fn growth_since(self, earlier: Self) -> Self {
        Self {
            uploaded: self.uploaded.saturating_sub(earlier.uploaded),
            downloaded: self.downloaded.saturating_sub(earlier.downloaded),
        }
    }

    /// Adds, and stays at the top instead of wrapping round.
    pub fn saturating_add(self, other: Self) -> Self {
        Self {
            uploaded: self.uploaded.saturating_add(other.uploaded),
            downloaded: self.downloaded.saturating_add(other.downloaded),
        }
    }
}

/// Where a session's counted growth ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    /// The counters up to which growth is counted.
    pub counters: Counters,
    /// Counters that the next announce is compared with too.
    pub suspect: Option<Suspect>,
}

/// Counters that are not the baseline's, and not forgotten either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// As reported.
    pub counters: Counters,
    /// What is the matter with them.
    pub kind: SuspectKind,
}

/// What is the matter with a [`Suspect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SuspectKind {
    /// They fell without a word: a stale copy or a silent restart, the next announce tells.
    Fell,
    /// They fell, and came again unchanged.
    Repeated,
    /// The session began anew with `started`, and these were its last before.
    Ended,
}

impl Baseline {
    /// A session nobody has seen before: what came earlier earns nothing.
    pub fn starting_at(counters: Counters) -> Self {
        Self {
            counters,
            suspect: None,
        }
    }

    /// Takes an announce and returns what it adds.
    ///
    /// Falling counters add nothing. With `started` they begin a new baseline at once, and a copy of the `stopped`
    /// before it, which may arrive after it, is known by its counters. Without, they are taken for a stale copy until a
    /// second announce in a row has fallen too. A copy of the same copy proves nothing by itself, as clients send an
    /// announce up to four times and over two address families: it is remembered, and the next announce decides
    /// whether the session did begin anew there.
    pub fn observe(&mut self, reported: Counters, event: Event) -> Counters {
        if !reported.fell_below(self.counters) {
            let ended = self
                .suspect
                .filter(|suspect| suspect.kind == SuspectKind::Ended);
            let is_copy = |ended: Suspect| ended.counters == reported && event == Event::Stopped;
            if ended.is_some_and(is_copy) {
                return Counters::default();
            }
            let growth = reported.growth_since(self.counters);
            self.counters = reported;
            self.suspect = ended.filter(|_| growth == Counters::default());
            return growth;
        }
        let suspect = |counters, kind| Some(Suspect { counters, kind });
        match self.suspect {
            _ if event == Event::Started => {
                self.suspect = suspect(self.counters, SuspectKind::Ended);
                self.counters = reported;
            }
            None
            | Some(Suspect {
                kind: SuspectKind::Ended,
                ..
            }) => self.suspect = suspect(reported, SuspectKind::Fell),
            Some(Suspect { counters, .. }) if counters == reported => {
                self.suspect = suspect(reported, SuspectKind::Repeated);
            }
            Some(Suspect {
                kind: SuspectKind::Repeated,
                counters,
            }) => {
                *self = Self::starting_at(counters);
                return self.observe(reported, event);
            }
            Some(_) => *self = Self::starting_at(reported),
        }
        Counters::default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    fn counters(uploaded: u64, downloaded: u64) -> Counters {
        Counters {
            uploaded,
            downloaded,
        }
    }

    /// What a session reports, in the order in which it arrives.
    #[derive(Clone, Debug)]
    struct Arrival {
        reported: Counters,
        started: bool,
    }

    /// A session's reports as a network may bring them: each up to four times; after each, copies of an earlier one,
    /// up to three times. Not of `started`, once there is another, and not of two different ones in a row: see
    /// [`Baseline::observe`].
    fn arrivals() -> impl Strategy<Value = (Vec<Arrival>, Counters)> {
        let step = (
            0..1000_u64,
            0..1000_u64,
            1..=4_usize,
            0..=3_usize,
            any::<Index>(),
        );
        proptest::collection::vec(step, 1..40).prop_map(|steps| {
            let mut arrivals = Vec::new();
            let mut reports = vec![Counters::default()];
            for (nth, (up, down, copies, stale_copies, which)) in steps.into_iter().enumerate() {
                let started = nth == 0;
                let last = reports[reports.len() - 1];
                let grown = counters(last.uploaded + up, last.downloaded + down);
                let reported = if started { last } else { grown };
                arrivals.extend(vec![Arrival { reported, started }; copies]);
                if reports.len() > 1 {
                    let stale = Arrival {
                        reported: reports[1 + which.index(reports.len() - 1)],
                        started: false,
                    };
                    arrivals.extend(vec![stale; stale_copies]);
                }
                if !started {
                    reports.push(reported);
                }
            }
            let truth = reports[reports.len() - 1];
            (arrivals, truth)
        })
    }

    proptest! {
        /// Whatever copies arrive, and however late: never more than the client moved, and all of it in the end.
        #[test]
        fn credit_is_never_more_than_the_growth_and_all_of_it_in_the_end(
            (arrivals, truth) in arrivals()
        ) {
            let mut baseline = Baseline::starting_at(Counters::default());
            let mut credit = Counters::default();
            let mut highest = Counters::default();
            for Arrival { reported, started } in arrivals {
                let event = if started { Event::Started } else { Event::None };
                credit = credit.saturating_add(baseline.observe(reported, event));
                highest.uploaded = highest.uploaded.max(reported.uploaded);
                highest.downloaded = highest.downloaded.max(reported.downloaded);
                prop_assert_eq!(credit, highest);
            }
            prop_assert_eq!(credit, truth);
        }
    }

    /// Each row: what a session reports in turn (uploaded, downloaded, started), and the growth expected for each.
    #[test]
    fn growth_is_counted_once() {
        type Row = (&'static str, &'static [(u64, u64, bool, u64, u64)]);
        let table: &[Row] = &[
            ("growth", &[(10, 5, false, 10, 5), (30, 5, false, 20, 0)]),
            (
                "a duplicate adds nothing",
                &[(10, 5, false, 10, 5), (10, 5, false, 0, 0)],
            ),
            (
                "a restart with started begins anew",
                &[
                    (10, 5, false, 10, 5),
                    (0, 0, true, 0, 0),
                    (7, 1, false, 7, 1),
                ],
            ),
            (
                "started alone resets nothing",
                &[(10, 5, false, 10, 5), (12, 5, true, 2, 0)],
            ),
            (
                "a stale copy changes nothing",
                &[
                    (10, 5, false, 10, 5),
                    (4, 5, false, 0, 0),
                    (11, 5, false, 1, 0),
                ],
            ),
            (
                "a second fall in a row confirms",
                &[
                    (10, 5, false, 10, 5),
                    (4, 2, false, 0, 0),
                    (5, 2, false, 0, 0),
                    (9, 2, false, 4, 0),
                ],
            ),
            (
                "copies of a stale copy change nothing either",
                &[
                    (10, 5, false, 10, 5),
                    (4, 5, false, 0, 0),
                    (4, 5, false, 0, 0),
                    (4, 5, false, 0, 0),
                    (11, 5, false, 1, 0),
                ],
            ),
            (
                "a repeated fall is confirmed by the announce after it",
                &[
                    (10, 5, false, 10, 5),
                    (4, 2, false, 0, 0),
                    (4, 2, false, 0, 0),
                    (6, 2, false, 2, 0),
                    (9, 3, false, 3, 1),
                ],
            ),
            (
                "a fall from a repeated fall is a fall again",
                &[
                    (10, 5, false, 10, 5),
                    (4, 2, false, 0, 0),
                    (4, 2, false, 0, 0),
                    (3, 2, false, 0, 0),
                    (6, 2, false, 2, 0),
                ],
            ),
            (
                "one counter falling is a fall",
                &[
                    (10, 5, false, 10, 5),
                    (20, 4, false, 0, 0),
                    (21, 5, false, 11, 0),
                ],
            ),
        ];
        for (name, steps) in table {
            let mut baseline = Baseline::default();
            for &(uploaded, downloaded, started, up, down) in *steps {
                let event = if started { Event::Started } else { Event::None };
                let growth = baseline.observe(counters(uploaded, downloaded), event);
                assert_eq!(
                    growth,
                    counters(up, down),
                    "{name}: after {uploaded}/{downloaded}"
                );
            }
        }
    }

    /// A client is paused and goes on under the same peer id, and a copy of its `stopped` is slower than its `started`.
    #[test]
    fn late_copy_of_stopped_is_not_the_new_runs_growth() {
        let mut baseline = Baseline::default();
        let mut say = |uploaded, event| baseline.observe(counters(uploaded, 0), event).uploaded;
        assert_eq!(say(500, Event::Stopped), 500);
        assert_eq!(say(0, Event::Started), 0);
        assert_eq!(say(500, Event::Stopped), 0);
        assert_eq!(say(0, Event::Started), 0);
        assert_eq!(say(500, Event::Stopped), 0);
        assert_eq!(say(10, Event::None), 10);
        assert_eq!(say(500, Event::Stopped), 490, "by now it is its own");
    }
}
