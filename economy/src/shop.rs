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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::Policy;

    fn costing(price_milli: u32) -> Item {
        Item {
            id: "invite".to_owned(),
            name: "An invite".to_owned(),
            price_milli,
            what: Ware::Invite,
        }
    }

    #[test]
    fn nobody_buys_what_they_cannot_pay() {
        let lacks = |missing_milli| Err(NoDeal::TooLittle { missing_milli });
        let table = [
            (1000, 1000, Ok(0)),
            (1001, 1000, Ok(1)),
            (999, 1000, lacks(1)),
            (0, 1, lacks(1)),
            (-500, 1000, lacks(1500)),
            (i64::MIN, 1, lacks((1 << 63) + 1)),
            (i64::MAX, u32::MAX, Ok(i64::MAX - i64::from(u32::MAX))),
        ];
        for (balance, price, expected) in table {
            assert_eq!(
                buy(balance, &costing(price)),
                expected,
                "{balance} for {price}"
            );
        }
        let error = NoDeal::TooLittle {
            missing_milli: 1_005,
        };
        assert_eq!(error.to_string(), "that takes 1.005 credits more");
    }

    #[test]
    fn a_gift_is_more_than_nothing_and_what_one_has() {
        let table = [
            (100, 5, 100, Ok((0, 105))),
            (100, -50, 30, Ok((70, -20))),
            (100, 0, 101, Err(NoDeal::TooLittle { missing_milli: 1 })),
            (100, 0, 0, Err(NoDeal::NotPositive)),
            (100, 50, -50, Err(NoDeal::NotPositive)),
            (100, i64::MAX, 1, Err(NoDeal::TooMuch)),
        ];
        for (from, to, gift, expected) in table {
            assert_eq!(give(from, to, gift), expected, "{gift} of {from} to {to}");
        }
    }

    #[test]
    fn an_item_is_found_by_its_id() {
        let shop = Policy::default().shop;
        let token = shop.item("freeleech-token").map(|item| item.what);
        assert_eq!(token, Some(Ware::FreeleechToken { hours: 72 }));
        assert_eq!(shop.item("nothing"), None);
    }

    proptest! {
        #[test]
        fn a_gift_makes_no_money_and_no_debt(from in any::<i64>(), to in any::<i64>(), gift in any::<i64>()) {
            if let Ok((left, right)) = give(from, to, gift) {
                prop_assert_eq!(i128::from(left) + i128::from(right), i128::from(from) + i128::from(to));
                prop_assert!(0 <= left && left < from && right > to);
            }
        }
    }
}
