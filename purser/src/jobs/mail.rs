//! What members are told is mailed to them, once a mail server takes it.

use anyhow::{Result, bail};
use store::{MailState, Store};
use tracker_core::ids::UnixTime;

use super::Work;
use crate::mail::{Failure, Mailer};

/// A run's. A large site has thousands when classes were judged: mail servers take those that come slowly for less of a
/// flood.
const MAILS: u32 = 100;

/// One transaction's.
const ROWS: u32 = 2000;

/// What nobody took for so long isn't news any more.
const TRIED_SECS: u32 = 86_400;

/// What became of a run's mails.
#[derive(Default)]
struct Tally {
    sent: u64,
    given_up: u64,
}

pub(super) async fn send(work: Work) -> Result<String> {
    let (store, now) = (&work.store, work.now);
    all!(store.skip_mails(ROWS));
    let old = UnixTime(now.0.saturating_sub(TRIED_SECS));
    let late = all!(store.expire_mails(old, now, ROWS));
    let Some(mailer) = &work.mailer else {
        return Ok("mail.smtp_url is empty: no mail".to_owned());
    };
    if late > 0 {
        tracing::warn!(
            mails = late,
            "given up: no mail server took them within a day"
        );
    }
    let mut tally = Tally {
        given_up: late,
        ..Tally::default()
    };
    let delivered = deliver(store, mailer, now, &mut tally).await;
    let left = store.mails_left().await?;
    let Tally { sent, given_up } = tally;
    let report = format!("{sent} sent, {left} left, {given_up} given up");
    match delivered {
        Ok(()) => Ok(report),
        Err(error) => Err(error.context(report)),
    }
}

/// As far as the mail server goes along. Each is marked before the next is sent, so that one at most is sent twice.
async fn deliver(store: &Store, mailer: &Mailer, now: UnixTime, tally: &mut Tally) -> Result<()> {
    let due = store.due_mails(MAILS).await?;
    if due.is_empty() {
        return Ok(());
    }
    mailer.check().await?;
    for mail in due {
        let (notification, user) = (mail.id, mail.user.0);
        match mailer.send(&mail, now).await {
            Ok(()) => {
                store.mark_mail(mail.id, MailState::Sent, now).await?;
                tally.sent += 1;
            }
            Err(Failure::ForGood(why)) => {
                tracing::warn!(notification, user, "a mail is given up: {why}");
                store.mark_mail(mail.id, MailState::Refused, now).await?;
                tally.given_up += 1;
            }
            Err(Failure::ForNow(why)) => {
                tracing::debug!(notification, user, "a mail has to wait: {why}");
                store.mark_mail(mail.id, MailState::Due, now).await?;
            }
            // The next run begins with others: should it be this one that the server can't bear, they get through.
            Err(Failure::Server(why)) => {
                store.mark_mail(mail.id, MailState::Due, now).await?;
                bail!("{why}");
            }
        }
    }
    Ok(())
}
