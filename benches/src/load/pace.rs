//! When requests are due, and who makes the next one.

use std::collections::VecDeque;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::ProgressBar;
use mio::unix::SourceFd;
use mio::{Interest, Poll, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use super::clients::{Ask, Clients, Session};
use super::tally::Tally;

/// How long a load sleeps when nothing happens: then it is time to look for the impatient, and at the bar.
pub const NAP: Duration = Duration::from_millis(100);

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

/// A phase under way.
#[derive(Debug)]
pub struct Run {
    /// The replies so far.
    pub tally: Tally,
    /// Who may say something, the longest idle first: all sessions shall have their turn.
    pub idle: VecDeque<usize>,
    begin: Instant,
    phase: Phase,
    schedule: Option<Schedule>,
    looked: Instant,
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
pub enum Next {
    /// A request, and when it should be sent.
    Say(Session, Ask, Instant),
    /// Nothing from these clients in this phase, but perhaps from others.
    Done,
    /// Nothing from anybody yet.
    Wait,
}

impl Run {
    /// From now on.
    pub fn new(phase: Phase, idle: VecDeque<usize>) -> Result<Self> {
        let begin = Instant::now();
        Ok(Self {
            tally: Tally::new()?,
            idle,
            begin,
            phase,
            schedule: match phase {
                Phase::Rate(rate, duration) => Some(Schedule::new(begin, rate, duration)),
                _ => None,
            },
            looked: begin,
        })
    }

    /// The next request of these clients.
    pub fn next(&mut self, clients: &mut Clients, now: Instant) -> Next {
        let due = match (self.phase, &mut self.schedule) {
            (Phase::Fill, _) => {
                let word = clients.first_word();
                return word.map_or(Next::Done, |(session, ask)| Next::Say(session, ask, now));
            }
            (_, Some(schedule)) => schedule.take(now),
            _ => Some(now).filter(|_| !self.is_over(now)),
        };
        due.map_or(Next::Wait, |due| {
            let (session, ask) = clients.speak();
            Next::Say(session, ask, due)
        })
    }

    /// Nothing more to send; of a fill, that is for the clients to say.
    pub fn is_over(&self, now: Instant) -> bool {
        match (self.phase, &self.schedule) {
            (Phase::Closed(duration), _) => now >= self.begin + duration,
            (_, Some(schedule)) => schedule.left() == 0,
            _ => true,
        }
    }

    /// When somebody who is idle has to speak.
    pub fn wakes_at(&self) -> Option<Instant> {
        let schedule = self.schedule.as_ref()?;
        schedule.due().filter(|_| !self.idle.is_empty())
    }

    /// Whether it is time to look around again. Moves the bar: it counts replies in the fill, and milliseconds else.
    pub fn looks_around(&mut self, now: Instant, bar: &ProgressBar) -> bool {
        if now - self.looked < NAP {
            return false;
        }
        self.looked = now;
        bar.set_position(match self.phase {
            Phase::Fill => self.tally.replies(),
            _ => (now - self.begin).as_millis() as u64,
        });
        true
    }

    /// At its end.
    pub fn done(self) -> Done {
        Done {
            tally: self.tally,
            wall: self.begin.elapsed(),
        }
    }
}

/// What a phase took.
#[derive(Debug)]
pub struct Done {
    /// The replies.
    pub tally: Tally,
    /// From its begin to the last reply.
    pub wall: Duration,
}

/// Wakes epoll in microseconds; its own timeout is a matter of milliseconds.
#[derive(Debug)]
pub struct Timer(rustix::fd::OwnedFd);

/// The timer's, beside the sockets' numbers.
pub const TIMER: Token = Token(usize::MAX);

impl Timer {
    /// Its events have the token [`TIMER`].
    pub fn new(poll: &Poll) -> Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)?;
        let fd = timer.as_raw_fd();
        poll.registry()
            .register(&mut SourceFd(&fd), TIMER, Interest::READABLE)?;
        Ok(Self(timer))
    }

    /// Once.
    pub fn set(&self, at: Instant) -> Result<()> {
        let wait = at.saturating_duration_since(Instant::now());
        // Zero would disarm it.
        let nanos = wait.as_nanos().clamp(1, NAP.as_nanos());
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec {
                tv_sec: 0,
                tv_nsec: nanos as i64,
            },
        };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }
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
