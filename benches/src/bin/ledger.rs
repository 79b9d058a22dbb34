//! `purser-bench-ledger`: what the ledger costs. Figures go to stdout as JSON, and to stderr as a table.

use std::path::PathBuf;

use anyhow::Result;
use benches::Size;
use benches::ledger::{economy, journal, persist, replay, start};
use clap::{Parser, Subcommand};

/// Measures the ledger.
#[derive(Debug, Parser)]
#[command(name = "purser-bench-ledger")]
struct Cli {
    /// How much of it
    #[arg(long, global = true, value_enum, default_value = "small")]
    scale: Size,
    /// An empty database, `postgres://…` or `sqlite:PATH`, that will be filled [default: SQLite in --dir]
    #[arg(long, global = true, value_name = "URL")]
    database: Option<String>,
    /// Where journals and SQLite files go for the time of the run: a disk, not a tmpfs [default: the temporary folder]
    #[arg(long, global = true, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Records a second into the database, beside bare rows of the same content
    Persist,
    /// The journal's share of an announce's CPU
    Journal,
    /// Loading a site as at a start
    Start,
    /// The economy's jobs: seeders paid, traffic settled
    Economy,
    /// The journal read into the swarms
    Replay,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let folder = match &cli.dir {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir()?,
    };
    let url = match cli.database {
        Some(url) => url,
        None => format!("sqlite:{}", folder.path().join("site.db").display()),
    };
    let report = match cli.command {
        Command::Persist => persist::run(cli.scale, &url, folder.path())?,
        Command::Journal => journal::run(cli.scale, folder.path())?,
        Command::Start => start::run(cli.scale, &url)?,
        Command::Economy => economy::run(cli.scale, &url)?,
        Command::Replay => replay::run(cli.scale, folder.path())?,
    };
    eprintln!("{}", report.markdown());
    println!("{}", report.json());
    Ok(())
}
