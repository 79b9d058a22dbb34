//! # tracker-core
//!
//! What an announce means, and how it is answered. Bytes come in from torrent clients; bencoded replies go out to them,
//! and records of what they reported go to the [outbox], from where the persister takes them to the database.
//!
//! There is no database and no REST here. Start with [`tracker`], the path of an announce, and follow it inwards;
//! [`server`] is the way in from the network.

pub mod server;
pub mod tracker;

pub mod accounting;
pub mod gate;
pub mod key;
pub mod outbox;
pub mod proxy;
pub mod query;
pub mod record;
pub mod refusal;
pub mod reply;
pub mod roster;
pub mod swarm;
mod target;
pub mod udp;

pub mod ids;
mod pages;
pub mod registry;
pub mod room;
pub mod session;
pub mod settings;
pub mod timings;

pub mod bencode;
pub mod metainfo;
