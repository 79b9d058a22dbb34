//! SIGTERM and SIGINT end the program gently, a second one at once; SIGHUP reloads.

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// 128 and the number of SIGINT: what a shell expects of a program that was interrupted.
const INTERRUPTED: i32 = 130;

/// Returns when it is time to stop.
pub(super) async fn wait(mut reload: impl FnMut()) -> Result<()> {
    let listen = |kind| signal(kind).context("can't listen for signals");
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut hangup = listen(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => reload(),
        }
    }
    tokio::spawn(give_up_at_the_next(terminate, interrupt));
    Ok(())
}

async fn give_up_at_the_next(mut terminate: Signal, mut interrupt: Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::error!("told to stop twice: leaving without the last batch");
    std::process::exit(INTERRUPTED);
}
