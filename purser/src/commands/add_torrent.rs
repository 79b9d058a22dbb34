//! `purser add-torrent`: .torrent files become torrents that may be announced.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;
use store::{NewFile, NewTorrent, Store};
use tracker_core::bencode;
use tracker_core::ids::UnixTime;
use tracker_core::metainfo::{Metainfo, for_member};
use tracker_core::registry::TorrentStatus;

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
    let meta = Metainfo::parse(&bytes).with_context(|| path.display().to_string())?;
    let file = |file: tracker_core::metainfo::File| NewFile {
        path: file.path,
        length: file.length,
    };
    Ok(NewTorrent {
        info_hash: meta.info_hash,
        info_hash_v2: meta.info_hash_v2,
        name: meta.name,
        size: meta.size,
        piece_length: meta.piece_length.into(),
        private: meta.private,
        status: TorrentStatus::Open,
        uploader: None,
        files: meta.files.into_iter().map(file).collect(),
        // Without the announce URL of whoever made it: it may hold their key.
        metainfo: for_member(&bytes, "").with_context(|| path.display().to_string())?,
        created_at: UnixTime::now(),
    })
}

/// `false`: it was there already, or came twice.
async fn register(store: &Store, torrent: &NewTorrent) -> Result<bool> {
    if store.find_torrent(&torrent.info_hash).await?.is_some() {
        return Ok(false);
    }
    store.add_torrent(torrent).await?;
    Ok(true)
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
