//! Keep-alive connections on one thread: each has one request out at most, and the next is written into the buffer of the
//! one before. The thread sleeps in epoll, and costs about what the kernel does.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use indicatif::ProgressBar;
use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use socket2::{Domain, Protocol, Socket, Type};

use super::clients::{Ask, Clients};
use super::pace::{Phase, Schedule};
use super::reply::{self, Fault};
use super::request::Requests;
use super::tally::{FAILURES_MAX, Failures, Tally};

/// A reply of 200 peers, with room.
const BUFFER: usize = 4096;

/// Longer without a reply is a failure.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How long epoll sleeps when nothing happens: then it is time to look for the impatient, and at the bar.
const NAP: Duration = Duration::from_millis(100);

/// The timer's, beside the connections' numbers.
const TIMER: Token = Token(usize::MAX);

/// The connections of a load, and its sessions.
#[derive(Debug)]
pub struct HttpLoad {
    server: SocketAddr,
    requests: Requests,
    poll: Poll,
    timer: rustix::fd::OwnedFd,
    lines: Vec<Line>,
    /// What went wrong, since the beginning.
    pub failures: Failures,
}

/// A connection.
#[derive(Debug)]
struct Line {
    socket: TcpStream,
    clients: Clients,
    request: Vec<u8>,
    written: usize,
    reply: Vec<u8>,
    filled: usize,
    out: Option<Out>,
}

/// A request that isn't answered yet.
#[derive(Clone, Copy, Debug)]
struct Out {
    ask: Ask,
    due: Instant,
    sent: Instant,
}

/// What a phase took.
#[derive(Debug)]
pub struct Done {
    /// The replies.
    pub tally: Tally,
    /// From its begin to the last reply.
    pub wall: Duration,
}

impl HttpLoad {
    /// Connects, a connection for each of the `clients`.
    pub fn connect(server: SocketAddr, requests: Requests, clients: Vec<Clients>) -> Result<Self> {
        let poll = Poll::new()?;
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)?;
        let fd = timer.as_raw_fd();
        poll.registry()
            .register(&mut SourceFd(&fd), TIMER, Interest::READABLE)?;
        let line = |(number, clients): (usize, Clients)| {
            ensure!(
                !clients.is_empty(),
                "there are fewer sessions than connections"
            );
            Ok(Line {
                socket: open(server, &poll, number)?,
                clients,
                request: Vec::with_capacity(BUFFER),
                written: 0,
                reply: vec![0; BUFFER],
                filled: 0,
                out: None,
            })
        };
        let lines: Result<_> = clients.into_iter().enumerate().map(line).collect();
        Ok(Self {
            server,
            requests,
            lines: lines?,
            poll,
            timer,
            failures: Failures::default(),
        })
    }

    /// Sessions in all.
    pub fn sessions(&self) -> usize {
        self.lines.iter().map(|line| line.clients.len()).sum()
    }

    /// In place of a fill.
    pub fn everybody_is_known(&mut self) {
        let lines = self.lines.iter_mut();
        lines.for_each(|line| line.clients.everybody_is_known());
    }

    /// Runs a phase until its last reply is in. The bar counts replies in the fill, and milliseconds else.
    pub fn run(&mut self, phase: Phase, bar: &ProgressBar) -> Result<Done> {
        let begin = Instant::now();
        let mut run = Run {
            tally: Tally::new()?,
            idle: (0..self.lines.len()).collect(),
            until: None,
            schedule: None,
            filling: matches!(phase, Phase::Fill),
        };
        match phase {
            Phase::Fill => {}
            Phase::Closed(duration) => run.until = Some(begin + duration),
            Phase::Rate(rate, duration) => {
                run.schedule = Some(Schedule::new(begin, rate, duration));
            }
        }
        let mut events = Events::with_capacity(self.lines.len().clamp(16, 1024));
        let mut looked = begin;
        loop {
            let now = Instant::now();
            self.send_all(&mut run, now)?;
            if run.idle.len() == self.lines.len() && run.is_over(now) {
                break;
            }
            self.set_timer(&run)?;
            match self.poll.poll(&mut events, Some(NAP)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                polled => polled?,
            }
            for event in events.iter() {
                if event.token() != TIMER {
                    self.serve(event.token().0, &mut run)?;
                    self.send_all(&mut run, Instant::now())?;
                }
            }
            let now = Instant::now();
            if now - looked >= NAP {
                looked = now;
                self.hang_up_on_the_silent(&mut run, now)?;
                bar.set_position(match phase {
                    Phase::Fill => run.tally.replies(),
                    _ => (now - begin).as_millis() as u64,
                });
            }
        }
        Ok(Done {
            tally: run.tally,
            wall: begin.elapsed(),
        })
    }

    /// Whoever is free says what is due.
    fn send_all(&mut self, run: &mut Run, now: Instant) -> Result<()> {
        for _ in 0..run.idle.len() {
            let Some(number) = run.idle.pop_front() else {
                break;
            };
            let line = &mut self.lines[number];
            let next = if run.filling {
                line.clients.first_word().map(|word| (word, now))
            } else {
                run.due(now).map(|due| (line.clients.next(), due))
            };
            let Some(((session, ask), due)) = next else {
                // In the fill, others may have sessions left; else nothing is due.
                if run.filling {
                    run.idle.push_back(number);
                    continue;
                }
                run.idle.push_front(number);
                return Ok(());
            };
            line.request.clear();
            line.written = 0;
            self.requests.write(&mut line.request, &session, ask);
            let sent = Instant::now();
            line.out = Some(Out { ask, due, sent });
            if let Err(error) = line.write() {
                self.fail(number, format!("write: {}", error.kind()), run)?;
            }
        }
        Ok(())
    }

    /// Something has happened on a connection.
    fn serve(&mut self, number: usize, run: &mut Run) -> Result<()> {
        let line = &mut self.lines[number];
        let outcome = match line.write() {
            Ok(()) => line.read(),
            Err(error) => Err(format!("write: {}", error.kind())),
        };
        match outcome {
            Ok(None) => Ok(()),
            Ok(Some((out, reply))) => {
                let now = Instant::now();
                run.tally.add(out.ask, reply, now - out.due, now - out.sent);
                run.idle.push_back(number);
                Ok(())
            }
            Err(reason) => self.fail(number, reason, run),
        }
    }

    /// Counts a failure, and goes on with a new connection.
    fn fail(&mut self, number: usize, reason: String, run: &mut Run) -> Result<()> {
        self.failures.add(&reason);
        ensure!(
            self.failures.total() <= FAILURES_MAX,
            "more than {FAILURES_MAX} failures, the last one {reason:?}"
        );
        let line = &mut self.lines[number];
        line.socket = open(self.server, &self.poll, number)?;
        line.filled = 0;
        line.request.clear();
        line.written = 0;
        if line.out.take().is_some() {
            run.idle.push_back(number);
        }
        Ok(())
    }

    fn hang_up_on_the_silent(&mut self, run: &mut Run, now: Instant) -> Result<()> {
        for number in 0..self.lines.len() {
            let out = self.lines[number].out;
            if out.is_some_and(|out| now.saturating_duration_since(out.sent) > PATIENCE) {
                self.fail(number, format!("no reply in {PATIENCE:?}"), run)?;
            }
        }
        Ok(())
    }

    /// epoll's own timeout is a matter of milliseconds; the next request may be due in microseconds.
    fn set_timer(&self, run: &Run) -> Result<()> {
        let Some(schedule) = &run.schedule else {
            return Ok(());
        };
        let Some(due) = schedule.due().filter(|_| !run.idle.is_empty()) else {
            return Ok(());
        };
        let wait = due.saturating_duration_since(Instant::now());
        // Zero would disarm it.
        let nanos = wait.as_nanos().clamp(1, NAP.as_nanos());
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec {
                tv_sec: 0,
                tv_nsec: nanos as i64,
            },
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }
}

/// A phase under way.
struct Run {
    tally: Tally,
    /// Connections without a request out, the longest idle first: all sessions shall have their turn.
    idle: VecDeque<usize>,
    until: Option<Instant>,
    schedule: Option<Schedule>,
    filling: bool,
}

impl Run {
    /// When the request that is next should have been sent, if it is its time.
    fn due(&mut self, now: Instant) -> Option<Instant> {
        match &mut self.schedule {
            Some(schedule) => schedule.take(now),
            None => self.until.filter(|&until| now < until).map(|_| now),
        }
    }

    /// Nothing more to send.
    fn is_over(&self, now: Instant) -> bool {
        match &self.schedule {
            Some(schedule) => schedule.left() == 0,
            None => self.until.is_none_or(|until| now >= until),
        }
    }
}

impl Line {
    fn write(&mut self) -> io::Result<()> {
        while self.written < self.request.len() {
            match self.socket.write(&self.request[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The reply, once it is there.
    fn read(&mut self) -> Result<Option<(Out, reply::Reply)>, String> {
        loop {
            if self.filled == self.reply.len() {
                // Grown a few times in a run. Longer than this no reply can be: its length would be refused.
                self.reply.resize(self.reply.len() * 2, 0);
            }
            let room = self.reply.len() - self.filled;
            let count = match self.socket.read(&mut self.reply[self.filled..]) {
                Ok(0) => return Err("the server hung up".to_owned()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(format!("read: {}", error.kind())),
            };
            self.filled += count;
            let Some(out) = self.out else {
                return Err("a reply that nobody asked for".to_owned());
            };
            let read = reply::read(&self.reply[..self.filled], out.ask);
            match read.map_err(|fault: Fault| fault.to_string())? {
                Some(reply) => {
                    self.filled = 0;
                    self.out = None;
                    return Ok(Some((out, reply)));
                }
                // What didn't fill the buffer was all there is, and more will wake us (epoll(7), question 9).
                None if count < room => return Ok(None),
                None => {}
            }
        }
    }
}

/// A connection that is registered under its number.
fn open(server: SocketAddr, poll: &Poll, number: usize) -> Result<TcpStream> {
    let socket = dial(server, None)?;
    socket.set_nonblocking(true)?;
    let mut socket = TcpStream::from_std(socket.into());
    poll.registry().register(
        &mut socket,
        Token(number),
        Interest::READABLE | Interest::WRITABLE,
    )?;
    Ok(socket)
}

/// Connects, from an address of our own if one is given.
pub fn dial(server: SocketAddr, from: Option<Ipv4Addr>) -> Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(server),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_tcp_nodelay(true)?;
    if let Some(from) = from {
        socket.bind(&SocketAddr::from((from, 0)).into())?;
    }
    socket
        .connect_timeout(&server.into(), PATIENCE)
        .with_context(|| format!("can't connect to {server}"))?;
    Ok(socket)
}
