//! `purser-bench-api`: what API reads cost. Figures go to stdout as JSON, and to stderr as a table. Status 1 if a reply
//! wasn't as it should be.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use benches::Size;
use benches::api::{self, Extent, Options};
use clap::Parser;

/// Measures the API's reads.
#[derive(Debug, Parser)]
#[command(name = "purser-bench-api")]
struct Cli {
    /// How much there is in the database
    #[arg(long, value_enum, default_value = "small")]
    scale: Size,
    /// An empty database, `postgres://…`, that will be filled; or one that an earlier run has filled
    #[arg(long, value_name = "URL")]
    database: String,
    /// The program
    #[arg(long, value_name = "PATH", default_value = "target/release/purser")]
    purser: PathBuf,
    /// Seconds for each operation in a round
    #[arg(long, value_name = "SECS", default_value_t = 3)]
    seconds: u32,
    /// Turns of each operation
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: u32,
    /// Connections that ask at the same time
    #[arg(long, value_name = "N", default_value_t = 16)]
    connections: u32,
    /// Another setting of the program's, as `redis_url=redis://…`
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Only operations with this in their name
    #[arg(long, value_name = "WORD", default_value = "")]
    only: String,
}

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    let report = api::run(&Options {
        database: cli.database,
        purser: cli.purser.canonicalize()?,
        extent: Extent::of(cli.scale),
        window: Duration::from_secs(cli.seconds.into()),
        rounds: cli.rounds,
        connections: cli.connections,
        set: cli.set,
        only: cli.only,
    })?;
    eprintln!("{}", report.markdown());
    println!("{}", report.json());
    Ok(match report.failures() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}
