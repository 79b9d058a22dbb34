//! # purser-load
//!
//! Announces over a real socket, as many as one core can send, or so many a second; every reply checked.
//!
//! A [`site`] is known to whoever fills a database with it and to whoever announces. Its [`clients`] say what comes next;
//! a [`request`] is put together from ready pieces and its [`reply`] checked. [`http`] keeps the connections, [`udp`] the packets ([`junk`] sends others), at a
//! [`pace`]; a [`tally`] is what came of it, and [`server`] what it cost the other side. [`run`] is the story;
//! a [`digest`] puts many runs side by side.

pub mod run;

pub mod site;

pub mod clients;
pub mod pace;
pub mod reply;
pub mod request;
pub mod tally;

pub mod http;
pub mod idle;

pub mod junk;
pub mod udp;

pub mod digest;
pub mod outcome;
pub mod server;

#[cfg(test)]
mod tests;
