//! Answers to `started`, `stopped` and `completed`: they wait until the journal has what they acknowledge.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;

use tokio::net::UdpSocket;

use super::packets::Outgoing;
use crate::outbox::{Outbox, Round};
use crate::refusal::Refusal;
use crate::udp::{TransactionId, put_error};

/// Answers that may wait in one worker, at some 100 bytes to a kilobyte each. A client that gets none asks again, and what
/// it says again changes nothing.
const WAITING_MAX: usize = 4096;

/// Buffers that are kept for the next time.
const SPARE_MAX: usize = 16;

/// What waits in one worker.
#[derive(Default)]
pub(super) struct Promises {
    waiting: Cell<usize>,
    spare: RefCell<Vec<Outgoing>>,
}

/// The promises of one batch.
pub(super) struct Promised {
    answers: Outgoing,
    /// The last of their rounds.
    round: Round,
}

impl Promises {
    /// Puts an answer aside; false when too many are waiting.
    pub(super) fn add(
        &self,
        batch: &mut Option<Promised>,
        answer: &[u8],
        to: SocketAddr,
        round: Round,
    ) -> bool {
        if self.waiting.get() >= WAITING_MAX {
            return false;
        }
        self.waiting.set(self.waiting.get() + 1);
        let batch = batch.get_or_insert_with(|| Promised {
            answers: self.spare.borrow_mut().pop().unwrap_or_default(),
            round,
        });
        batch.answers.bytes.extend_from_slice(answer);
        batch.answers.finish(to);
        batch.round = batch.round.max(round);
        true
    }

    /// Sends a batch's answers once they are true, or says that they can't be; `taken_back` is called for each of those.
    /// Returns how many couldn't be sent.
    pub(super) async fn keep(
        &self,
        promised: Promised,
        outbox: &Outbox,
        socket: &UdpSocket,
        taken_back: impl Fn(),
    ) -> usize {
        let Promised { mut answers, round } = promised;
        if outbox.journalled(round).await.is_err() {
            answers = busy(&answers);
            (0..answers.len()).for_each(|_| taken_back());
        }
        let failed = answers.send(socket).await;
        self.waiting.set(self.waiting.get() - answers.len());
        answers.clear();
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE_MAX {
            spare.push(answers);
        }
        failed
    }

    /// Whether nothing waits.
    pub(super) fn are_kept(&self) -> bool {
        self.waiting.get() == 0
    }
}

/// To the same clients: the announce was taken, but might not survive a crash. A client that hears this says it again,
/// which does no harm.
fn busy(answers: &Outgoing) -> Outgoing {
    let mut busy = Outgoing::default();
    for (answer, to) in answers.packets() {
        if let [_, _, _, _, t, u, v, w, ..] = *answer {
            put_error(&mut busy.bytes, TransactionId([t, u, v, w]), &Refusal::Busy);
            busy.finish(to.clone());
        }
    }
    busy
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// A batch may be read while the journal takes a round away: its first answers could go, and wait for the others.
    #[tokio::test]
    async fn batch_waits_for_the_last_of_its_rounds() {
        let outbox = Outbox::default();
        outbox.attach_journal();
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let to = socket.local_addr().unwrap();
        for rounds in [[5, 7], [7, 5]] {
            outbox.done(Round(0));
            let promises = Promises::default();
            let mut batch = None;
            for (answer, round) in [b"first---", b"second--"].iter().zip(rounds) {
                assert!(promises.add(&mut batch, *answer, to, Round(round)));
            }
            let kept = promises.keep(batch.unwrap(), &outbox, &socket, || {});
            tokio::pin!(kept);
            for round in [5, 6] {
                outbox.done(Round(round));
                tokio::select! {
                    biased;
                    _ = &mut kept => panic!("sent after round {round}"),
                    () = tokio::task::yield_now() => {}
                }
            }
            outbox.done(Round(7));
            assert_eq!(kept.await, 0);
            assert!(promises.are_kept());
            for expected in [b"first---", b"second--"] {
                let mut answer = [0; 16];
                let (length, _) = socket.recv_from(&mut answer).await.unwrap();
                assert_eq!(&answer[..length], expected);
            }
        }
    }
}
