//! # benches
//!
//! How long the announce path takes, without sockets; in [`ledger`], what it costs to make it durable; in [`memory`], how
//! much room it takes; in [`cores`], what a second core is worth; in [`load`], how a whole server bears it over the network, beside a [`floor`] that does nothing
//! else; and in [`api`], what reading the site costs. The workloads are made here, so that `cargo test` runs each of them once and checks its answers; the files in
//! `benches/` only hand them to criterion. Everything is seeded: two runs do the same work.
//!
//! Start with [`workload`], the list of what is measured. It is told of [`traffic`], announces that are made round and
//! round; of the [`site`] they are made at; and of the [`query`] strings that clients would send.

pub mod workload;

pub mod query;
pub mod site;
pub mod traffic;

pub mod cores;
pub mod instructions;
pub mod ledger;
pub mod memory;

pub mod floor;
pub mod load;

pub mod api;

mod limits;
mod packets;

use std::fmt;

/// How much of it. Each workload comes in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Size {
    /// Fits the first-level cache, and a test's patience.
    Small,
    /// A large site's.
    Large,
}

impl Size {
    /// Both under `cargo bench`; under `cargo test`, which doesn't pass `--bench`, small alone.
    pub fn of_this_run() -> &'static [Self] {
        if std::env::args().any(|argument| argument == "--bench") {
            &[Self::Small, Self::Large]
        } else {
            &[Self::Small]
        }
    }

    /// One of two values.
    pub fn pick<T>(self, small: T, large: T) -> T {
        match self {
            Self::Small => small,
            Self::Large => large,
        }
    }
}

/// As it stands in a benchmark's name.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.pick("small", "large"))
    }
}
