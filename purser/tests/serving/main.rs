//! The program as it serves: real processes, real signals, real sockets, on both databases.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod lifecycle;
mod listeners;
mod site;
