//! The program as it serves: real processes, real signals, real sockets, on both databases.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[macro_use]
mod site;

mod lifecycle;
mod listeners;
mod udp;

// Accounts are exact, whatever breaks.
mod crashes;
mod disks;
mod journals;
mod outages;

// What breaks.
mod cluster;
mod proxy;

// Who doesn't mind.
mod accounts;
mod client;
mod load;
mod meeting;
mod wire;
