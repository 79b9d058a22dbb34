//! Closed hours' traffic becomes credit entries. A member's hour, in the class that they had, is a period: what it is worth
//! follows from all its traffic, and what is entered is that, less what has been entered for it. So late traffic adds its
//! difference, and settling again adds nothing.
//!
//! A period's first settlement writes down its prices: the site's, the multiplier's, and the class's. What comes later for
//! it counts by them.
//!
//! So many members are one transaction: their entries, balances and settlements, and from which hour on they have traffic
//! that isn't settled. Who dies in the middle leaves whole members to the next run.

use std::collections::BTreeMap;

use economy::price::{self, Earning, Factors};
use tracker_core::ids::UnixTime;
use tracker_core::registry::UserClass;

use crate::books::{Account, Books, Entry, HourRow, Settlement};
use crate::columns::{self, Word};
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

/// Of one member in one transaction; after a clock that was years behind there are more, and they are the next one's.
const HOURS_AT_A_TIME: i64 = 500;

const UNSETTLED: &str = "
    select id
    from users
    where unsettled_since < $1
        and id > $2
    order by id
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
                        false => sqlx::query_scalar(UNSETTLED).bind(hour).bind(after),
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
                let done = self.settle_members(terms, &users, hour, now).await?;
                settled.members += done.settled.members;
                settled.entries += done.settled.entries;
                if !done.has_more {
                    after = last;
                }
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
    ) -> Result<Step> {
        in_transaction!(self, |tx| {
            settle_members(&mut tx, terms, users, before_hour, at).await?
        })
    }
}

/// A transaction's part of it.
struct Step {
    settled: Settled,
    /// One of the members has hours left.
    has_more: bool,
}

async fn settle_members(
    tx: &mut impl Books,
    terms: &Terms,
    users: &[i64],
    before_hour: i64,
    at: UnixTime,
) -> Result<Step> {
    tx.prepare_to_write().await?;
    let mut accounts = tx.accounts(users).await?;
    let mut keys = Vec::new();
    let mut has_more = false;
    for account in &mut accounts {
        let since = account.unsettled_since.unwrap_or(before_hour);
        let end = before_hour.min(since.saturating_add(HOURS_AT_A_TIME));
        keys.extend((since..end).map(|hour| (account.user, hour)));
        has_more |= end < before_hour;
        // What has come for later hours isn't seen here.
        account.unsettled_since = account
            .unsettled_since
            .map(|since| since.max(end))
            .filter(|since| account.traffic_until.is_some_and(|until| *since <= until));
    }
    let traffic = tx.traffic(&keys).await?;
    let known = tx.settlements(&keys).await?;
    let owed = tx.owed(users).await?;
    let mut periods: BTreeMap<(i64, i64, String), Period> = BTreeMap::new();
    for row in traffic {
        let key = (row.user_id, row.hour, row.class.clone());
        periods.entry(key).or_default().moved = Some(row);
    }
    for row in known.into_iter().chain(owed) {
        let key = (row.user_id, row.hour, row.class.clone());
        periods.entry(key).or_default().settled = Some(row);
    }

    let mut members = 0;
    let mut entries = Vec::new();
    let mut settlements = Vec::with_capacity(periods.len());
    let mut periods = periods.into_iter().peekable();
    for account in &mut accounts {
        let mut own = Vec::new();
        while let Some((key, period)) = periods.next_if(|(key, _)| key.0 <= account.user) {
            // Traffic has no foreign keys.
            if key.0 == account.user {
                own.extend(period.open(terms, key)?);
            }
        }
        members += u64::from(!own.is_empty());
        // What was earned pays for what was had, of whichever hour.
        for period in &mut own {
            entries.extend(period.earn(account)?);
        }
        for period in &mut own {
            entries.extend(period.pay(terms, account)?);
        }
        settlements.extend(own.into_iter().map(|period| period.row));
    }
    let settled = Settled {
        members,
        entries: entries.len() as u64,
    };
    tx.put_settlements(&settlements).await?;
    tx.add_entries(&entries, at).await?;
    tx.put_accounts(&accounts).await?;
    Ok(Step { settled, has_more })
}

/// What there is of a member's hour in one class.
#[derive(Default)]
struct Period {
    moved: Option<HourRow>,
    settled: Option<Settlement>,
}

/// What no settlement has, in hundredths of bytes, and in how many torrents; `None` isn't known, as some was settled before.
#[derive(Default)]
struct Moved {
    uploaded: i64,
    uploaded_in: Option<u64>,
    downloaded: i64,
    downloaded_in: Option<u64>,
}

impl Period {
    /// With all its traffic, and nothing entered for what is new in it. `None`: there is nothing to enter.
    fn open(self, terms: &Terms, (user, hour, class): (i64, i64, String)) -> Result<Option<Open>> {
        let is_first = self.settled.is_none();
        let percent = terms.upload_percent(UserClass::parse(&class)?);
        let first = || Settlement {
            user_id: user,
            hour,
            class,
            counted_uploaded: 0,
            counted_downloaded: 0,
            earned_milli: 0,
            cost_milli: 0,
            owed_milli: 0,
            upload_milli_per_gib: terms.earning.upload_milli_per_gib.into(),
            download_milli_per_gib: terms.earning.download_milli_per_gib.into(),
            multiplier_milli: terms.multiplier_milli.into(),
            class_upload_percent: percent.into(),
        };
        let mut row = self.settled.unwrap_or_else(first);
        let mut new = Moved::default();
        if let Some(moved) = self.moved {
            let torrents = |count| is_first.then(|| u64::try_from(count).unwrap_or(0));
            new = Moved {
                uploaded: (moved.uploaded() - row.counted_uploaded).max(0),
                uploaded_in: torrents(moved.uploaded_in),
                downloaded: (moved.downloaded() - row.counted_downloaded).max(0),
                downloaded_in: torrents(moved.downloaded_in),
            };
        }
        if new.uploaded == 0 && new.downloaded == 0 && row.owed_milli == 0 {
            return Ok(None);
        }
        row.counted_uploaded += new.uploaded;
        row.counted_downloaded += new.downloaded;
        let percent = columns::id(row.class_upload_percent, "settlements.class_upload_percent")?;
        Ok(Some(Open {
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
            new,
            row,
        }))
    }
}

impl Terms {
    fn upload_percent(&self, class: UserClass) -> u16 {
        let percents = UserClass::ALL.into_iter().zip(self.class_upload_percent);
        let of_class = percents.into_iter().find(|(other, _)| *other == class);
        of_class.map_or(100, |(_, percent)| percent)
    }
}

/// A period with all its traffic, at its own prices.
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
fn note(hundredths: i64, torrents: Option<u64>, hour: i64) -> String {
    let size = notes::size(u64::try_from(hundredths / 100).unwrap_or(0));
    let hour = notes::hour(hour);
    match torrents {
        Some(torrents) => format!("{size} in {}, {hour}", notes::torrents(torrents)),
        None => format!("{size} that came late, {hour}"),
    }
}
