//! Many members' entries at a time: rows locked in the order in which the ledger's batches take them (traffic by its key,
//! then members by theirs), so that neither waits for the other for ever. As with batches, the statements of many rows are
//! where the two databases are spoken to differently.

mod postgres;
mod sqlite;

use sqlx::FromRow;
use tracker_core::ids::UnixTime;
use tracker_core::registry::UserClass;

use crate::columns::Word;
use crate::credits::{BALANCE_MAX, CreditKind};
use crate::error::{Result, StoreError};

/// A member's balance, locked until the transaction ends.
pub(crate) struct Account {
    pub(crate) user: i64,
    pub(crate) class: UserClass,
    pub(crate) balance_milli: i64,
    /// The last hour for which they were paid for seeding.
    pub(crate) seeding_paid_hour: i64,
}

/// A row of `credit_entries` to be.
pub(crate) struct Entry {
    user: i64,
    kind: CreditKind,
    amount_milli: i64,
    balance_milli: i64,
    note: String,
}

impl Account {
    /// Changes the balance by as much of an amount as there is room for, up or down; no entry if that is nothing.
    pub(crate) fn enter(
        &mut self,
        kind: CreditKind,
        amount_milli: i64,
        note: impl FnOnce() -> String,
    ) -> Option<Entry> {
        let balance_milli = self.balance_milli.saturating_add(amount_milli);
        let balance_milli = balance_milli.clamp(-BALANCE_MAX, BALANCE_MAX);
        let amount_milli = balance_milli - self.balance_milli;
        if amount_milli == 0 {
            return None;
        }
        self.balance_milli = balance_milli;
        Some(Entry {
            user: self.user,
            kind,
            amount_milli,
            balance_milli,
            note: note(),
        })
    }
}

impl Entry {
    pub(crate) fn amount_milli(&self) -> i64 {
        self.amount_milli
    }
}

/// Traffic that no settlement has, in hundredths of a byte.
#[derive(Clone, Copy, FromRow)]
pub(crate) struct News {
    pub(crate) user_id: i64,
    pub(crate) torrent_id: i64,
    pub(crate) hour: i64,
    pub(crate) uploaded: i64,
    pub(crate) downloaded: i64,
}

/// A row of `settlements`.
#[derive(Clone, Debug, FromRow)]
pub(crate) struct Settlement {
    pub(crate) user_id: i64,
    pub(crate) hour: i64,
    pub(crate) counted_uploaded: i64,
    pub(crate) counted_downloaded: i64,
    pub(crate) earned_milli: i64,
    pub(crate) cost_milli: i64,
    pub(crate) owed_milli: i64,
    pub(crate) upload_milli_per_gib: i64,
    pub(crate) download_milli_per_gib: i64,
    pub(crate) multiplier_milli: i64,
    pub(crate) class_upload_percent: i64,
}

#[derive(FromRow)]
struct AccountRow {
    id: i64,
    class: String,
    credits_milli: i64,
    seeding_paid_hour: i64,
}

/// Many rows at a time. Members' numbers come sorted, each once.
pub(crate) trait Books {
    async fn prepare_to_write(&mut self) -> Result<()>;
    /// What of an hour before that isn't settled, locked in the order of the keys.
    async fn news(&mut self, users: &[i64], before_hour: i64) -> Result<Vec<News>>;
    /// Locked in their order; without those that don't exist.
    async fn accounts(&mut self, users: &[i64]) -> Result<Vec<Account>>;
    /// What there is of members and hours. Kept from others by the members' locks.
    async fn settlements(&mut self, keys: &[(i64, i64)]) -> Result<Vec<Settlement>>;
    /// Those that aren't paid.
    async fn owed(&mut self, users: &[i64]) -> Result<Vec<Settlement>>;
    /// Locked before, so it is as it was then.
    async fn mark_settled(&mut self, news: &[News]) -> Result<()>;
    /// Makes or changes them.
    async fn put_settlements(&mut self, rows: &[Settlement]) -> Result<()>;
    /// In their order.
    async fn add_entries(&mut self, entries: &[Entry], at: UnixTime) -> Result<()>;
    /// As they are now.
    async fn put_accounts(&mut self, accounts: &[Account]) -> Result<()>;
}

impl TryFrom<AccountRow> for Account {
    type Error = StoreError;

    fn try_from(row: AccountRow) -> Result<Self> {
        Ok(Self {
            user: row.id,
            class: UserClass::parse(&row.class)?,
            balance_milli: row.credits_milli,
            seeding_paid_hour: row.seeding_paid_hour,
        })
    }
}
