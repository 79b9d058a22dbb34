//! The program as an operator meets it: typed commands in an empty folder, on SQLite.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod configuration;
mod doctor;
mod members;
mod sandbox;
mod simulate;
mod torrents;
