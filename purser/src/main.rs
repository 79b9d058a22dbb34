//! # purser
//!
//! The program. [`cli`] says what can be typed, [`config`] what can be chosen, and [`commands`] has one file for each
//! thing it does. Everything else lives in the crates beside this one.

use std::process::ExitCode;

use anyhow::Result;

mod cli;
mod commands;
mod config;
mod jobs;
mod limits;
mod logs;
mod mail;
mod secrets;

use cli::{Cli, Command, ConfigCommand};
use commands::serve::Mode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(status) => return status.into(),
    };
    let done = run(cli);
    if let (Ok(_), Some(folder)) = (&done, commands::new_site()) {
        eprintln!("a new site begins in {}", folder.display());
    }
    done.unwrap_or_else(|error| {
        eprintln!("purser: {}", one_line(&error));
        ExitCode::FAILURE
    })
}

fn run(cli: Cli) -> Result<ExitCode> {
    let options = cli.options;
    let config = || options.load();
    let json = options.json;
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => commands::serve::run(&options, Mode::All)?,
        Command::Tracker => commands::serve::run(&options, Mode::Tracker)?,
        Command::Api => commands::serve::run(&options, Mode::Api)?,
        Command::Migrate => commands::migrate::run(&config()?, json)?,
        Command::SetupAdmin(args) => commands::setup_admin::run(&config()?, &args, json)?,
        Command::CreateInvite(args) => commands::create_invite::run(&config()?, &args, json)?,
        Command::CreateUser(args) => commands::create_user::run(&config()?, &args, json)?,
        Command::CreateToken(args) => commands::create_token::run(&config()?, &args, json)?,
        Command::AddTorrent(args) => commands::add_torrent::run(&config()?, &args, json)?,
        Command::UpdateStats => commands::update_stats::run(&options)?,
        Command::Simulate(args) => commands::simulate::run(&config()?, &args, json)?,
        Command::Openapi => {
            commands::print(&format!("{}\n", api_server::document().to_pretty_json()?))?
        }
        Command::Doctor => return commands::doctor::run(&options),
        Command::Config(ConfigCommand::Check) => commands::config::check(&options)?,
        Command::Config(ConfigCommand::Show) => commands::config::show(&config()?, json)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Cause by cause, without line breaks. Some errors repeat their cause in their own words: once is enough.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}
