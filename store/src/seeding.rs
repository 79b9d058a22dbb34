//! What members get for keeping torrents alive: once an hour, for what they seed at that moment.
//!
//! A member's row says for which hour they were paid last: whoever was paid isn't paid again, by a run that follows one that
//! died, or by two at once. An hour in which nobody ran it is nobody's: who seeded then isn't known any more. What the balance
//! takes of the reward goes by what it is in the transaction that pays.

use economy::seeding::{self, Seeded, Seeding};
use futures_util::TryStreamExt;
use sqlx::FromRow;
use tracker_core::ids::UnixTime;

use crate::books::Books;
use crate::columns;
use crate::credits::CreditKind;
use crate::error::Result;
use crate::store::{in_transaction, reading};
use crate::{Store, notes};

/// Each torrent once, by however many clients. All members in one: sessions of a few of them lie on most of the table's
/// pages, so that asking for some at a time reads the table anew for each.
const SEEDED: &str = "
    select seeded.user_id, torrents.size, torrents.seeders, torrents.created_at
    from (
        select distinct user_id, torrent_id
        from sessions
        where active
            and role = 'seeder'
            and announced_at >= $1
    ) as seeded
    join torrents on torrents.id = seeded.torrent_id
    where torrents.status = 'open'
        and torrents.deleted_at is null
    order by seeded.user_id";

#[derive(FromRow)]
struct SeededRow {
    user_id: i64,
    size: i64,
    seeders: i64,
    created_at: i64,
}

/// What a member is to get, before their balance is looked at.
struct Reward {
    user: i64,
    sum_millionths: u128,
    torrents: u64,
    bytes: u64,
}

/// Adds up the rows of one member after the other.
struct Rewards<'a> {
    rules: &'a Seeding,
    now: UnixTime,
    user: i64,
    seeded: Vec<Seeded>,
    rewards: Vec<Reward>,
}

impl Store {
    /// Pays for this hour of seeding, to whoever hasn't been paid for it: for the open torrents that they seed now, in
    /// sessions that have announced `since` then; so many members in one transaction. Returns how many there were.
    pub async fn pay_seeders(
        &self,
        rules: &Seeding,
        since: UnixTime,
        now: UnixTime,
        members_at_a_time: u32,
    ) -> Result<u64> {
        let hour = i64::from(now.0 / 3600);
        let mut paid = 0;
        let mut rewards = Rewards::new(rules, now);
        // Rows come as they are taken, by a connection of their own, while others are paid: only so many members are in
        // memory.
        reading!(self, |pool| {
            let mut rows = sqlx::query_as(SEEDED).bind(i64::from(since.0)).fetch(pool);
            while let Some(row) = rows.try_next().await? {
                rewards.add(&row)?;
                if rewards.rewards.len() >= members_at_a_time as usize {
                    let some = std::mem::take(&mut rewards.rewards);
                    paid += self.pay_members(rules, &some, hour, now).await?;
                }
            }
        });
        let rest = rewards.done();
        if !rest.is_empty() {
            paid += self.pay_members(rules, &rest, hour, now).await?;
        }
        Ok(paid)
    }

    async fn pay_members(
        &self,
        rules: &Seeding,
        rewards: &[Reward],
        hour: i64,
        at: UnixTime,
    ) -> Result<u64> {
        in_transaction!(self, |tx| {
            pay_members(&mut tx, rules, rewards, hour, at).await?
        })
    }
}

async fn pay_members(
    tx: &mut impl Books,
    rules: &Seeding,
    rewards: &[Reward],
    hour: i64,
    at: UnixTime,
) -> Result<u64> {
    tx.prepare_to_write().await?;
    let users: Vec<i64> = rewards.iter().map(|reward| reward.user).collect();
    let mut accounts = tx.accounts(&users).await?;
    accounts.retain(|account| account.seeding_paid_hour < hour);
    let mut entries = Vec::with_capacity(accounts.len());
    let mut rewards = rewards.iter();
    for account in &mut accounts {
        account.seeding_paid_hour = hour;
        // Both are in the order of members.
        if let Some(reward) = rewards.find(|reward| reward.user == account.user) {
            let milli = seeding::payout_milli(rules, account.balance_milli, reward.sum_millionths);
            entries.extend(account.enter(CreditKind::Seeding, milli, || {
                let (torrents, size) =
                    (notes::torrents(reward.torrents), notes::size(reward.bytes));
                format!("{torrents}, {size}, {}", notes::hour(hour))
            }));
        }
    }
    tx.add_entries(&entries, at).await?;
    tx.put_accounts(&accounts).await?;
    Ok(entries.len() as u64)
}

impl<'a> Rewards<'a> {
    fn new(rules: &'a Seeding, now: UnixTime) -> Self {
        Self {
            rules,
            now,
            user: 0,
            seeded: Vec::new(),
            rewards: Vec::new(),
        }
    }

    fn add(&mut self, row: &SeededRow) -> Result<()> {
        if row.user_id != self.user {
            self.close();
            self.user = row.user_id;
        }
        let created_at = columns::time(row.created_at, "torrents.created_at")?;
        self.seeded.push(Seeded {
            size: columns::count(row.size, "torrents.size")?,
            seeders: columns::id(row.seeders, "torrents.seeders")?,
            age_secs: self.now.0.saturating_sub(created_at.0),
        });
        Ok(())
    }

    fn done(mut self) -> Vec<Reward> {
        self.close();
        self.rewards
    }

    /// The member's sum, if it is worth an entry to whoever holds nothing.
    fn close(&mut self) {
        let sum_millionths = seeding::sum_millionths(self.rules, self.seeded.iter().copied());
        if seeding::payout_milli(self.rules, 0, sum_millionths) > 0 {
            let sizes = self.seeded.iter().map(|torrent| torrent.size);
            self.rewards.push(Reward {
                user: self.user,
                sum_millionths,
                torrents: self.seeded.len() as u64,
                bytes: sizes.fold(0, u64::saturating_add),
            });
        }
        self.seeded.clear();
    }
}
