//! The configuration, as admins read it, and what they set over it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};
use store::{Setting, User};
use utoipa::ToSchema;

use crate::problem::Problem;
use crate::site::Site;
use crate::time::Time;

/// The configuration in effect.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ConfigView {
    /// From all layers, without secrets: as `purser config show --json` prints it, and over it what admins have set.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub config: Value,
    /// What admins have set, by key.
    pub overrides: BTreeMap<String, OverrideView>,
}

/// What an admin has set.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OverrideView {
    /// In place of the configuration's own.
    pub value: Value,
    /// By whom.
    pub changed_by: String,
    /// When.
    pub changed_at: Time,
}

/// As the configuration has it, with what changes alone; `null` takes a key back.
#[derive(Clone, Debug, ToSchema)]
#[schema(value_type = Object, example = json!({"tracker": {"announce_interval_secs": 2700}}))]
pub struct ConfigPatch(pub Map<String, Value>);

impl<'de> serde::Deserialize<'de> for ConfigPatch {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Map::deserialize(deserializer).map(Self)
    }
}

pub(crate) async fn show(site: &Site) -> Result<ConfigView, Problem> {
    let set = site.store.settings().await?;
    // Set by a Purser that knew other keys or other limits: then it isn't in effect either.
    let config = judge(site, &values(&set)).or_else(|_| judge(site, &[]))?;
    let overrides = set.into_iter().map(|setting| {
        let view = OverrideView {
            value: read(&setting.value),
            changed_by: setting.changed_by,
            changed_at: setting.changed_at.into(),
        };
        (setting.name, view)
    });
    Ok(ConfigView {
        config,
        overrides: overrides.collect(),
    })
}

pub(crate) async fn change(
    site: &Site,
    actor: &User,
    patch: ConfigPatch,
) -> Result<ConfigView, Problem> {
    let changes = flatten(patch.0)?;
    let before = site.store.settings().await?;
    // To take back what nobody has set changes nothing.
    let is_set = |name: &str| before.iter().any(|setting| setting.name == name);
    let changes: Vec<_> = changes
        .into_iter()
        .filter(|(name, value)| !value.is_null() || is_set(name))
        .collect();
    let mut after: BTreeMap<_, _> = values(&before).into_iter().collect();
    for (name, value) in &changes {
        match value {
            Value::Null => after.remove(name),
            value => after.insert(name.clone(), value.clone()),
        };
    }
    let after: Vec<_> = after.into_iter().collect();
    judge(site, &after)?;
    if !changes.is_empty() {
        let changes: Vec<_> = changes
            .into_iter()
            .map(|(name, value)| (name, (!value.is_null()).then(|| value.to_string())))
            .collect();
        let changed = site
            .store
            .change_settings(&before, &changes, actor.id, site.now());
        if !changed.await? {
            return Err(Problem::CONFLICT.detail("another admin was faster: look again"));
        }
    }
    show(site).await
}

fn judge(site: &Site, set: &[(String, Value)]) -> Result<Value, Problem> {
    (site.configuration.0)(set).map_err(|wrong| Problem::invalid(wrong.field, wrong.message))
}

fn values(set: &[Setting]) -> Vec<(String, Value)> {
    let pair = |setting: &Setting| (setting.name.clone(), read(&setting.value));
    set.iter().map(pair).collect()
}

fn read(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_default()
}

/// `{"tracker": {"numwant_max": 50}}` to `tracker.numwant_max`. A key of the top level stands by itself.
fn flatten(patch: Map<String, Value>) -> Result<Vec<(String, Value)>, Problem> {
    let mut changes = Vec::new();
    for (name, value) in patch {
        match value {
            Value::Object(section) => {
                changes.extend(
                    section
                        .into_iter()
                        .map(|(key, value)| (format!("{name}.{key}"), value)),
                );
            }
            value => changes.push((name, value)),
        }
    }
    match changes.len() {
        ..=100 => Ok(changes),
        _ => Err(Problem::INVALID.detail("there aren't as many keys")),
    }
}
