//! Keep-alive connections on one thread: each has one request out at most, and the next is written into the buffer of the
//! one before. The thread sleeps in epoll, and costs about what the kernel does.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use indicatif::ProgressBar;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Protocol, Socket, Type};

use super::clients::{Ask, Clients};
use super::pace::{Done, NAP, Next, Phase, Run, TIMER, Timer};
use super::reply::{self, Fault};
use super::request::Requests;
use super::run::Load;
use super::tally::{FAILURES_MAX, Failures};

/// A reply of 200 peers, with room.
const BUFFER: usize = 4096;

/// Longer without a reply is a failure.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The connections of a load, and its sessions.
#[derive(Debug)]
pub struct HttpLoad {
    server: SocketAddr,
    requests: Requests,
    poll: Poll,
    timer: Timer,
    lines: Vec<Line>,
    failures: Failures,
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

impl HttpLoad {
    /// Connects, a connection for each of the `clients`.
    pub fn connect(server: SocketAddr, requests: Requests, clients: Vec<Clients>) -> Result<Self> {
        let poll = Poll::new()?;
        let timer = Timer::new(&poll)?;
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
}

impl Load for HttpLoad {
    fn sessions(&self) -> usize {
        self.lines.iter().map(|line| line.clients.len()).sum()
    }

    fn everybody_is_known(&mut self) {
        let lines = self.lines.iter_mut();
        lines.for_each(|line| line.clients.everybody_is_known());
    }

    fn failures(&mut self) -> &mut Failures {
        &mut self.failures
    }

    fn run(&mut self, phase: Phase, bar: &ProgressBar) -> Result<Done> {
        let mut run = Run::new(phase, (0..self.lines.len()).collect())?;
        let mut events = Events::with_capacity(self.lines.len().clamp(16, 1024));
        loop {
            let now = Instant::now();
            self.send_all(&mut run, now)?;
            if run.idle.len() == self.lines.len() && run.is_over(now) {
                return Ok(run.done());
            }
            if let Some(at) = run.wakes_at() {
                self.timer.set(at)?;
            }
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
            if run.looks_around(now, bar) {
                self.hang_up_on_the_silent(&mut run, now)?;
            }
        }
    }
}

impl HttpLoad {
    /// Whoever is free says what is due.
    fn send_all(&mut self, run: &mut Run, now: Instant) -> Result<()> {
        for _ in 0..run.idle.len() {
            let Some(number) = run.idle.pop_front() else {
                break;
            };
            let line = &mut self.lines[number];
            let (session, ask, due) = match run.next(&mut line.clients, now) {
                Next::Say(session, ask, due) => (session, ask, due),
                Next::Done => {
                    run.idle.push_back(number);
                    continue;
                }
                Next::Wait => {
                    run.idle.push_front(number);
                    return Ok(());
                }
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
            if let Some(reply) = read.map_err(|fault: Fault| fault.to_string())? {
                self.filled = 0;
                self.out = None;
                return Ok(Some((out, reply)));
            }
            // The rest, or the end of the connection, may be there already: then epoll won't say so again.
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
