//! Counters in, growth out: the one rule by which reported bytes become credit.
//!
//! A client reports cumulative counters for its session. Credit is their growth above the session's baseline,
//! counted once. The same rule runs in two places: in memory, for sessions the swarm knows, and in the batch's
//! transaction, for sessions that only the database knows. No IO, no clock.

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
    /// The highest counters already counted.
    pub counters: Counters,
    /// The last announce fell below them: stale copy or silent restart, the next one tells.
    pub suspect: bool,
}

impl Baseline {
    /// A session nobody has seen before: what came earlier earns nothing.
    pub fn starting_at(counters: Counters) -> Self {
        Self {
            counters,
            suspect: false,
        }
    }

    /// Takes an announce and returns what it adds. Falling counters add nothing: with `started` they begin a new
    /// baseline at once, without it only when a second announce in a row has fallen too.
    pub fn observe(&mut self, reported: Counters, started: bool) -> Counters {
        if !reported.fell_below(self.counters) {
            let growth = reported.growth_since(self.counters);
            *self = Self::starting_at(reported);
            return growth;
        }
        if started || self.suspect {
            *self = Self::starting_at(reported);
        } else {
            self.suspect = true;
        }
        Counters::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(uploaded: u64, downloaded: u64) -> Counters {
        Counters {
            uploaded,
            downloaded,
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
                let growth = baseline.observe(counters(uploaded, downloaded), started);
                assert_eq!(
                    growth,
                    counters(up, down),
                    "{name}: after {uploaded}/{downloaded}"
                );
            }
        }
    }
}
