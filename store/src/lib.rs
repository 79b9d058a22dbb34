//! # store
//!
//! What is in the database? Members, logins, API keys, tokens, invites, torrents, sessions, snatches, and the list of changes that the
//! trackers follow. It is SQLite in one file, or Postgres; [`Store`] is either, and nothing outside this crate can tell.
//!
//! One file per noun, with its SQL at the top: one text for both databases wherever that is possible. Three doors:
//!
//! - The site writes through `create_user`, `add_torrent` and their like. What a tracker must know too leaves a row in
//!   [`changes`](Store::changes_after), in the same transaction.
//! - A tracker that starts loads its [roster](Store::members) page by page, and then follows the changes, woken by a
//!   [signal](Store::change_signal).
//! - What clients report comes in as a [`Batch`], applied in [one transaction](Store::apply).
//!
//! Nothing here decides who may do what, hashes a password, reads the clock or logs: callers do.

mod api_keys;
mod audit;
mod batch;
mod books;
mod catalogue;
mod category;
mod changes;
mod columns;
mod conduct;
mod credits;
mod error;
mod expiry;
mod figures;
mod freeleech;
mod gate;
mod history;
mod idempotency;
mod invites;
mod jobs;
mod logins;
mod mails;
mod members;
mod notes;
mod notifications;
mod policies;
mod reports;
mod roster;
mod seeding;
mod sessions;
mod settings;
mod settle;
mod shop;
mod signal;
mod snatches;
mod standing;
mod statistics;
mod store;
mod tokens;
mod torrents;
mod users;

pub use api_keys::{ApiKey, ApiKeyId, NewApiKey};
pub use audit::AuditEntry;
pub use batch::{Applied, Batch, Care, Mark, Observation, SessionChange};
pub use catalogue::{Listed, Sight, Sort, TorrentDetail, TorrentQuery};
pub use category::Category;
pub use changes::{Change, ChangeId, Changed};
pub use conduct::{Conduct, Verdicts};
pub use credits::{CreditEntry, CreditKind};
pub use error::{Result, StoreError};
pub use expiry::Past;
pub use figures::{Figures, SecurityFigures};
pub use freeleech::{FreeleechToken, TokenUse, UsedToken};
pub use gate::{NewRule, RULES_MAX, Ruled};
pub use history::TrafficOfHour;
pub use idempotency::{KeyedRequest, Known};
pub use invites::{Invite, Invitee};
pub use jobs::{JobOutcome, JobRun, JobState, TakenJob};
pub use logins::{LoginId, Refreshed};
pub use mails::{DueMail, MailState};
pub use members::{UserChange, UserCounts, UserFilter};
pub use notifications::{Notification, NotificationKind};
pub use policies::{EndedPolicy, Freeleech, NewPolicy, POLICIES_MAX, StoredPolicy};
pub use reports::Report;
pub use roster::PAGE_MAX;
pub use sessions::{Decision, Session, SessionPlace};
pub use settings::Setting;
pub use settle::{Settled, Terms};
pub use shop::{Bought, Gift, Given, Purchase};
pub use signal::ChangeSignal;
pub use snatches::OwedSnatch;
pub use store::Store;
pub use tokens::{NewToken, Token};
pub use torrents::{NewFile, NewTorrent, TorrentEdit};
pub use users::{NewUser, Stats, User, UserRole};
