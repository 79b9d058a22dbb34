//! When requests are due.

use std::time::{Duration, Instant};

/// A phase of a load.
#[derive(Clone, Copy, Debug)]
pub enum Phase {
    /// Every session says its first word.
    Fill,
    /// As soon as one request is answered, the connection's next one goes out.
    Closed(Duration),
    /// So many a second, whether the server keeps up or not.
    Rate(f64, Duration),
}

/// A schedule of intended times: the n-th is due after n/rate.
#[derive(Clone, Debug)]
pub struct Schedule {
    begin: Instant,
    interval: f64,
    next: u64,
    end: u64,
}

impl Schedule {
    /// From `begin` on.
    pub fn new(begin: Instant, rate: f64, duration: Duration) -> Self {
        Self {
            begin,
            interval: 1.0 / rate,
            next: 0,
            end: (duration.as_secs_f64() * rate).ceil() as u64,
        }
    }

    /// When the next one is due; `None` after the last.
    pub fn due(&self) -> Option<Instant> {
        (self.next < self.end)
            .then(|| self.begin + Duration::from_secs_f64(self.next as f64 * self.interval))
    }

    /// Takes the next one, if it is due. Late ones keep the time at which they were due.
    pub fn take(&mut self, now: Instant) -> Option<Instant> {
        let due = self.due().filter(|&due| due <= now)?;
        self.next += 1;
        Some(due)
    }

    /// How many are left.
    pub fn left(&self) -> u64 {
        self.end - self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_request_keeps_its_time() {
        let begin = Instant::now();
        let mut schedule = Schedule::new(begin, 1_000.0, Duration::from_millis(5));
        assert_eq!(schedule.take(begin), Some(begin));
        assert_eq!(schedule.take(begin), None);
        // Four milliseconds of nothing: all that were due come at once, each with its own time.
        let late = begin + Duration::from_millis(100);
        let times: Vec<_> = std::iter::from_fn(|| schedule.take(late)).collect();
        let millis = times
            .iter()
            .map(|time| time.duration_since(begin).as_millis());
        assert_eq!(millis.collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!((schedule.due(), schedule.left()), (None, 0));
    }
}
