//! # persister
//!
//! How does memory become durable, and how does it come back? Four stories, each told in one file:
//!
//! - [`load`]: at the start, members, torrents and sessions come from the database into memory, and what only the
//!   journal knows after them.
//! - [`recorder`]: what announces leave in the tracker's outbox is written to the [`journal`], at once.
//! - [`flush`]: every flush interval, what is new in the journal is [merged](merge) and applied to the database, in one
//!   transaction a [lane](lanes). What memory [remembers](baselines) of the database spares it look-ups.
//! - [`follow`]: what the site changes in the database reaches the tracker's memory within a second or so.
//!
//! And [`journal`]: records on disk, for as long as the database doesn't have them.
//!
//! Credit is reckoned in `tracker-core` and SQL stands in `store`; here they are brought together.

pub mod recorder;

pub mod journal;

pub mod flush;

pub mod merge;

pub mod baselines;
pub mod lanes;

pub mod load;

pub mod follow;
