//! The rules: who may do what, what is right, and what follows. Free of axum, so that commands can ask them too.

pub mod account;
pub mod admin;
pub mod auth;
pub mod conduct;
pub mod credits;
pub(crate) mod downloads;
pub(crate) mod feeds;
pub mod freeleech;
pub mod gate;
pub mod hit_and_runs;
pub mod invites;
pub mod jobs;
pub mod logs;
pub mod notifications;
pub mod policies;
pub mod reports;
pub mod settings;
pub mod shop;
pub mod tokens;
pub mod torrents;
pub mod uploads;
