//! What is over goes: in transactions of so many rows, so that a run that died is gone on with by the next.

use anyhow::Result;
use store::{Past, Store};
use tracker_core::ids::UnixTime;

use super::Work;

/// One transaction's. The ledger waits for it, if it has something for one of them.
const ROWS: u32 = 2000;

/// Traffic goes by the hour: there is little of it after a year, but a large site's has a hundred thousand rows.
const HOURS: u32 = 1;

const DAY: u32 = 86_400;

/// What has ended can still be looked at for a month.
const SHOWN_SECS: u32 = 30 * DAY;

/// What was read, for longer.
const READ_SECS: u32 = 90 * DAY;

/// Time enough to use a token.
const WARNED_SECS: u32 = 3 * DAY;

pub(super) async fn tidy(work: Work) -> Result<String> {
    let (store, now) = (&work.store, work.now);
    let before = |secs| UnixTime(now.0.saturating_sub(secs));
    let soon = UnixTime(now.0.saturating_add(WARNED_SECS));
    let warned = all!(store.warn_of_tokens(now, soon, ROWS));
    let invites = all!(store.give_back_invites(now, ROWS));
    let mut rows = store.delete_past_ip_blocks(now).await?;
    for what in Past::ALL {
        let end = match what {
            Past::Notifications => before(READ_SECS),
            Past::HeldTokens | Past::Logins | Past::ApiKeys | Past::AnnounceTokens => {
                before(SHOWN_SECS)
            }
        };
        rows += all!(store.delete_past(what, end, ROWS));
    }
    let (sessions, traffic) = match work.rates.retention_days {
        0 => (0, 0),
        days => prune(store, before(days.saturating_mul(DAY))).await?,
    };
    Ok(format!(
        "{warned} tokens about to expire, {invites} expired invites given back, {rows} rows of what is over, {sessions} \
         sessions and {traffic} rows of traffic deleted"
    ))
}

/// Sessions and rows of traffic that are older.
async fn prune(store: &Store, before: UnixTime) -> Result<(u64, u64)> {
    let sessions = all!(store.prune_sessions(before, ROWS));
    let mut traffic = 0;
    while let Some(rows) = store.prune_traffic(before.0 / 3600, HOURS).await? {
        traffic += rows;
    }
    Ok((sessions, traffic))
}
