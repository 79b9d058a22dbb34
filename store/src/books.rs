//! Many members' entries at a time: the members are locked in the order in which the ledger's batches take them, so that
//! neither waits for the other for ever; what belongs to them is kept from others by that. As with batches, the statements of many rows are
//! where the two databases are spoken to differently.

mod postgres;
mod sqlite;

use sqlx::FromRow;
use tracker_core::ids::UnixTime;

use crate::credits::{BALANCE_MAX, CreditKind};
use crate::error::Result;

/// A member's balance, locked until the transaction ends.
#[derive(FromRow)]
pub(crate) struct Account {
    #[sqlx(rename = "id")]
    pub(crate) user: i64,
    #[sqlx(rename = "credits_milli")]
    pub(crate) balance_milli: i64,
    /// The last hour for which they were paid for seeding.
    pub(crate) seeding_paid_hour: i64,
    /// The first hour with traffic that no settlement has seen.
    pub(crate) unsettled_since: Option<i64>,
    /// The last with any.
    pub(crate) traffic_until: Option<i64>,
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

/// A member's hour in one class, all torrents together: hundredths of bytes, and in how many torrents.
#[derive(FromRow)]
pub(crate) struct HourRow {
    pub(crate) user_id: i64,
    pub(crate) hour: i64,
    pub(crate) class: String,
    // In two halves, as the sum may have more than 64 bits.
    uploaded_high: i64,
    uploaded_low: i64,
    downloaded_high: i64,
    downloaded_low: i64,
    pub(crate) uploaded_in: i64,
    pub(crate) downloaded_in: i64,
}

impl HourRow {
    pub(crate) fn uploaded(&self) -> i64 {
        whole(self.uploaded_high, self.uploaded_low)
    }

    pub(crate) fn downloaded(&self) -> i64 {
        whole(self.downloaded_high, self.downloaded_low)
    }
}

/// Up to the top.
fn whole(high: i64, low: i64) -> i64 {
    i64::try_from((i128::from(high) << 32) + i128::from(low)).unwrap_or(i64::MAX)
}

/// A row of `settlements`.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub(crate) struct Settlement {
    pub(crate) user_id: i64,
    pub(crate) hour: i64,
    pub(crate) class: String,
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

/// Many rows at a time. Members' numbers come sorted, each once.
pub(crate) trait Books {
    async fn prepare_to_write(&mut self) -> Result<()>;
    /// Locked in their order; without those that don't exist.
    async fn accounts(&mut self, users: &[i64]) -> Result<Vec<Account>>;
    /// All traffic of members and hours.
    async fn traffic(&mut self, keys: &[(i64, i64)]) -> Result<Vec<HourRow>>;
    /// What there is of members and hours.
    async fn settlements(&mut self, keys: &[(i64, i64)]) -> Result<Vec<Settlement>>;
    /// Those that aren't paid.
    async fn owed(&mut self, users: &[i64]) -> Result<Vec<Settlement>>;
    /// Makes or changes them.
    async fn put_settlements(&mut self, rows: &[Settlement]) -> Result<()>;
    /// In their order.
    async fn add_entries(&mut self, entries: &[Entry], at: UnixTime) -> Result<()>;
    /// As they are now.
    async fn put_accounts(&mut self, accounts: &[Account]) -> Result<()>;
}
