//! What credits buy, and what members give each other.

use economy::shop::{Item, Ware};
use serde::{Deserialize, Serialize};
use store::{Bought, Gift, Given, Purchase};
use tracker_core::ids::{InfoHash, TorrentId, UnixTime, UserId};
use tracker_core::registry::MemberStatus;
use utoipa::ToSchema;

use crate::caller::Caller;
use crate::names;
use crate::page::Page;
use crate::problem::Problem;
use crate::services::credits::{AMOUNT_MAX, Transaction};
use crate::services::freeleech::{FreeleechTokenView, still_free};
use crate::services::torrents;
use crate::site::Site;
use crate::time::Time;

/// Something to buy.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ItemView {
    /// What to ask for.
    pub id: String,
    /// For people.
    pub name: String,
    /// What one gets.
    pub what: WareKind,
    /// In thousandths of a credit.
    pub price_milli: u32,
    /// Of upload credit: how many; `null` of all else.
    #[schema(required)]
    pub bytes: Option<u64>,
    /// Of a freeleech token: how long it lasts; `null` of all else.
    #[schema(required)]
    pub hours: Option<u32>,
    /// Whether it is for a torrent alone, and `info_hash` has to say for which.
    pub needs_info_hash: bool,
    /// Whether you have the credits for it.
    pub affordable: bool,
}

/// What one gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WareKind {
    /// A code more that you may give out.
    Invite,
    /// Bytes, as if you had uploaded them: they raise the ratio, and earn nothing.
    UploadCredit,
    /// Your downloads of one torrent don't count, from when you use it.
    FreeleechToken,
    /// A snatch of yours is given back.
    SettleHitAndRun,
}

/// For what it is bought.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PurchaseRequest {
    /// The torrent's, where the item is for one: only there. A freeleech token that has it is used at once; without it, you
    /// hold it.
    #[schema(example = "c12fe1c06bba254a9dc9f519b335aa7c1367a88a")]
    pub info_hash: Option<String>,
}

/// What was bought.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Receipt {
    /// What was paid.
    pub transaction: Transaction,
    /// What one got.
    pub what: WareKind,
    /// Of upload credit: how many; `null` of all else.
    #[schema(required)]
    pub bytes: Option<u64>,
    /// When a freeleech token ends that is used at once; `null` of all else.
    #[schema(required)]
    pub ends_at: Option<Time>,
    /// The freeleech token; `null` of all else.
    #[schema(required)]
    pub token: Option<FreeleechTokenView>,
}

/// A gift to be.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GiftRequest {
    /// Who gets it.
    #[schema(example = "ann")]
    pub username: String,
    /// In thousandths of a credit.
    #[schema(minimum = 1, maximum = 1_000_000_000_000_000_i64, example = 5000)]
    pub amount_milli: i64,
    /// They read it.
    #[serde(default)]
    #[schema(max_length = 500, example = "Thanks for the subtitles")]
    pub note: Option<String>,
}

/// All there is, in the operator's order.
pub(crate) async fn items(site: &Site, user: UserId) -> Result<Page<ItemView>, Problem> {
    let balance = site.store.stats(user).await?.credits_milli;
    let items = &site.economy.shop.items;
    let results = items.iter().map(|item| ItemView::new(item, balance));
    Ok(Page {
        results: results.collect(),
        next: None,
    })
}

pub(crate) async fn buy(
    site: &Site,
    caller: &Caller,
    id: &str,
    asked: &PurchaseRequest,
) -> Result<Receipt, Problem> {
    let unknown = || Problem::NOT_FOUND.detail("there is no such item");
    let item = site.economy.shop.item(id).ok_or_else(unknown)?;
    let is_token = matches!(item.what, Ware::FreeleechToken { .. });
    let torrent = match &asked.info_hash {
        Some(hash) if is_token || needs_torrent(item.what) => {
            Some(open_torrent(site, caller, hash).await?)
        }
        Some(_) => {
            let right = "nothing, as this isn't for a torrent";
            return Err(Problem::invalid("info_hash", right));
        }
        None if needs_torrent(item.what) => {
            return Err(Problem::invalid("info_hash", "it must be there"));
        }
        None => None,
    };
    let nothing_owed = || Problem::CONFLICT.detail("you owe this torrent nothing");
    let (user, at) = (caller.user.id, site.now());
    if item.what == Ware::SettleHitAndRun {
        let rules = &site.economy.hit_and_run;
        let owed = site.store.owed_snatches(user, rules, at).await?;
        let is_it = |id: TorrentId| torrent.is_some_and(|(torrent, _)| torrent == id);
        if !owed.iter().any(|owed| is_it(owed.torrent)) {
            return Err(nothing_owed());
        }
    }
    let purchase = Purchase {
        user,
        item,
        torrent,
        token_expires_at: token_end(site, caller, at),
        at,
    };
    let (entry, token) = match site.store.buy(&purchase).await? {
        Bought::Done { entry, token } => (entry, token),
        Bought::NoDeal(why) => return Err(Problem::CONFLICT.detail(why.to_string())),
        Bought::Full => return Err(Problem::CONFLICT.detail("nobody can have more of this")),
        Bought::FreeUntil(_) => return Err(still_free()),
        Bought::NothingToSettle => return Err(nothing_owed()),
        Bought::NoTorrent => return Err(Problem::invalid("info_hash", "it must be there")),
    };
    Ok(Receipt {
        transaction: entry.into(),
        what: item.what.into(),
        bytes: bytes(item.what),
        ends_at: token
            .as_ref()
            .and_then(|token| token.used)
            .map(|used| used.ends_at.into()),
        token: token.map(FreeleechTokenView::from),
    })
}

pub(crate) async fn give(
    site: &Site,
    caller: &Caller,
    asked: &GiftRequest,
) -> Result<Transaction, Problem> {
    let mut wrong = Problem::INVALID;
    if !(1..=AMOUNT_MAX).contains(&asked.amount_milli) {
        wrong = wrong.and("amount_milli", "more than 0, and at most 10^15");
    }
    let note = asked.note.as_deref().unwrap_or_default().trim();
    if !note.is_empty() && names::check_reason(note).is_err() {
        wrong = wrong.and("note", "a line of at most 500 characters");
    }
    let taker = match names::check(&asked.username) {
        Ok(()) => site.store.find_user(&asked.username).await?,
        Err(_) => None,
    };
    let me = caller.user.id;
    let taker = taker.filter(|taker| taker.id != me && taker.status == MemberStatus::Active);
    let nobody =
        |wrong: Problem| wrong.and("username", "the name of another member, who is active");
    let Some(taker) = taker else {
        return Err(nobody(wrong));
    };
    wrong.unless_none()?;
    let gift = Gift {
        from: (me, &caller.user.username),
        to: (taker.id, &taker.username),
        amount_milli: asked.amount_milli,
        note,
        at: site.now(),
    };
    match site.store.give(&gift).await? {
        Given::Done(entry) => Ok(entry.into()),
        Given::NoDeal(why) => Err(Problem::CONFLICT.detail(why.to_string())),
        Given::NoTaker => Err(nobody(Problem::INVALID)),
    }
}

fn needs_torrent(what: Ware) -> bool {
    match what {
        Ware::SettleHitAndRun => true,
        Ware::Invite | Ware::UploadCredit { .. } | Ware::FreeleechToken { .. } => false,
    }
}

/// When a token that is bought now, and never used, expires: as the member's class has it.
fn token_end(site: &Site, caller: &Caller, at: UnixTime) -> Option<UnixTime> {
    let days = site.economy.class(caller.user.class).privileges.token_days;
    (days > 0).then(|| UnixTime(at.0.saturating_add(days.saturating_mul(86_400))))
}

fn bytes(what: Ware) -> Option<u64> {
    match what {
        Ware::UploadCredit { bytes } => Some(bytes),
        _ => None,
    }
}

/// One that members download: for any other it would be for nothing.
pub(super) async fn open_torrent(
    site: &Site,
    caller: &Caller,
    hash: &str,
) -> Result<(TorrentId, InfoHash), Problem> {
    let wrong = || Problem::invalid("info_hash", "the info hash of a torrent that is here");
    let found = match torrents::find(site, caller, hash).await {
        Err(problem) if problem == Problem::NOT_FOUND => return Err(wrong()),
        found => found?.listed,
    };
    match found.status {
        tracker_core::registry::TorrentStatus::Open => Ok((found.id, found.info_hash)),
        _ => Err(wrong()),
    }
}

impl ItemView {
    fn new(item: &Item, balance_milli: i64) -> Self {
        Self {
            id: item.id.clone(),
            name: item.name.clone(),
            what: item.what.into(),
            price_milli: item.price_milli,
            bytes: bytes(item.what),
            hours: match item.what {
                Ware::FreeleechToken { hours } => Some(hours),
                _ => None,
            },
            needs_info_hash: needs_torrent(item.what),
            affordable: economy::shop::buy(balance_milli, item).is_ok(),
        }
    }
}

impl From<Ware> for WareKind {
    fn from(what: Ware) -> Self {
        match what {
            Ware::Invite => Self::Invite,
            Ware::UploadCredit { .. } => Self::UploadCredit,
            Ware::FreeleechToken { .. } => Self::FreeleechToken,
            Ware::SettleHitAndRun => Self::SettleHitAndRun,
        }
    }
}
