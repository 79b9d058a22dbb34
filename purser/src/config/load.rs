//! From file, environment and command line to one [`Config`], or to one line that says what is wrong, and where.
//!
//! The layers are laid over each other first, and what won is checked: a wrong value that nobody uses does no harm. A key
//! that doesn't exist is refused in every layer, because it is a slip of the pen.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::keys::{KEYS, Key, Raw};
use super::{Config, TorrentPolicy};

/// Read when the command line names no other file.
const USUAL_FILE: &str = "config.toml";

/// What admins may change while the program runs: what makes a site livelier or quieter, and nothing that decides who is
/// trusted or where things are.
const LIVE: [&str; 8] = [
    "tracker.announce_interval_secs",
    "tracker.min_interval_secs",
    "tracker.numwant_default",
    "tracker.numwant_max",
    "tracker.max_peers_per_torrent_per_user",
    "credits.multiplier",
    "credits.min_ratio_warning",
    "api.requests_per_minute",
];

/// Less would lock out whoever has to mend it, or empty the swarms.
const LEAST: [(&str, i64); 2] = [
    ("tracker.announce_interval_secs", 60),
    ("api.requests_per_minute", 60),
];

/// Traffic of fewer days may not be in its members' entries yet.
const RETENTION_LEAST: u32 = 30;

/// A value, and where it stands: `config.toml:12: tracker.http`, `PURSER__TRACKER__HTTP`.
struct Setting {
    value: Raw,
    place: String,
}

/// What is set, by key. A later layer replaces what an earlier one said.
type Settings = BTreeMap<&'static str, Setting>;

/// The file that will be read: the named one, else `config.toml` if the working directory has it.
pub(crate) fn file_in_use(named: Option<&Path>) -> Option<PathBuf> {
    let usual = Path::new(USUAL_FILE);
    named
        .or_else(|| usual.exists().then_some(usual))
        .map(Path::to_owned)
}

/// A key that admins set over the API can't be, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {right}")]
pub(crate) struct BadOverride {
    pub(crate) name: String,
    pub(crate) right: String,
}

/// `set` holds the `KEY=VALUE` of the command line, `env` the variables of the process, `overrides` what admins have set
/// while the program ran, which goes before all.
pub(crate) fn load(
    file: Option<&Path>,
    set: &[String],
    env: impl IntoIterator<Item = (OsString, OsString)>,
    overrides: &[(String, serde_json::Value)],
) -> Result<Config> {
    let mut settings = Settings::new();
    if let Some(path) = file_in_use(file) {
        let text = fs::read_to_string(&path)
            .with_context(|| format!("{}: can't read the config file", path.display()))?;
        add_file(&mut settings, &path.display().to_string(), &text)?;
    }
    add_env(&mut settings, env)?;
    add_command_line(&mut settings, set)?;
    add_overrides(&mut settings, overrides)?;
    build(settings)
}

fn add_overrides(
    settings: &mut Settings,
    overrides: &[(String, serde_json::Value)],
) -> Result<(), BadOverride> {
    for (name, value) in overrides {
        let wrong = |right: String| BadOverride {
            name: name.clone(),
            right,
        };
        let key = Key::find(name).filter(|key| LIVE.contains(&key.name));
        let key = key.ok_or_else(|| wrong(format!("only {} can change", LIVE.join(", "))))?;
        let value = Value::try_from(value).map_err(|_| wrong("it has no such type".to_owned()))?;
        key.check(Raw::Toml(value.clone())).map_err(wrong)?;
        if let Some((_, least)) = LEAST.iter().find(|(name, _)| *name == key.name)
            && value
                .as_integer()
                .is_some_and(|value| 0 < value && value < *least)
        {
            return Err(wrong(format!("at least {least}, over the API")));
        }
        settings.insert(
            key.name,
            Setting {
                value: Raw::Toml(value),
                place: format!("{name}, as admins have set it"),
            },
        );
    }
    Ok(())
}

fn add_file(settings: &mut Settings, path: &str, text: &str) -> Result<()> {
    let spans = DeTable::parse(text).map_err(|error| syntax_error(path, text, &error))?;
    let values: Table = toml::from_str(text).map_err(|error| syntax_error(path, text, &error))?;
    for (name, value) in spans.get_ref() {
        let place = |name: &Spanned<_>| format!("{path}:{}", line_of(text, name.span().start));
        match value.get_ref() {
            DeValue::Table(section) if is_section(name.get_ref()) => {
                for inner in section.keys() {
                    let value = values[name.get_ref().as_ref()][inner.get_ref().as_ref()].clone();
                    let name = format!("{}.{}", name.get_ref(), inner.get_ref());
                    add_from_file(settings, &place(inner), &name, value)?;
                }
            }
            _ => {
                let value = values[name.get_ref().as_ref()].clone();
                add_from_file(settings, &place(name), name.get_ref(), value)?;
            }
        }
    }
    Ok(())
}

fn add_from_file(settings: &mut Settings, line: &str, name: &str, value: Value) -> Result<()> {
    ensure!(
        !is_section(name),
        "{line}: {name} is a section: write [{name}]"
    );
    let key = Key::find(name)
        .ok_or_else(|| anyhow!("{line}: unknown key {name}{}", hint(name, key_names())))?;
    let place = format!("{line}: {name}");
    settings.insert(
        key.name,
        Setting {
            value: Raw::Toml(value),
            place,
        },
    );
    Ok(())
}

fn syntax_error(path: &str, text: &str, error: &toml::de::Error) -> anyhow::Error {
    let line = line_of(text, error.span().map_or(0, |span| span.start));
    anyhow!(
        "{path}:{line}: not TOML: {}",
        error.message().replace('\n', ", ")
    )
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    before.filter(|byte| **byte == b'\n').count() + 1
}

/// `DATABASE_URL` and `REDIS_URL` are everybody's; a variable with our own prefix is meant for us, and wins.
fn add_env(
    settings: &mut Settings,
    env: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<()> {
    let mut vars = BTreeMap::new();
    for (name, value) in env {
        let Ok(name) = name.into_string() else {
            continue;
        };
        if name.starts_with("PURSER__") || is_everybodys(&name) {
            let value = value
                .into_string()
                .map_err(|_| anyhow!("{name}: the value is not UTF-8"))?;
            vars.insert(name, value);
        }
    }
    for key in &KEYS {
        for name in [key.name.to_uppercase(), key.env_name()] {
            if let Some(setting) = take_var(&mut vars, &name, key)? {
                settings.insert(key.name, setting);
            }
        }
    }
    match vars.keys().next() {
        Some(name) => bail!(
            "{name}: unknown variable{}",
            hint(name, KEYS.iter().map(Key::env_name))
        ),
        None => Ok(()),
    }
}

fn is_everybodys(name: &str) -> bool {
    let name = name.strip_suffix("_FILE").unwrap_or(name);
    name == "DATABASE_URL" || name == "REDIS_URL"
}

/// A secret's variable may name a file that holds it, as container platforms mount them.
fn take_var(vars: &mut BTreeMap<String, String>, name: &str, key: &Key) -> Result<Option<Setting>> {
    let file_name = format!("{name}_FILE");
    let value = vars.remove(name);
    let file = if key.is_secret() {
        vars.remove(&file_name)
    } else {
        None
    };
    match (value, file) {
        (Some(_), Some(_)) => bail!("{name} and {file_name} are both set: keep one"),
        (Some(text), None) => Ok(Some(Setting {
            value: Raw::Text(text),
            place: name.to_owned(),
        })),
        (None, Some(path)) => {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("{file_name}: can't read {path:?}"))?;
            let text = text.trim_end_matches(['\r', '\n']).to_owned();
            Ok(Some(Setting {
                value: Raw::Text(text),
                place: format!("{file_name} ({path})"),
            }))
        }
        (None, None) => Ok(None),
    }
}

fn add_command_line(settings: &mut Settings, set: &[String]) -> Result<()> {
    for pair in set {
        let (name, value) = pair.split_once('=').ok_or_else(|| {
            anyhow!("--set {pair}: write KEY=VALUE, as in --set tracker.workers=2")
        })?;
        let key = Key::find(name)
            .ok_or_else(|| anyhow!("--set {name}: unknown key{}", hint(name, key_names())))?;
        let place = format!("--set {name}");
        settings.insert(
            key.name,
            Setting {
                value: Raw::Text(value.to_owned()),
                place,
            },
        );
    }
    Ok(())
}

fn build(settings: Settings) -> Result<Config> {
    let mut table = Table::new();
    let mut places = BTreeMap::new();
    for (name, Setting { value, place }) in settings {
        let key = Key::find(name).context("a setting has a key")?;
        let value = key
            .check(value)
            .map_err(|wrong| anyhow!("{place}: {wrong}"))?;
        put(&mut table, name, value);
        places.insert(name, place);
    }
    let config: Config = table
        .try_into()
        .context("the config can't be put together")?;
    check_together(&config, &places)?;
    Ok(config)
}

fn put(table: &mut Table, name: &str, value: Value) {
    match name.split_once('.') {
        None => {
            table.insert(name.to_owned(), value);
        }
        Some((section, name)) => {
            let inner = table.entry(section).or_insert_with(|| Table::new().into());
            if let Value::Table(inner) = inner {
                inner.insert(name.to_owned(), value);
            }
        }
    }
}

/// Values that are right by themselves, and wrong side by side.
fn check_together(config: &Config, places: &BTreeMap<&str, String>) -> Result<()> {
    let tracker = &config.tracker;
    let pairs = [
        (
            "tracker.min_interval_secs",
            tracker.min_interval_secs,
            "tracker.announce_interval_secs",
            tracker.announce_interval_secs,
        ),
        (
            "tracker.numwant_default",
            tracker.numwant_default.into(),
            "tracker.numwant_max",
            tracker.numwant_max.into(),
        ),
    ];
    for (low, low_value, high, high_value) in pairs {
        // The one that was set is to blame, rather than the other's default.
        let place = places
            .get(low)
            .or_else(|| places.get(high))
            .map_or(low, String::as_str);
        ensure!(
            low_value <= high_value,
            "{place}: {low} ({low_value}) is more than {high} ({high_value})"
        );
    }
    let retention = config.persister.retention_days;
    if (1..RETENTION_LEAST).contains(&retention) {
        let name = "persister.retention_days";
        let place = places.get(name).map_or(name, String::as_str);
        bail!("{place}: {retention} is not 0 (for ever), or {RETENTION_LEAST} or more");
    }
    if !config.mail.smtp_url.is_empty() && config.mail.from.is_empty() {
        let name = "mail.smtp_url";
        let place = places.get(name).map_or(name, String::as_str);
        bail!("{place}: needs mail.from: whom mails are from");
    }
    if tracker.udp_keyless && tracker.torrents == TorrentPolicy::Registered {
        let place = places
            .get("tracker.udp_keyless")
            .map_or("tracker.udp_keyless", String::as_str);
        bail!(
            "{place}: needs tracker.torrents = \"any\": a registered torrent isn't for clients without a key"
        );
    }
    Ok(())
}

fn is_section(name: &str) -> bool {
    KEYS.iter().any(|key| {
        key.name
            .split_once('.')
            .is_some_and(|(section, _)| section == name)
    })
}

/// Sections too: they are misspelt as well.
fn key_names() -> impl Iterator<Item = String> {
    let parts = |key: &Key| {
        [
            Some(key.name),
            key.name.split_once('.').map(|(section, _)| section),
        ]
    };
    KEYS.iter().flat_map(parts).flatten().map(str::to_owned)
}

/// The name that was probably meant: the most similar one, preferably the same key in its right section.
fn hint(wrong: &str, names: impl Iterator<Item = String>) -> String {
    const SIMILAR: f64 = 0.6;
    let best = names
        .map(|name| (likeness(&plain(wrong), &plain(&name)), name))
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    match best {
        Some((likeness, name)) if likeness >= SIMILAR => format!(": did you mean {name}?"),
        _ => ": `purser config show` lists every key".to_owned(),
    }
}

fn plain(name: &str) -> String {
    name.to_lowercase().replace("__", ".")
}

fn likeness(one: &str, other: &str) -> f64 {
    let same_key = one.rsplit('.').next() == other.rsplit('.').next();
    strsim::normalized_damerau_levenshtein(one, other) + if same_key { 1.0 } else { 0.0 }
}
