//! The contract: every statement of the store, on both databases, with the same outcome.
//!
//! The Postgres half is ignored unless asked for: `scripts/test` starts a server, sets PURSER_TEST_POSTGRES to a URL
//! where databases may be created, and runs it. Each test has a database of its own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[macro_use]
mod harness;

mod batch;
mod catalogue;
mod changes;
mod class_changes;
mod exactly_once;
mod expiry;
mod freeleech;
mod history;
mod jobs;
mod mails;
mod many_rows;
mod members;
mod model;
mod roster;
mod schema;
mod seeding;
mod settlement;
mod shop;
mod site;
mod statistics;
mod traffic;
