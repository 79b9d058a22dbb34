//! `purser-floor`: answers with ready bytes. Its address is the one line on stdout.

use std::time::Duration;

use anyhow::Result;
use benches::floor::{Floor, Options};
use clap::Parser;

/// The least that a server can do.
#[derive(Debug, Parser)]
#[command(name = "purser-floor")]
struct Cli {
    #[command(flatten)]
    options: Options,
    /// Seconds until it ends by itself
    #[arg(long = "for", value_name = "SECS", default_value_t = 600)]
    limit: u64,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let floor = Floor::start(&cli.options)?;
    println!("{}", floor.address);
    floor.run(Duration::from_secs(cli.limit))
}
