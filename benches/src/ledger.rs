//! What it costs to make announces durable: into the journal, into the database, and back into memory.
//!
//! Four workloads, each a function that runs it and gives a [`report`]: [`persist`], [`journal`], [`start`] and
//! [`replay`]. What clients would send comes from a [`crowd`]; a [`database`] is filled with its site first.

pub mod economy;
pub mod journal;
pub mod persist;
pub mod replay;
pub mod start;

pub mod crowd;
pub mod database;
pub mod report;

mod announcers;
mod cpu;
mod feeder;
mod floor;
pub(crate) mod records;

#[cfg(test)]
mod tests;
