//! What credit buys, and what members give each other.

/// All that can be bought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shop {
    /// In the order in which they are shown; no two have one `id`.
    pub items: Vec<Item>,
}

/// Something that can be bought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Names it in requests and in the ledger: a to z, 0 to 9 and hyphens.
    pub id: String,
    /// As members see it.
    pub name: String,
    /// What it costs.
    pub price_milli: u32,
    /// What one gets.
    pub what: Ware,
}

/// What one gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ware {
    /// An invite.
    Invite,
    /// Bytes, as if they had been uploaded: they raise the ratio and earn nothing.
    UploadCredit {
        /// How many.
        bytes: u64,
    },
    /// Makes one torrent free for its owner, from when they use it on.
    FreeleechToken {
        /// For how long.
        hours: u32,
    },
    /// Satisfies one snatch.
    SettleHitAndRun,
}

impl Shop {
    /// The item of that `id`.
    pub fn item(&self, id: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.id == id)
    }
}

/// Why a purchase or a gift comes to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoDeal {
    /// The balance doesn't have it. Debt is for traffic: nobody buys or gives what they haven't got.
    #[error("that takes {} more", credits(*.missing_milli))]
    TooLittle {
        /// What is missing.
        missing_milli: u64,
    },
    /// A gift of nothing, or of less.
    #[error("a gift is more than 0")]
    NotPositive,
    /// The other's balance would leave what the ledger counts.
    #[error("they have too much already")]
    TooMuch,
}

/// The balance after a purchase.
pub fn buy(balance_milli: i64, item: &Item) -> Result<i64, NoDeal> {
    spend(balance_milli, item.price_milli.into())
}

/// The balances of giver and taker after a gift. Their sum is what it was.
pub fn give(from_milli: i64, to_milli: i64, gift_milli: i64) -> Result<(i64, i64), NoDeal> {
    if gift_milli <= 0 {
        return Err(NoDeal::NotPositive);
    }
    let left = spend(from_milli, gift_milli)?;
    let right = to_milli.checked_add(gift_milli).ok_or(NoDeal::TooMuch)?;
    Ok((left, right))
}

fn spend(balance_milli: i64, price_milli: i64) -> Result<i64, NoDeal> {
    if balance_milli < price_milli {
        let missing_milli = price_milli.abs_diff(balance_milli);
        return Err(NoDeal::TooLittle { missing_milli });
    }
    Ok(balance_milli - price_milli)
}

/// `12.345 credits`.
fn credits(milli: u64) -> String {
    format!("{}.{:03} credits", milli / 1000, milli % 1000)
}
