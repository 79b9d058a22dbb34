//! The tracker as a client meets it: bytes go in at a socket, bytes come out.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod announce;
mod bad_input;
mod download_slots;
mod http;
mod journalled;
mod support;
mod udp;
mod udp_client;
mod udp_junk;
mod udp_keyless;
mod udp_promises;
