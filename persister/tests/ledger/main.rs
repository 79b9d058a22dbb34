//! From announces to rows and back: the tracker, the persister and a real database, without the network.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounts;
mod following;
mod site;
mod surprises;
