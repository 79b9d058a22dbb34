//! `config.toml` at the root, and this program: one and the same.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;

use super::keys::KEYS;
use super::{Config, load};

const SOURCE: &str = include_str!("../config.rs");
const HEAD: &str = "\
# Purser's configuration: every key with its default. Delete what you don't change; a key that doesn't exist is refused.
#
# A value is looked for on the command line (`--set tracker.workers=2`), in the environment, in this file, and then in the
# program's defaults. In the environment `tracker.workers` is PURSER__TRACKER__WORKERS and `data_dir` is PURSER__DATA_DIR;
# lists are divided by commas. DATABASE_URL and REDIS_URL work too. A secret can be read from a file:
# PURSER__TOKEN_KEY_FILE, DATABASE_URL_FILE, REDIS_URL_FILE.
#
# This file is made from the doc comments in purser/src/config.rs:
# UPDATE_CONFIG=1 cargo test -p purser config_toml
";

/// The repository's `config.toml`.
fn config_toml() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../config.toml")
}

#[test]
fn config_toml_is_the_defaults_and_their_doc_comments() {
    let expected = rendered();
    if std::env::var_os("UPDATE_CONFIG").is_some() {
        fs::write(config_toml(), &expected).unwrap();
    }
    let found = fs::read_to_string(config_toml()).unwrap();
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len());
    assert_eq!(
        load(Some(&config_toml()), &[], [], &[]).unwrap(),
        Config::default()
    );
}

#[test]
fn every_key_is_checked_and_written_down() {
    let defaults = toml::Table::try_from(Config::default()).unwrap();
    let file: toml::Table = toml::from_str(&fs::read_to_string(config_toml()).unwrap()).unwrap();
    let names: Vec<_> = KEYS.iter().map(|key| key.name.to_owned()).collect();
    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!(names_in(&defaults), sorted);
    assert_eq!(names_in(&file), sorted);
}

/// `a`, `section.b`, … of a table, sorted.
fn names_in(table: &toml::Table) -> Vec<String> {
    let mut names = Vec::new();
    for (name, value) in table {
        match value.as_table() {
            Some(section) => names.extend(section.keys().map(|key| format!("{name}.{key}"))),
            None => names.push(name.clone()),
        }
    }
    names.sort();
    names
}

fn rendered() -> String {
    let defaults = toml::Table::try_from(Config::default()).unwrap();
    let mut text = HEAD.to_owned();
    for (name, comments) in fields_of("Config") {
        text += "\n";
        match &defaults[&name] {
            toml::Value::Table(section) => {
                text += &format!("{comments}[{name}]\n");
                for (name, comments) in fields_of(&capitalised(&name)) {
                    text += &format!("\n{comments}{name} = {}\n", section[&name]);
                }
            }
            value => text += &format!("{comments}{name} = {value}\n"),
        }
    }
    text
}

/// The fields of a struct in `config.rs`, each with its doc comment as a TOML comment.
fn fields_of(name: &str) -> Vec<(String, String)> {
    let start = SOURCE.find(&format!("struct {name} {{")).unwrap();
    let body = SOURCE[start..]
        .lines()
        .skip(1)
        .map(str::trim)
        .take_while(|line| *line != "}");
    let (mut fields, mut comments) = (Vec::new(), String::new());
    for line in body {
        if let Some(comment) = line.strip_prefix("///") {
            comments += &format!("#{comment}\n");
        } else if let Some(field) = line.strip_prefix("pub(crate) ") {
            let name = field.split(':').next().unwrap().to_owned();
            fields.push((name, std::mem::take(&mut comments)));
        }
    }
    fields
}

fn capitalised(name: &str) -> String {
    format!("{}{}", name[..1].to_uppercase(), &name[1..])
}
