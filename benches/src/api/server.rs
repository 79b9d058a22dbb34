//! `purser api`, started and ended.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::load::site::DEFAULT_TOKEN_KEY;

/// A running one. It ends with this value.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    pub(super) address: SocketAddr,
}

impl Server {
    /// On that database, at a port of its choice, without a limit of requests.
    pub(super) fn start(program: &Path, url: &str, folder: &Path, set: &[String]) -> Result<Self> {
        let mut child = command(program, url, folder)
            .args(["--set", "api.listen=127.0.0.1:0"])
            .args(["--set", "metrics.listen=127.0.0.1:0"])
            .args(["--set", "api.requests_per_minute=0"])
            .args(["--set", "log.filter=warn,sqlx=error"])
            .args(set.iter().flat_map(|set| ["--set", set]))
            .args(["api", "--json"])
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("can't start {}", program.display()))?;
        let banner = child.stdout.take().context("no stdout")?;
        let mut server = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let mut text = String::new();
        for line in BufReader::new(banner).lines() {
            let line = line?;
            text.push_str(&line);
            if line == "}" {
                break;
            }
        }
        let banner: Value = serde_json::from_str(&text).context("purser api didn't start")?;
        let url = banner["api"].as_str().unwrap_or_default();
        let address = url.split('/').nth(2).context("no API")?;
        server.address = address.parse()?;
        Ok(server)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Gives the first member, who is an admin, a password.
pub(super) fn set_password(
    program: &Path,
    url: &str,
    folder: &Path,
    name: &str,
    password: &str,
) -> Result<()> {
    let mut child = command(program, url, folder)
        .args(["setup-admin", "--username", name, "--password-stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let mut stdin = child.stdin.take().context("no stdin")?;
    std::io::Write::write_all(&mut stdin, format!("{password}\n").as_bytes())?;
    drop(stdin);
    ensure!(
        child.wait()?.success(),
        "purser setup-admin didn't do its work"
    );
    Ok(())
}

fn command(program: &Path, url: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(folder)
        .args(["--set", &format!("database_url={url}")])
        .args(["--set", &format!("data_dir={}", folder.display())])
        .args(["--set", &format!("token_key={DEFAULT_TOKEN_KEY}")]);
    command
}
