//! The REST API, as kinds of people use it: real processes, real HTTP, both databases; and what the tracker does
//! afterwards, for which the announce is the proof.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[macro_use]
#[path = "../serving/site.rs"]
#[allow(dead_code, reason = "the serving tests use more of it")]
mod site;

mod caller;
mod people;
mod redis;

mod admin;
mod auth;
mod cache;
mod conduct;
mod connections;
mod conventions;
mod credits;
mod docs;
mod download_slots;
mod expiry;
mod feeds;
mod freeleech;
mod gate;
mod hit_and_runs;
mod idempotency;
mod invites;
mod jobs;
mod limits;
mod logs;
mod mail;
mod month;
mod notifications;
mod policies;
mod settings;
mod shop;
mod split;
mod statistics;
mod tokens;
mod torrents;
