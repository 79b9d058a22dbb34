//! What `data_dir` keeps, and nobody else may read: the key that signs tokens, and the lock that makes a folder one
//! tracker's own.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use rand::TryRng;
use rand::rngs::SysRng;

use persister::journal::JournalId;

use crate::config::Config;

/// Holds a data directory for as long as it lives; the system lets go of it even after `kill -9`.
#[derive(Debug)]
pub(crate) struct DataLock {
    _file: File,
}

/// Makes `data_dir` if it is missing (mode 0700), and refuses one that can't be written to.
pub(crate) fn prepare_data_dir(config: &Config) -> Result<&Path> {
    let dir = config.data_dir.as_path();
    let mut builder = DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("data_dir: can't make the folder {}", dir.display()))?;
    rustix::fs::access(
        dir,
        rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK,
    )
    .with_context(|| format!("data_dir: can't write to the folder {}", dir.display()))?;
    Ok(dir)
}

/// For a tracker, before it opens the journal: two of them on one folder would each believe it theirs.
pub(crate) fn lock_data_dir(config: &Config) -> Result<DataLock> {
    let path = prepare_data_dir(config)?.join("tracker.lock");
    let mut file = private(OpenOptions::new().create(true).read(true))
        .open(&path)
        .with_context(|| format!("can't open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            file.read_to_string(&mut holder).ok();
            let dir = config.data_dir.display();
            bail!(
                "data_dir: {dir} is in use by another tracker (process {}): stop it, or give each its own folder",
                holder.trim()
            );
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("can't lock {}", path.display()));
        }
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))?;
    Ok(DataLock { _file: file })
}

/// The site's key: from the config, else from `data_dir/token.key`, which is made when it is missing.
pub(crate) fn token_key(config: &Config) -> Result<[u8; 32]> {
    if !config.token_key.is_empty() {
        return parse_key(config.token_key.expose()).context("token_key");
    }
    let path = prepare_data_dir(config)?.join("token.key");
    read_or_make(&path)
}

/// Names this data directory's journal, in its files and in the database's marks, however many trackers share one.
pub(crate) fn journal_id(config: &Config) -> Result<JournalId> {
    let path = prepare_data_dir(config)?.join("journal.id");
    let [a, b, c, d, e, f, g, h, ..] = read_or_make(&path)?;
    Ok(JournalId([a, b, c, d, e, f, g, h]))
}

fn read_or_make(path: &Path) -> Result<[u8; 32]> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => make_key_file(path)?,
        _ => {}
    }
    let text =
        fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))?;
    parse_key(text.trim_end()).with_context(|| format!("{}: damaged key file", path.display()))
}

fn parse_key(text: &str) -> Result<[u8; 32]> {
    let mut key = [0; 32];
    hex::decode_to_slice(text, &mut key)
        .map_err(|_| anyhow!("64 hex digits are needed; without the old key, announce URLs given out so far stop working"))?;
    Ok(key)
}

/// The file appears whole or not at all, and of two processes that start at once one wins: a link to a name that exists
/// fails.
fn make_key_file(path: &Path) -> Result<()> {
    let mut key = [0; 32];
    SysRng
        .try_fill_bytes(&mut key)
        .context("no randomness from the system")?;
    let draft = draft_of(path);
    let made = write_private(&draft, &hex::encode(key)).and_then(|()| fs::hard_link(&draft, path));
    fs::remove_file(&draft).ok();
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.with_context(|| format!("can't make {}", path.display())),
    }
}

fn draft_of(path: &Path) -> PathBuf {
    path.with_extension(format!(
        "{}.{:08x}",
        std::process::id(),
        rand::random::<u32>()
    ))
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = private(OpenOptions::new().create_new(true)).open(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.write(true).mode(0o600)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::os::unix::fs::PermissionsExt;
    use std::thread;

    use super::*;
    use crate::config::Secret;

    fn config_in(dir: &Path) -> Config {
        Config {
            data_dir: dir.join("data"),
            ..Config::default()
        }
    }

    #[test]
    fn processes_that_start_at_once_agree_on_one_key() {
        let dir = tempfile::tempdir().unwrap();
        let config = config_in(dir.path());
        let start = std::sync::Barrier::new(8);
        let keys: Vec<_> = thread::scope(|scope| {
            let starters: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        token_key(&config).unwrap()
                    })
                })
                .collect();
            starters
                .into_iter()
                .map(|starter| starter.join().unwrap())
                .collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0] && *key != [0; 32]));
        let files: Vec<_> = fs::read_dir(&config.data_dir)
            .unwrap()
            .map(|file| file.unwrap().file_name())
            .collect();
        assert_eq!(files, ["token.key"]);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&config.data_dir), 0o700);
        assert_eq!(mode(&config.data_dir.join("token.key")), 0o600);
    }

    #[test]
    fn a_damaged_key_file_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let config = config_in(dir.path());
        let path = prepare_data_dir(&config).unwrap().join("token.key");
        for damaged in ["", "abc\n", &"g".repeat(64), &"0".repeat(63)] {
            fs::write(&path, damaged).unwrap();
            let error = format!("{:#}", token_key(&config).unwrap_err());
            assert!(
                error.contains("token.key: damaged key file: 64 hex digits are needed"),
                "{error}"
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), damaged);
        }
    }

    #[test]
    fn the_configured_key_needs_no_folder() {
        let config = Config {
            token_key: Secret::new(&"0a".repeat(32)),
            ..config_in(Path::new("/dev/null"))
        };
        assert_eq!(token_key(&config).unwrap(), [10; 32]);
    }

    #[test]
    fn one_tracker_holds_the_folder_until_it_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let config = config_in(dir.path());
        let first = lock_data_dir(&config).unwrap();
        let error = lock_data_dir(&config).unwrap_err().to_string();
        let us = format!("in use by another tracker (process {})", std::process::id());
        assert!(error.contains(&us), "{error}");
        drop(first);
        lock_data_dir(&config).unwrap();
    }
}
