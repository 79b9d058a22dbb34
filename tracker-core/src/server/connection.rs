//! A socket that remembers what it is doing and since when, so that one look every few seconds finds slow senders,
//! clients that never read, and connections that nobody uses any more.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How long a connection may stand still.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// From a request's first byte to its last. Absolute: a byte now and then buys no more time.
    pub request: Duration,
    /// For a reply that the client doesn't read.
    pub reply: Duration,
    /// Between requests. Clients announce every half hour: who comes back sooner is a proxy or a load generator.
    pub idle: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(10),
            reply: Duration::from_secs(10),
            idle: Duration::from_secs(120),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing has come yet: a client that connects has something to say.
    New,
    Idle,
    Receiving,
    /// Its reply is a promise that waits for the journal.
    Waiting,
    Sending,
}

/// Time as a worker's connections know it: how many times they were looked over. To read a clock at each turn of each
/// connection would cost more than all of this.
#[derive(Debug)]
pub(crate) struct Sweeps {
    period: Duration,
    done: Cell<u32>,
}

impl Sweeps {
    /// In parts of the shortest patience.
    const PARTS: u32 = 5;

    pub(crate) fn new(patience: &Patience) -> Self {
        let shortest = patience.request.min(patience.reply).min(patience.idle);
        Self {
            period: shortest / Self::PARTS,
            done: Cell::new(0),
        }
    }

    pub(crate) fn period(&self) -> Duration {
        self.period
    }

    pub(crate) fn begin(&self) {
        self.done.set(self.done.get().wrapping_add(1));
    }

    /// Never too soon: what began just before a sweep is as old as what began just after the one before.
    fn has_passed(&self, limit: Duration, since: u32) -> bool {
        let sweeps = self.done.get().wrapping_sub(since).saturating_sub(1);
        self.period * sweeps > limit
    }
}

#[derive(Debug)]
pub(crate) struct Activity {
    phase: Cell<Phase>,
    since: Cell<u32>,
    draining: Cell<bool>,
    sweeps: Rc<Sweeps>,
}

impl Activity {
    pub(crate) fn new(sweeps: &Rc<Sweeps>) -> Self {
        Self {
            phase: Cell::new(Phase::New),
            since: Cell::new(sweeps.done.get()),
            draining: Cell::new(false),
            sweeps: Rc::clone(sweeps),
        }
    }

    /// A whole request has come in.
    pub(crate) fn answered(&self) {
        self.turn(Phase::Idle);
    }

    /// Its reply can't go out yet.
    pub(crate) fn waits(&self) {
        self.turn(Phase::Waiting);
    }

    pub(crate) fn stands_still(&self, patience: &Patience) -> bool {
        let limit = match self.phase.get() {
            Phase::Idle => patience.idle,
            Phase::New | Phase::Receiving => patience.request,
            Phase::Waiting | Phase::Sending => patience.reply,
        };
        self.sweeps.has_passed(limit, self.since.get())
    }

    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.phase.get(), Phase::New | Phase::Idle)
    }

    pub(crate) fn drain(&self) {
        self.draining.set(true);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    fn turn(&self, phase: Phase) {
        self.phase.set(phase);
        self.since.set(self.sweeps.done.get());
    }
}

/// A socket whose every read and write is noted in its [`Activity`].
pub(crate) struct Watched {
    stream: TcpStream,
    activity: Rc<Activity>,
}

impl Watched {
    pub(crate) fn new(stream: TcpStream, activity: Rc<Activity>) -> Self {
        Self { stream, activity }
    }

    fn note<T>(&self, write: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match (write.is_pending(), self.activity.phase.get()) {
            (true, Phase::New | Phase::Idle | Phase::Receiving) => {
                self.activity.turn(Phase::Sending)
            }
            (false, Phase::Sending) => self.activity.turn(Phase::Idle),
            _ => {}
        }
        write
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before && self.activity.is_idle() {
            self.activity.turn(Phase::Receiving);
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
