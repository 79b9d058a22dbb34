//! The rules: who may do what, what is right, and what follows. Free of axum, so that commands can ask them too.

pub mod account;
pub mod auth;
pub(crate) mod downloads;
pub mod tokens;
pub mod torrents;
pub mod uploads;
