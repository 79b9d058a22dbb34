//! # persister
//!
//! How does memory become durable, and how does it come back? Three stories, each told in one file:
//!
//! - [`load`]: at the start, members, torrents and sessions come from the database into memory.
//! - [`flush`]: every flush interval, what has gathered in the tracker's outbox is [merged](merge) and applied to the
//!   database in one transaction.
//! - [`follow`]: what the site changes in the database reaches the tracker's memory within a second or so.
//!
//! Credit is reckoned in `tracker-core` and SQL stands in `store`; here they are brought together.

pub mod flush;
pub mod follow;
pub mod load;
pub mod merge;
