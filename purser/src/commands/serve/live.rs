//! The configuration while the program runs: the operator's, and over it what admins have set. Both can change.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use api_server::{Configuration, FieldError};
use arc_swap::ArcSwap;
use serde_json::Value;
use store::Store;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tracker_core::tracker::Tracker;

use super::settings;
use crate::cli::Options;
use crate::config::{BadOverride, Config};
use crate::jobs::Rates;

/// The promise is two seconds, and there are few rows.
const POLL_PERIOD: Duration = Duration::from_secs(1);

/// What is set over the configuration.
pub(crate) type Overrides = Vec<(String, Value)>;

/// The parts that take a change while they run.
pub(super) struct Live {
    pub(super) options: Options,
    pub(super) store: Store,
    pub(super) tracker: Option<Arc<Tracker>>,
    pub(super) api: Option<Arc<ArcSwap<api_server::Live>>>,
    pub(super) rates: Option<Arc<ArcSwap<Rates>>>,
    /// What is in effect.
    pub(super) overrides: Overrides,
}

/// What admins have set.
pub(crate) async fn overrides(store: &Store) -> Result<Overrides> {
    let set = store.settings().await?;
    let read = |json: &str| serde_json::from_str(json).unwrap_or_default();
    Ok(set
        .into_iter()
        .map(|setting| (setting.name, read(&setting.value)))
        .collect())
}

/// With what admins have set; without, if that isn't right any more: a newer Purser may have other limits.
pub(crate) fn config_with(options: &Options, overrides: &Overrides) -> Result<Config> {
    match options.load_with(overrides) {
        // Whatever is wrong without them too is the operator's.
        Err(error) if !overrides.is_empty() => {
            let config = options.load()?;
            tracing::error!("what admins have set is left out: {error:#}");
            Ok(config)
        }
        loaded => loaded,
    }
}

/// For the API: the same rules as at a start.
pub(super) fn configuration(options: &Options) -> Configuration {
    let options = options.clone();
    Configuration(Arc::new(move |overrides| {
        let config = options.load_with(overrides).map_err(|error| {
            let (field, message) = match error.downcast::<BadOverride>() {
                Ok(BadOverride { name, right }) => (name, right),
                Err(error) => (String::new(), format!("{error:#}")),
            };
            FieldError {
                field: field.into(),
                message,
            }
        })?;
        // A secret writes itself as stars.
        Ok(serde_json::to_value(config).unwrap_or_default())
    }))
}

impl Live {
    /// Until told to stop: looks each second, and at once when the operator says so.
    pub(super) async fn follow(
        mut self,
        mut hangups: watch::Receiver<()>,
        mut stopped: watch::Receiver<bool>,
    ) -> Result<()> {
        let mut ticks = interval(POLL_PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let hung_up = tokio::select! {
                _ = ticks.tick() => false,
                Ok(()) = hangups.changed() => true,
                _ = stopped.wait_for(|&stop| stop) => return Ok(()),
            };
            // While the database is away, what was set stays.
            if let Ok(now) = overrides(&self.store).await
                && now != self.overrides
            {
                self.overrides = now;
                self.apply();
                tracing::info!("admins have changed settings");
            }
            if hung_up && self.apply() {
                tracing::info!("reloaded the announce settings; other keys need a restart");
            }
        }
    }

    /// A wrong config changes nothing.
    fn apply(&self) -> bool {
        let config = config_with(&self.options, &self.overrides);
        let applied = config.and_then(|config| {
            let announces = settings::announce_settings(&config)?;
            if let Some(tracker) = &self.tracker {
                tracker.settings.store(Arc::new(announces));
            }
            if let Some(api) = &self.api {
                api.store(Arc::new(settings::live(&config)));
            }
            if let Some(rates) = &self.rates {
                rates.store(Arc::new(Rates::of(&config)));
            }
            Ok(())
        });
        if let Err(error) = &applied {
            tracing::error!("the config stays as it was: {error:#}");
        }
        applied.is_ok()
    }
}
