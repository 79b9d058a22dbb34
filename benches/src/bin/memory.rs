//! `purser-bench-memory`: the room that peers take. Figures go to stdout as JSON, and to stderr as a table.
//!
//! One extent a process: what an earlier one has left behind would be counted too.

use std::time::Duration;

use anyhow::Result;
use benches::Size;
use benches::memory::{self, Extent, Rest, Spread};
use clap::Parser;

/// As in the program itself: most of a figure is the allocator's doing.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// mimalloc gives back what hasn't been used for a second, and looks for it every some thousand allocations.
const REST: Rest = Rest {
    settle: Duration::from_secs(3),
    refused: 500_000,
};

/// Measures memory.
#[derive(Debug, Parser)]
#[command(name = "purser-bench-memory")]
struct Cli {
    /// How much of it
    #[arg(long, value_enum, default_value = "small")]
    scale: Size,
    /// Peers, in place of the scale's
    #[arg(long, value_name = "N")]
    peers: Option<u32>,
    /// Torrents, in place of the scale's
    #[arg(long, value_name = "N")]
    torrents: Option<u32>,
    /// How the peers are dealt out to the torrents
    #[arg(long, value_enum, default_value = "even")]
    spread: Spread,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let extent = Extent {
        peers: cli.peers.unwrap_or(cli.scale.pick(2_000, 1_000_000)),
        torrents: cli.torrents.unwrap_or(cli.scale.pick(200, 100_000)),
        spread: cli.spread,
    };
    let report = memory::run(extent, REST)?;
    eprintln!("{}", report.markdown());
    println!("{}", report.json());
    Ok(())
}
