//! UDP announces: one socket a worker and address, read and answered in batches.
//!
//! A batch costs two system calls, three looks at the clock, and nothing from the heap but for promises. Between batches
//! everybody else on the worker has a turn, so that a flood over UDP slows HTTP down and doesn't stop it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use metrics::Counter;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::rest::AtRests;
use crate::ids::UnixTime;
use crate::refusal::Refusal;
use crate::tracker::{Announced, Outcome, Tracker};
use crate::udp::{ConnectionIds, Desk, Done, Ignored};

mod packets;
mod promises;

use packets::{BATCH, Incoming, Outgoing};
use promises::{Promised, Promises};

/// A socket that can't be read isn't asked again at once.
const ERROR_PAUSE: Duration = Duration::from_millis(50);

/// A machine in trouble isn't helped by a log that fills its disk.
const WARNING_PERIOD: Duration = Duration::from_secs(60);

/// What the kernel holds when a worker stops is answered, for so long at most: a flood has no end.
const QUEUE_LIMIT: Duration = Duration::from_secs(1);

/// After this a promise isn't waited for any longer.
const PROMISE_LIMIT: Duration = Duration::from_secs(5);

/// How often a draining worker looks whether its promises are kept.
const DRAIN_STEP: Duration = Duration::from_millis(10);

/// What the UDP sides of all workers have in common.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    /// Good at every socket, as the kernel chooses the worker.
    pub(crate) ids: ConnectionIds,
    /// The time, asked once a batch.
    pub(crate) clock: fn() -> UnixTime,
}

/// What the UDP sockets of one worker have in common.
pub(crate) struct UdpWorker {
    tracker: Arc<Tracker>,
    at_rest: AtRests,
    shared: Shared,
    promises: Promises,
    connects: Counter,
    dropped: Dropped,
}

/// Packets that got no answer, or a useless one, by reason.
struct Dropped {
    short: Counter,
    long: Counter,
    unknown_protocol: Counter,
    unknown_action: Counter,
    forged_connection_id: Counter,
    stale_connection_id: Counter,
    too_many_promises: Counter,
    not_sent: Counter,
}

impl UdpWorker {
    pub(crate) fn new(tracker: Arc<Tracker>, at_rest: AtRests, shared: Shared) -> Self {
        Self {
            tracker,
            at_rest,
            shared,
            promises: Promises::default(),
            connects: metrics::counter!("purser_udp_connects_total"),
            dropped: Dropped::new(),
        }
    }

    /// Answers what comes in at a socket. Returns once stopped and drained.
    pub(crate) async fn serve(
        self: Rc<Self>,
        socket: UdpSocket,
        mut stopped: watch::Receiver<bool>,
    ) {
        let mut window = Window {
            desk: Desk::new(Arc::clone(&self.tracker), self.shared.ids.clone()),
            worker: self,
            socket: Rc::new(socket),
            incoming: Incoming::new(),
            outgoing: Outgoing::with_capacity(),
            announced: Vec::with_capacity(BATCH),
        };
        tokio::select! {
            // An error means that the sender is gone: stop as well.
            _ = stopped.wait_for(|&stop| stop) => {}
            () = window.serve() => {}
        }
        window.drain().await;
    }

    fn ignored(&self, ignored: Ignored) {
        let counter = match ignored {
            Ignored::Short => &self.dropped.short,
            Ignored::UnknownProtocol => &self.dropped.unknown_protocol,
            Ignored::UnknownAction => &self.dropped.unknown_action,
            Ignored::ForgedConnectionId => &self.dropped.forged_connection_id,
            Ignored::StaleConnectionId => &self.dropped.stale_connection_id,
        };
        counter.increment(1);
    }

    /// Answers a batch's promises when they are true.
    async fn keep(self: Rc<Self>, promised: Promised, socket: Rc<UdpSocket>) {
        let busy = || {
            self.at_rest
                .udp
                .counts
                .refused(Outcome::Refused(Refusal::Busy))
        };
        let outbox = &self.tracker.outbox;
        let not_sent = self.promises.keep(promised, outbox, &socket, busy).await;
        self.dropped.not_sent.increment(not_sent as u64);
    }
}

/// One socket, and what is used again from one batch to the next.
struct Window {
    worker: Rc<UdpWorker>,
    socket: Rc<UdpSocket>,
    desk: Desk,
    incoming: Incoming,
    outgoing: Outgoing,
    /// Of this batch.
    announced: Vec<Announced>,
}

impl Window {
    /// For ever.
    async fn serve(&mut self) {
        let mut last_warning = None::<Instant>;
        loop {
            let received = match self.socket.readable().await {
                Ok(()) => self.incoming.receive(&self.socket),
                Err(error) => Err(error),
            };
            match received {
                Ok(()) => self.answer().await,
                Err(error) => {
                    if last_warning.is_none_or(|last| last.elapsed() > WARNING_PERIOD) {
                        last_warning = Some(Instant::now());
                        tracing::warn!(%error, "can't receive announces over UDP");
                    }
                    sleep(ERROR_PAUSE).await;
                }
            }
            if self.incoming.is_full() {
                tokio::task::yield_now().await;
            }
        }
    }

    /// What the kernel has queued is answered, and promises are kept.
    async fn drain(&mut self) {
        let begun = Instant::now();
        while begun.elapsed() < QUEUE_LIMIT
            && self.incoming.receive_now(&self.socket).is_ok_and(|any| any)
        {
            self.answer().await;
            tokio::task::yield_now().await;
        }
        while begun.elapsed() < PROMISE_LIMIT && !self.worker.promises.are_kept() {
            sleep(DRAIN_STEP).await;
        }
    }

    /// Answers the packets that came.
    async fn answer(&mut self) {
        let promised = self.answers();
        if let Some(promised) = promised {
            let socket = Rc::clone(&self.socket);
            tokio::task::spawn_local(Rc::clone(&self.worker).keep(promised, socket));
        }
        let not_sent = self.outgoing.send(&self.socket).await;
        self.worker.dropped.not_sent.increment(not_sent as u64);
    }

    /// Writes the answers: those that can go out at once to `outgoing`.
    fn answers(&mut self) -> Option<Promised> {
        let worker = &self.worker;
        let (now, begun) = ((worker.shared.clock)(), Instant::now());
        let settings = worker.tracker.settings.load();
        let mut promised = None;
        self.outgoing.clear();
        self.announced.clear();
        for packet in self.incoming.packets() {
            if packet.is_cut {
                worker.dropped.long.increment(1);
                continue;
            }
            let (from, out) = (packet.from.ip(), &mut self.outgoing.bytes);
            let done = self.desk.answer(packet.bytes, from, now, &settings, out);
            match done {
                Done::Connected => worker.connects.increment(1),
                Done::Announced(announced) => {
                    self.announced.push(announced);
                    if let Some(round) = announced.after {
                        let answer = self.outgoing.unfinished();
                        let to = packet.from;
                        if !worker.promises.add(&mut promised, answer, to, round) {
                            worker.dropped.too_many_promises.increment(1);
                        }
                        self.outgoing.discard();
                    }
                }
                Done::Scraped(outcome) => worker.at_rest.udp.counts.scraped(outcome),
                Done::Ignored(ignored) => worker.ignored(ignored),
            }
            self.outgoing.finish(packet.from);
        }
        self.measure(begun.elapsed());
        // In a flood the worker never rests: then this is its rest, for HTTP too, or promises would wait for the journal, and
        // the journal for its bell.
        worker.at_rest.give();
        promised
    }

    /// What one announce took is a packet's share of the batch: a look at the clock costs as much as a small one.
    fn measure(&self, took: Duration) {
        let packets = self.incoming.packets().len().max(1);
        let share = took / u32::try_from(packets).unwrap_or(1);
        for announced in &self.announced {
            self.worker.at_rest.udp.announced(announced, Some(share));
        }
    }
}

impl Dropped {
    fn new() -> Self {
        let counter = |reason| metrics::counter!("purser_udp_dropped_total", "reason" => reason);
        Self {
            short: counter("short"),
            long: counter("long"),
            unknown_protocol: counter("unknown_protocol"),
            unknown_action: counter("unknown_action"),
            forged_connection_id: counter("forged_connection_id"),
            stale_connection_id: counter("stale_connection_id"),
            too_many_promises: counter("too_many_promises"),
            not_sent: counter("not_sent"),
        }
    }
}
