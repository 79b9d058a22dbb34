//! `purser config check` and `purser config show`.

use anyhow::Result;
use serde_json::json;

use super::print_json;
use crate::cli::Options;
use crate::config::Config;

/// Reading it is checking it.
pub(crate) fn check(options: &Options) -> Result<()> {
    options.load()?.economy()?;
    let file = options.file().map(|file| file.display().to_string());
    if options.json {
        return print_json(&json!({ "ok": true, "file": file }));
    }
    eprintln!(
        "config ok ({})",
        file.as_deref()
            .unwrap_or("no file: the defaults and the environment")
    );
    Ok(())
}

/// What is in effect, from all layers, secrets redacted.
pub(crate) fn show(config: &Config, json: bool) -> Result<()> {
    if json {
        return print_json(config);
    }
    super::print(&toml::to_string(config)?)
}
