//! `purser doctor`: is everything that the program needs in its place? Looks, and changes nothing.

use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;

use crate::cli::Options;
use crate::config::Config;

mod database;
mod journal;
mod machine;
mod mail;
mod redis;

/// What one look found out.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    status: Status,
    name: &'static str,
    detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Warn,
    Fail,
}

impl Finding {
    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(Status::Ok, name, detail)
    }

    fn warn(name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(Status::Warn, name, detail)
    }

    fn fail(name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(Status::Fail, name, detail)
    }

    fn new(status: Status, name: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into().replace('\n', " ");
        Self {
            status,
            name,
            detail,
        }
    }

    fn line(&self) -> String {
        let status = match self.status {
            Status::Ok => "ok",
            Status::Warn => "warn",
            Status::Fail => "FAIL",
        };
        format!("{status:<4}  {:<10}  {}\n", self.name, self.detail)
    }
}

/// One line each on stdout; status 1 when one of them is `FAIL`. A warning isn't.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let findings = match options.load() {
        Ok(config) => match config.economy() {
            Ok(_) => examine(options, &config)?,
            Err(error) => vec![Finding::fail("config", format!("{error:#}"))],
        },
        Err(error) => vec![Finding::fail("config", format!("{error:#}"))],
    };
    if options.json {
        super::print_json(&findings)?;
    } else {
        super::print(&findings.iter().map(Finding::line).collect::<String>())?;
    }
    let failed = findings
        .iter()
        .any(|finding| finding.status == Status::Fail);
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn examine(options: &Options, config: &Config) -> Result<Vec<Finding>> {
    let mut findings = vec![
        config_itself(options, config),
        machine::data_dir(config),
        machine::token_key(config),
        machine::disk(config),
        machine::open_files(config),
        machine::clock(),
    ];
    findings.push(super::block_on(database::look(config))?);
    findings.push(super::block_on(journal::look(config))?);
    findings.extend(redis::look(config));
    findings.extend(super::block_on(mail::look(config))?);
    findings.extend(machine::ports(config));
    Ok(findings)
}

fn config_itself(options: &Options, config: &Config) -> Finding {
    let tracker = &config.tracker;
    if !tracker.client_ip_header.is_empty() && tracker.trusted_proxies.is_empty() {
        return Finding::warn(
            "config",
            "tracker.client_ip_header has no effect: tracker.trusted_proxies is empty",
        );
    }
    match options.file() {
        Some(file) => Finding::ok("config", file.display().to_string()),
        None => Finding::ok("config", "no file: the defaults and the environment"),
    }
}
