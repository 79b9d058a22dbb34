//! UDP announces: one socket a worker and address, read and answered in batches.
//!
//! A batch costs two system calls, one look at the clock, and nothing from the heap. Between batches everybody else on
//! the worker has a turn, so that a flood over UDP slows HTTP down and doesn't stop it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::Counter;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::sleep;

use super::DRAIN_LIMIT;
use super::meters::Meters;
use crate::ids::UnixTime;
use crate::outbox::Rings;
use crate::tracker::{Announced, Tracker};
use crate::udp::{ConnectionIds, Desk, Done, Ignored};

mod packets;
mod promises;

use packets::{BATCH, Incoming, Outgoing};
use promises::Promises;

/// A socket that can't be read isn't asked again at once.
const ERROR_PAUSE: Duration = Duration::from_millis(50);

/// What the kernel holds when a worker stops is answered, for so long at most: a flood has no end.
const QUEUE_LIMIT: Duration = Duration::from_secs(1);

/// How often a draining worker looks whether its promises are kept.
const DRAIN_STEP: Duration = Duration::from_millis(10);

/// What all workers and sockets share.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) tracker: Arc<Tracker>,
    pub(crate) ids: ConnectionIds,
    /// The time, asked once a batch.
    pub(crate) clock: fn() -> UnixTime,
}

/// One worker's share of a UDP address.
pub(crate) struct Counter_;
