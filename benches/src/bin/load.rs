//! `purser-load`: a load on a tracker. Figures go to stdout as JSON, and to stderr as a table. Status 1 if a single reply
//! wasn't as it should be.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use benches::load::digest;
use benches::load::junk::{self, Junk};
use benches::load::outcome::Outcome;
use benches::load::run::{self, Http, Udp};
use benches::load::site::Site;
use clap::{Parser, Subcommand};
use serde_json::{Value, json};

/// Puts a load on a tracker, and checks every reply.
#[derive(Debug, Parser)]
#[command(name = "purser-load", args_override_self = true)]
struct Cli {
    /// SCENARIO/SUBJECT/ROUND: how `digest` finds the run again
    #[arg(long, global = true)]
    label: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Put members and torrents into an empty database
    Site {
        /// `postgres://…` or `sqlite:PATH`
        #[arg(long, value_name = "URL")]
        database: String,
        #[command(flatten)]
        site: Site,
    },
    /// Change every member's row in one transaction, as a running tracker will read them again
    ChangeMembers {
        /// As for `site`
        #[arg(long, value_name = "URL")]
        database: String,
        #[command(flatten)]
        site: Site,
    },
    /// Announce over HTTP
    #[command(args_override_self = true)]
    Http(Box<Http>),
    /// Announce over UDP (BEP 15), with the key in URL data (BEP 41)
    #[command(args_override_self = true)]
    Udp(Box<Udp>),
    /// Send what isn't an announce to a UDP port
    #[command(args_override_self = true)]
    Junk(Junk),
    /// Many runs' figures side by side, as markdown
    Digest {
        /// Their JSON, a line each
        file: PathBuf,
    },
}

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Site { database, site } => {
            block_on(site.fill(&database))?;
            return Ok(ExitCode::SUCCESS);
        }
        Command::ChangeMembers { database, site } => {
            block_on(site.change_members(&database))?;
            return Ok(ExitCode::SUCCESS);
        }
        Command::Http(options) => run::http(&options)?,
        Command::Udp(options) => run::udp(&options)?,
        Command::Junk(options) => junk::junk(&options)?,
        Command::Digest { file } => {
            print!("{}", digest::markdown(&std::fs::read_to_string(file)?)?);
            return Ok(ExitCode::SUCCESS);
        }
    };
    tell(&outcome, cli.label.as_deref())
}

fn block_on(work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

fn tell(outcome: &Outcome, label: Option<&str>) -> Result<ExitCode> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let parameters: Value = json!(arguments);
    eprint!("{}", outcome.table());
    println!("{}", outcome.json(label, &parameters));
    Ok(match outcome.failures.total() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}
