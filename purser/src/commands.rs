//! One file for each thing the program does, and what they share: results to stdout, a runtime, a password.

use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use api_server::passwords;
use serde::Serialize;
use store::{Store, User};
use tracker_core::key::TokenKey;

use crate::config::Config;
use crate::secrets;

pub(crate) mod add_torrent;
pub(crate) mod config;
pub(crate) mod create_invite;
pub(crate) mod create_token;
pub(crate) mod create_user;
pub(crate) mod doctor;
pub(crate) mod migrate;
pub(crate) mod serve;
pub(crate) mod setup_admin;
pub(crate) mod simulate;
pub(crate) mod update_stats;

/// Results go to stdout. Nobody listens any more (`| head`): that is no failure of ours.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done.context("can't write to stdout"),
    }
}

/// The same for programs: one JSON document.
pub(crate) fn print_json(result: &impl Serialize) -> Result<()> {
    print(&format!("{}\n", serde_json::to_string_pretty(result)?))
}

/// The short commands need one thread.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")?
        .block_on(work)
}

/// The database as this program knows it: made when it is missing, brought up to date when it is older. So every command
/// works before the first start.
async fn open_store(config: &Config) -> Result<Store> {
    let store = open_unmigrated(config).await?;
    store.migrate().await?;
    Ok(store)
}

/// The site's key, which must be the one that signed its tokens so far: two trackers on one database with keys of their
/// own would each refuse what the other gives out.
async fn site_key(config: &Config, store: &Store) -> Result<TokenKey> {
    let key = TokenKey::from_bytes(secrets::token_key(config)?);
    let fingerprint = key.fingerprint();
    ensure!(
        store.pin_token_key(fingerprint).await? == fingerprint,
        "token_key: this database's announce URLs were signed with another key: copy data_dir/token.key from \
         where it was first started, or set token_key"
    );
    Ok(key)
}

/// Where this command has begun a new site, for a word about it once it has succeeded: it may have been meant for
/// another folder.
static NEW_SITE: OnceLock<PathBuf> = OnceLock::new();

/// A folder in which there was no site before.
pub(crate) fn new_site() -> Option<&'static PathBuf> {
    NEW_SITE.get()
}

/// SQLite makes its file, and not the folder, which by default is ours.
async fn open_unmigrated(config: &Config) -> Result<Store> {
    let url = config.database_url.expose();
    if url.starts_with("sqlite:") {
        let is_new = !config.data_dir.exists();
        let folder = secrets::prepare_data_dir(config)?;
        if is_new {
            NEW_SITE.get_or_init(|| folder.canonicalize().unwrap_or_else(|_| folder.to_owned()));
        }
    }
    Ok(Store::open(url).await?)
}

async fn find_member(store: &Store, name: &str) -> Result<User> {
    let found = store.find_user(name).await?;
    found.with_context(|| format!("{name}: there is no such member"))
}

/// A password as the database keeps it.
fn hash_password(password: &str) -> Result<String> {
    passwords::hash(password).map_err(anyhow::Error::msg)
}

/// The first line of stdin, if the command line asked for it: long enough, and no longer than a password is.
fn password_from_stdin(asked: bool) -> Result<Option<String>> {
    if !asked {
        return Ok(None);
    }
    let mut line = String::new();
    io::stdin()
        .lock()
        .read_line(&mut line)
        .context("can't read the password from stdin")?;
    let password = line.trim_end_matches(['\r', '\n']);
    passwords::check(password).map_err(anyhow::Error::msg)?;
    Ok(Some(password.to_owned()))
}
