//! Closed hours' traffic becomes credit entries. A member's hour is a period: what it is worth follows from all its traffic,
//! and what is entered is that, less what has been entered for it. So late traffic adds its difference, and settling again
//! adds nothing.
//!
//! An hour's first settlement writes down its prices: the site's, the multiplier's, and those of the class that the member
//! has then. What comes later for that hour counts by them.
//!
//! So many members are one transaction: their entries, balances and settlements, and the mark on their traffic. Who dies in
//! the middle leaves whole members to the next run.

use std::collections::BTreeMap;

use economy::price::{self, Earning, Factors};
use tracker_core::ids::UnixTime;
use tracker_core::registry::UserClass;

use crate::books::{Account, Books, Entry, News, Settlement};
use crate::columns;
use crate::credits::CreditKind;
use crate::error::Result;
use crate::store::{in_transaction, reading};
use crate::{Store, notes};

/// What hours are settled by that weren't settled before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Prices, and whether members may be in debt: that counts for earlier hours too.
    pub earning: Earning,
    /// The site's `credits.multiplier`, times 1000.
    pub multiplier_milli: u32,
    /// What an uploaded byte earns, by class, in the order of [`UserClass::ALL`].
    pub class_upload_percent: [u16; 4],
}

/// What settling came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Whose traffic it was.
    pub members: u64,
    /// Entries made.
    pub entries: u64,
}

const WITH_NEWS: &str = "
    select user_id
    from traffic
    where is_news
        and hour < $1
        and user_id > $2
    group by user_id
    order by user_id
    limit $3";

/// Those who can pay something.
const WITH_DEBTS: &str = "
    select settlements.user_id
    from settlements
    join users on users.id = settlements.user_id
    where settlements.owed_milli > 0
        and settlements.user_id > $1
        and (users.credits_milli > 0 or $2)
    group by settlements.user_id
    order by settlements.user_id
    limit $3";

impl Store {
    /// Enters what the traffic of all hours before this one is worth, and what members owe of earlier ones and can pay by
    /// now; so many members in one transaction. Two at once do it once.
    pub async fn settle(
        &self,
        terms: &Terms,
        now: UnixTime,
        members_at_a_time: u32,
    ) -> Result<Settled> {
        let hour = i64::from(now.0 / 3600);
        let mut settled = Settled::default();
        for debts in [false, true] {
            let mut after = 0;
            loop {
                let users: Vec<i64> = reading!(self, |pool| {
                    let query = match debts {
                        false => sqlx::query_scalar(WITH_NEWS).bind(hour).bind(after),
                        true => sqlx::query_scalar(WITH_DEBTS)
                            .bind(after)
                            .bind(terms.earning.allow_debt),
                    };
                    query
                        .bind(i64::from(members_at_a_time))
                        .fetch_all(pool)
                        .await
                })?;
                let Some(&last) = users.last() else {
                    break;
                };
                after = last;
                let done = self.settle_members(terms, &users, hour, now).await?;
                settled.members += done.members;
                settled.entries += done.entries;
            }
        }
        Ok(settled)
    }

    async fn settle_members(
        &self,
        terms: &Terms,
        users: &[i64],
        before_hour: i64,
        at: UnixTime,
    ) -> Result<Settled> {
        in_transaction!(self, |tx| {
            settle_members(&mut tx, terms, users, before_hour, at).await?
        })
    }
}

async fn settle_members(
    tx: &mut impl Books,
    terms: &Terms,
    users: &[i64],
    before_hour: i64,
    at: UnixTime,
) -> Result<Settled> {
    tx.prepare_to_write().await?;
    let mut news = tx.news(users, before_hour).await?;
    let mut accounts = tx.accounts(users).await?;
    // Traffic has no foreign keys.
    news.retain(|row| find(&accounts, row.user_id).is_some());
    let mut hours: BTreeMap<(i64, i64), Hour> = BTreeMap::new();
    for row in &news {
        hours
            .entry((row.user_id, row.hour))
            .or_default()
            .hear_of(row);
    }
    let keys: Vec<_> = hours.keys().copied().collect();
    let known = tx.settlements(&keys).await?;
    let owed = tx.owed(users).await?;
    for row in known.into_iter().chain(owed) {
        let hour = hours.entry((row.user_id, row.hour)).or_default();
        hour.settled = Some(row);
    }

    let mut entries = Vec::new();
    let mut settlements = Vec::with_capacity(hours.len());
    let mut changed = Vec::new();
    let mut hours = hours.into_iter().peekable();
    for mut account in accounts.drain(..) {
        let mut own = Vec::new();
        while let Some((key, hour)) = hours.next_if(|(key, _)| key.0 <= account.user) {
            if key.0 == account.user {
                own.push(hour.open(terms, &account, key.1)?);
            }
        }
        if own.is_empty() {
            continue;
        }
        // What was earned pays for what was had, of whichever hour.
        for hour in &mut own {
            entries.extend(hour.earn(&mut account)?);
        }
        for hour in &mut own {
            entries.extend(hour.pay(terms, &mut account)?);
        }
        settlements.extend(own.into_iter().map(|hour| hour.row));
        changed.push(account);
    }
    let settled = Settled {
        members: changed.len() as u64,
        entries: entries.len() as u64,
    };
    tx.mark_settled(&news).await?;
    tx.put_settlements(&settlements).await?;
    tx.add_entries(&entries, at).await?;
    tx.put_accounts(&changed).await?;
    Ok(settled)
}

fn find(accounts: &[Account], user: i64) -> Option<&Account> {
    let at = accounts.binary_search_by_key(&user, |account| account.user);
    accounts.get(at.ok()?)
}

/// What is new of a member's hour, and what there was.
#[derive(Default)]
struct Hour {
    new: Moved,
    settled: Option<Settlement>,
}

/// Hundredths of bytes, and in how many torrents.
#[derive(Default)]
struct Moved {
    uploaded: i64,
    uploaded_in: u64,
    downloaded: i64,
    downloaded_in: u64,
}

impl Hour {
    fn hear_of(&mut self, row: &News) {
        let Moved {
            uploaded,
            uploaded_in,
            downloaded,
            downloaded_in,
        } = &mut self.new;
        *uploaded = uploaded.saturating_add(row.uploaded);
        *uploaded_in += u64::from(row.uploaded > 0);
        *downloaded = downloaded.saturating_add(row.downloaded);
        *downloaded_in += u64::from(row.downloaded > 0);
    }

    /// With the new traffic in it, and nothing entered for it yet.
    fn open(self, terms: &Terms, account: &Account, hour: i64) -> Result<Open> {
        let first = || Settlement {
            user_id: account.user,
            hour,
            counted_uploaded: 0,
            counted_downloaded: 0,
            earned_milli: 0,
            cost_milli: 0,
            owed_milli: 0,
            upload_milli_per_gib: terms.earning.upload_milli_per_gib.into(),
            download_milli_per_gib: terms.earning.download_milli_per_gib.into(),
            multiplier_milli: terms.multiplier_milli.into(),
            class_upload_percent: terms.upload_percent(account.class).into(),
        };
        let mut row = self.settled.unwrap_or_else(first);
        row.counted_uploaded = row.counted_uploaded.saturating_add(self.new.uploaded);
        row.counted_downloaded = row.counted_downloaded.saturating_add(self.new.downloaded);
        let percent = columns::id(row.class_upload_percent, "settlements.class_upload_percent")?;
        Ok(Open {
            earning: Earning {
                upload_milli_per_gib: columns::id(
                    row.upload_milli_per_gib,
                    "settlements.upload_milli_per_gib",
                )?,
                download_milli_per_gib: columns::id(
                    row.download_milli_per_gib,
                    "settlements.download_milli_per_gib",
                )?,
                allow_debt: terms.earning.allow_debt,
            },
            factors: Factors {
                multiplier_milli: columns::id(
                    row.multiplier_milli,
                    "settlements.multiplier_milli",
                )?,
                class_upload_percent: u16::try_from(percent).unwrap_or(u16::MAX),
            },
            new: self.new,
            row,
        })
    }
}

impl Terms {
    fn upload_percent(&self, class: UserClass) -> u16 {
        let percents = UserClass::ALL.into_iter().zip(self.class_upload_percent);
        let of_class = percents.into_iter().find(|(other, _)| *other == class);
        of_class.map_or(100, |(_, percent)| percent)
    }
}

/// A member's hour with all its traffic, at its own prices.
struct Open {
    row: Settlement,
    earning: Earning,
    factors: Factors,
    new: Moved,
}

impl Open {
    fn earn(&mut self, account: &mut Account) -> Result<Option<Entry>> {
        let row = &mut self.row;
        let counted = columns::count(row.counted_uploaded, "settlements.counted_uploaded")?;
        let earned = price::earned_milli(&self.earning, self.factors, counted.into());
        let amount = earned.saturating_sub(row.earned_milli).max(0);
        let Moved {
            uploaded,
            uploaded_in,
            ..
        } = self.new;
        let entry = account.enter(CreditKind::Upload, amount, || {
            note(uploaded, uploaded_in, row.hour)
        });
        row.earned_milli += entry.as_ref().map_or(0, Entry::amount_milli);
        Ok(entry)
    }

    fn pay(&mut self, terms: &Terms, account: &mut Account) -> Result<Option<Entry>> {
        let row = &mut self.row;
        let counted = columns::count(row.counted_downloaded, "settlements.counted_downloaded")?;
        let cost = price::cost_milli(&self.earning, counted.into());
        let owed = cost.saturating_sub(row.cost_milli).max(0);
        let amount = price::payable_milli(&terms.earning, account.balance_milli, owed);
        let Moved {
            downloaded,
            downloaded_in,
            ..
        } = self.new;
        let entry = account.enter(CreditKind::Download, -amount, || match downloaded {
            0 => format!(
                "what was owed for {}, {}",
                notes::size(counted / 100),
                notes::hour(row.hour)
            ),
            _ => note(downloaded, downloaded_in, row.hour),
        });
        let paid = -entry.as_ref().map_or(0, Entry::amount_milli);
        row.cost_milli += paid;
        row.owed_milli = owed - paid;
        Ok(entry)
    }
}

/// Of new traffic.
fn note(hundredths: i64, torrents: u64, hour: i64) -> String {
    let bytes = u64::try_from(hundredths / 100).unwrap_or(0);
    format!(
        "{} in {}, {}",
        notes::size(bytes),
        notes::torrents(torrents),
        notes::hour(hour)
    )
}
