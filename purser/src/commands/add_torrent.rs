//! `purser add-torrent`: .torrent files become torrents that may be announced.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use api_server::services::uploads::{self, By, Marking, Registered};
use serde_json::json;
use store::{NewTorrent, Store};
use tracker_core::bencode;

use super::{block_on, find_member, open_store, print, print_json};
use crate::cli::AddTorrent;
use crate::config::Config;

/// All files are read before the first is registered: a damaged one stops everything. One that is registered already is
/// no failure, so that the same command can be given twice.
pub(crate) fn run(config: &Config, args: &AddTorrent, json: bool) -> Result<()> {
    let mut torrents = args
        .files
        .iter()
        .map(|path| read(path))
        .collect::<Result<Vec<_>>>()?;
    let registered = block_on(async {
        let store = open_store(config).await?;
        if let Some(name) = &args.by {
            let uploader = Some(find_member(&store, name).await?.id);
            torrents
                .iter_mut()
                .for_each(|torrent| torrent.uploader = uploader);
        }
        let mut registered = Vec::new();
        for (torrent, path) in torrents.iter().zip(&args.files) {
            let new = register(&store, torrent)
                .await
                .with_context(|| path.display().to_string())?;
            talk(path, torrent, new);
            registered.push(new);
        }
        store.close().await;
        Ok(registered)
    })?;
    if json {
        let result = |(torrent, new): (&NewTorrent, bool)| json!({ "info_hash": torrent.info_hash.to_string(), "name": torrent.name, "size": torrent.size, "registered": new });
        return print_json(
            &torrents
                .iter()
                .zip(registered)
                .map(result)
                .collect::<Vec<_>>(),
        );
    }
    print(
        &torrents
            .iter()
            .map(|torrent| format!("{}\n", torrent.info_hash))
            .collect::<String>(),
    )
}

fn read(path: &Path) -> Result<NewTorrent> {
    let mut bytes = Vec::new();
    // One byte more than a .torrent may have: enough to be refused as too long.
    let limit = bencode::MAX_LEN as u64 + 1;
    File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .with_context(|| path.display().to_string())?;
    let read = uploads::read(&bytes, Marking::AsItIs);
    Ok(read.with_context(|| path.display().to_string())?.0)
}

/// `false`: it was there already, or came twice. One that was deleted comes back.
async fn register(store: &Store, torrent: &NewTorrent) -> Result<bool> {
    match uploads::register(store, torrent, By::Operator).await? {
        Registered::Now => Ok(true),
        Registered::Before(found)
            if found.info_hash == torrent.info_hash
                || found.info_hash_v2 == Some(torrent.info_hash) =>
        {
            Ok(false)
        }
        Registered::Before(found) | Registered::Deleted(found) => {
            bail!("{}: has the same v2 hash", found.info_hash)
        }
    }
}

fn talk(path: &Path, torrent: &NewTorrent, new: bool) {
    let path = path.display();
    if !new {
        eprintln!("{path}: registered already");
    } else if !torrent.private {
        eprintln!(
            "{path}: registered, but not marked private (BEP 27): clients will look for peers elsewhere too"
        );
    }
}
