//! What can be typed after `purser`. Results go to stdout, talk goes to stderr.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Result;
use clap::builder::PossibleValue;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use tracker_core::ids::{InfoHash, UnixTime};
use tracker_core::registry::UserClass;

use crate::config::{self, Config};

/// A private BitTorrent tracker. Without a command: serve.
#[derive(Debug, Parser)]
#[command(
    name = "purser",
    version,
    after_help = "Exit status: 0 done, 1 failed, 2 wrong usage."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Good before and after every command.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Configuration to read [default: config.toml in the working directory, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set one key of the configuration, as in tracker.workers=2; may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Results on stdout as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Everything in one process: announces, persister, REST API, dashboard, jobs, metrics
    Serve,
    /// Announce listeners and persister only
    Tracker,
    /// REST API, dashboard and scheduled jobs only
    Api,
    /// Bring the database schema up to date
    Migrate,
    /// Create or reset an administrator; prints a generated password once
    SetupAdmin(SetupAdmin),
    /// Make invite codes, one a line
    CreateInvite(CreateInvite),
    /// Create a member; prints their announce URL
    CreateUser(CreateUser),
    /// Sign a fresh announce URL for a member
    CreateToken(CreateToken),
    /// Register .torrent files; prints their info hashes, one a line
    AddTorrent(AddTorrent),
    /// Do now what a serving process does now and then: count peers, settle traffic, pay for seeding
    UpdateStats,
    /// Try another economy on recorded history: who would gain, lose, change class or be warned
    Simulate(Simulate),
    /// The OpenAPI document of the REST API
    Openapi,
    /// Check config, database, Redis, ports, clock and disk; 1 when something is wrong
    Doctor,
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say whether it is right
    Check,
    /// Print what is in effect, secrets redacted
    Show,
}

#[derive(Args, Debug)]
pub(crate) struct SetupAdmin {
    /// 3 to 32 letters, digits, `_`, `-` or `.`
    #[arg(long, value_name = "NAME")]
    pub(crate) username: Username,
    /// Read the password (8 to 256 characters) from the first line of stdin, rather than generate one
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

#[derive(Args, Debug)]
pub(crate) struct CreateInvite {
    /// How many
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) count: u32,
    /// Who invites; nobody, if not given
    #[arg(long, value_name = "USER")]
    pub(crate) by: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct CreateUser {
    /// 3 to 32 letters, digits, `_`, `-` or `.`
    #[arg(long, value_name = "NAME")]
    pub(crate) username: Username,
    /// What they have earned so far
    #[arg(
        long,
        value_name = "CLASS",
        default_value = "newbie",
        ignore_case = true
    )]
    pub(crate) class: Class,
    /// Read the password (8 to 256 characters) from the first line of stdin; without one they can't log in yet
    #[arg(long)]
    pub(crate) password_stdin: bool,
    /// For a member brought over from another tracker: their key there, 32 hex digits, which stays good
    #[arg(long, value_name = "HEX32")]
    pub(crate) passkey: Option<Passkey>,
}

#[derive(Args, Debug)]
pub(crate) struct CreateToken {
    /// Whose
    #[arg(long, value_name = "NAME")]
    pub(crate) user: String,
    /// Good for this registered torrent only: 40 hex digits
    #[arg(long, value_name = "HASH")]
    pub(crate) torrent: Option<InfoHash>,
    /// Seconds until it expires; never, if not given
    #[arg(long, value_name = "SECS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) expires_in: Option<u32>,
}

#[derive(Args, Debug)]
pub(crate) struct AddTorrent {
    /// .torrent files: v1, v2 or hybrid
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Who uploads; nobody, if not given
    #[arg(long, value_name = "USER")]
    pub(crate) by: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Simulate {
    /// The economy to try, as credits.policy has it; its windows instead of those that there were, if it has some
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: PathBuf,
    /// From the hour of this time on, as 2026-11-24T16:00:00Z or 2026-11-24 (UTC) [default: all that is recorded]
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<Time>,
    /// Until then
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<Time>,
    /// Draw both, day by day, into this file (SVG)
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
}

impl Options {
    /// The configuration in effect.
    pub(crate) fn load(&self) -> Result<Config> {
        self.load_with(&[])
    }

    /// The same, with what admins have set while it ran.
    pub(crate) fn load_with(&self, overrides: &[(String, serde_json::Value)]) -> Result<Config> {
        let env = std::env::vars_os();
        config::load(self.config.as_deref(), &self.set, env, overrides)
    }

    /// The file it comes from, if it comes from one.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        config::file_in_use(self.config.as_deref())
    }
}

/// RFC 3339, or a date: its first second in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(pub(crate) UnixTime);

impl FromStr for Time {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let date = || {
            // Longer ones say a time of day, without an offset.
            let date: jiff::civil::Date = text.parse().ok().filter(|_| text.len() == 10)?;
            let zoned = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
            Some(zoned.timestamp())
        };
        let time = text.parse().ok().or_else(date);
        let secs = time.and_then(|time: jiff::Timestamp| u32::try_from(time.as_second()).ok());
        secs.map(|secs| Self(UnixTime(secs)))
            .ok_or("a time is written as 2026-11-24T16:00:00Z or 2026-11-24, between 1970 and 2106")
    }
}

/// What a member is called: fit for a URL, a log line and a table.
#[derive(Clone, Debug)]
pub(crate) struct Username(pub(crate) String);

impl FromStr for Username {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        api_server::check_username(text).map(|()| Self(text.to_owned()))
    }
}

/// The 32 hex digits that other trackers know a member by. Never shown by `Debug`.
#[derive(Clone)]
pub(crate) struct Passkey(pub(crate) [u8; 16]);

impl fmt::Debug for Passkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl FromStr for Passkey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut key = [0; 16];
        hex::decode_to_slice(text, &mut key).map_err(|_| "a passkey is 32 hex digits")?;
        Ok(Self(key))
    }
}

/// Clap's own words on several lines become one: `purser: unrecognized subcommand 'serv'; tip: …`.
pub(crate) fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let parts: Vec<String> = text
        .split("\n\n")
        .filter(|part| !part.starts_with("Usage:") && !part.starts_with("For more"))
        .map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    parts.join("; ").trim_start_matches("error: ").to_owned()
}

/// The command line, or the status to leave with: 0 after `--help`, 2 after a slip.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, u8> {
    let parsed = Cli::try_parse_from(args).and_then(|cli| match &cli.command {
        Some(Command::Simulate(Simulate {
            from: Some(from),
            to: Some(to),
            ..
        })) if from >= to => {
            Err(Cli::command().error(ErrorKind::ValueValidation, "--from is not before --to"))
        }
        _ => Ok(cli),
    });
    parsed.map_err(|error| {
        if error.use_stderr() {
            eprintln!("purser: {} (see purser --help)", one_line(&error));
            return 2;
        }
        print!("{error}");
        0
    })
}

/// A class by its name, in any case.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Class(pub(crate) UserClass);

impl ValueEnum for Class {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [Class; UserClass::ALL.len()] = {
            let [newbie, member, trusted, elite] = UserClass::ALL;
            [Class(newbie), Class(member), Class(trusted), Class(elite)]
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name()))
    }
}
