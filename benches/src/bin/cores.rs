//! `purser-bench-cores`: what a second core is worth. Figures go to stdout as JSON, and to stderr as a table.

use anyhow::Result;
use benches::{Size, cores};
use clap::Parser;

/// As in the program itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures one thread's announces against two's.
#[derive(Debug, Parser)]
#[command(name = "purser-bench-cores")]
struct Cli {
    /// How much of it
    #[arg(long, value_enum, default_value = "small")]
    scale: Size,
    /// How often, in turn
    #[arg(long, value_name = "N", default_value = "5")]
    rounds: usize,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let report = cores::run(cli.scale, cli.rounds)?;
    eprintln!("{}", report.markdown());
    println!("{}", report.json());
    Ok(())
}
