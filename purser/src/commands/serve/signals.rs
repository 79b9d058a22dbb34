//! SIGTERM and SIGINT end the program gently, a second one at once; SIGHUP reloads.

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// 128 and the number of SIGINT: what a shell expects of a program that was interrupted.
const INTERRUPTED: i32 = 130;

/// Listens from its installation on, so that none is missed while the program loads.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// What the operator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Stop,
    Reload,
}

impl Signals {
    pub(super) fn install() -> Result<Self> {
        let listen = |kind| signal(kind).context("can't listen for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    pub(super) async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::Stop,
            _ = self.interrupt.recv() => Wish::Stop,
            _ = self.hangup.recv() => Wish::Reload,
        }
    }

    /// While the program loads there is nothing to reload.
    pub(super) async fn stop(&mut self) {
        while self.next().await != Wish::Stop {}
    }

    pub(super) async fn leave_at_the_next(mut self) {
        self.stop().await;
        tracing::error!("told to stop twice: leaving without the last batch");
        std::process::exit(INTERRUPTED);
    }
}
