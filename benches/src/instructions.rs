//! Instructions an announce takes: a figure that is the same on a busy machine and an idle one, so a test can hold it.
//!
//! Valgrind counts what a small program of this crate does. It runs each workload twice, the second time with more
//! announces; the difference over the difference is an announce's. What the kernel does isn't in it, and valgrind's
//! processor has no SHA instructions: a token's signature costs more here than it does in life.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, Subcommand};

mod http;
mod udp;
mod workloads;

use workloads::WORKLOADS;

/// The committed table.
const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.tsv");

/// How much more than the table says a workload may take. The order of the kernel's wake-ups and the compiler's choices
/// move a figure by some hundredths: `announce/churn`, unchanged, was counted from 5,850 to 6,300 on one day.
const MARGIN: f64 = 0.08;

const TRIES: usize = 8;

#[derive(Parser)]
#[command(about = "Instructions per announce, counted by valgrind")]
struct Options {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Counts all workloads and compares them with the committed table; fails when one takes 5 % more.
    Check,
    /// Counts all workloads, or those whose name contains a word, and writes them to the committed table.
    Write { word: Option<String> },
    /// Counts, and writes nothing.
    Show { word: Option<String> },
    /// What valgrind runs: so many announces of a workload.
    Run { workload: String, announces: u64 },
    /// Clients for a server that valgrind runs.
    Clients {
        server: std::net::SocketAddr,
        announces: u64,
    },
    /// The same over UDP.
    UdpClients {
        server: std::net::SocketAddr,
        announces: u64,
    },
}

/// The program.
pub fn main() -> Result<()> {
    match Options::parse().command {
        Verb::Check => check(),
        Verb::Show { word } => show(&word.unwrap_or_default()).map(drop),
        Verb::Write { word } => {
            let mut table = read_table().unwrap_or_default();
            table.extend(show(&word.unwrap_or_default())?);
            write_table(&table)
        }
        Verb::Run {
            workload,
            announces,
        } => workloads::run(&workload, announces),
        Verb::Clients { server, announces } => http::clients(server, announces),
        Verb::UdpClients { server, announces } => udp::clients(server, announces),
    }
}

fn show(word: &str) -> Result<BTreeMap<String, u64>> {
    let mut counted = BTreeMap::new();
    for (name, _) in WORKLOADS.iter().filter(|(name, _)| name.contains(word)) {
        let instructions = instructions(name)?;
        println!("{instructions:>8}  {name}");
        counted.insert((*name).to_owned(), instructions);
    }
    Ok(counted)
}

fn check() -> Result<()> {
    let table = read_table()?;
    let mut failures = Vec::new();
    for (name, _) in WORKLOADS {
        let committed = *table
            .get(name)
            .with_context(|| format!("{name} isn't in {TABLE}"))?;
        // Maps are seeded anew each time, and a small one may be unlucky: the least of a few tries is what the code takes.
        let mut counted = instructions(name)?;
        for _ in 1..TRIES {
            if counted as f64 > committed as f64 * (1.0 + MARGIN) {
                counted = counted.min(instructions(name)?);
            }
        }
        let ratio = counted as f64 / committed as f64;
        println!("{counted:>8}  {committed:>8}  {ratio:.3}  {name}");
        if ratio > 1.0 + MARGIN {
            failures.push(format!(
                "{name}: {counted} instructions, {committed} committed"
            ));
        }
    }
    ensure!(
        failures.is_empty(),
        "the hot path has become longer (if that is meant: purser-bench-instructions write)\n{}",
        failures.join("\n")
    );
    Ok(())
}

fn instructions(workload: &str) -> Result<u64> {
    const FEW: u64 = 4_000;
    const MANY: u64 = 20_000;
    let (few, many) = (count(workload, FEW)?, count(workload, MANY)?);
    Ok(many.saturating_sub(few) / (MANY - FEW))
}

/// `I refs` (with or without spaces between) of one run, without any simulation of caches.
fn count(workload: &str, announces: u64) -> Result<u64> {
    let output = Command::new("valgrind")
        .args([
            "--tool=cachegrind",
            "--cache-sim=no",
            "--cachegrind-out-file=/dev/null",
        ])
        .arg(env::current_exe()?)
        .args(["run", workload, &announces.to_string()])
        .stdin(Stdio::null())
        .output()
        .context("can't start valgrind (Debian: apt-get install valgrind)")?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{workload}: {text}");
    }
    let line = text.lines().find_map(|line| line.split_once(" refs:"));
    let (_, number) = line.with_context(|| format!("no count from valgrind: {text}"))?;
    Ok(number.trim().replace(',', "").parse()?)
}

fn read_table() -> Result<BTreeMap<String, u64>> {
    let text = fs::read_to_string(TABLE).with_context(|| format!("can't read {TABLE}"))?;
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.map(|line| {
        let (name, count) = line.split_once('\t').context("no tab")?;
        Ok((name.to_owned(), count.parse()?))
    })
    .collect()
}

fn write_table(table: &BTreeMap<String, u64>) -> Result<()> {
    let mut text = String::from(
        "# Instructions an announce takes, in user space, as valgrind counts them. See benches/README.md.\n",
    );
    for (name, count) in table {
        text.push_str(&format!("{name}\t{count}\n"));
    }
    fs::write(Path::new(TABLE), text).with_context(|| format!("can't write {TABLE}"))
}
