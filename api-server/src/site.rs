//! What every service needs: the database, the site's keys, and where its members announce.

use std::sync::Arc;

use arc_swap::ArcSwap;
use economy::policy::Policy;
use store::Store;
use tracker_core::ids::UnixTime;
use tracker_core::key::TokenKey;
use tracker_core::settings::Settings;

use crate::cache::Cache;
use crate::credentials::Credentials;
use crate::limits::Limits;
use crate::problem::FieldError;
use crate::redis::Redis;

/// What may change while the API runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    /// Requests that one address may make a minute; `None`: as many as it likes.
    pub requests_per_minute: Option<u32>,
    /// Members whose ratio is below are warned. 0: nobody.
    pub min_ratio_warning: f64,
}

/// The configuration with what admins have set over it (names as `tracker.numwant_max`, values as JSON): the whole, without
/// secrets; or what is wrong. Commands and the API ask the same rules so.
#[derive(Clone)]
pub struct Configuration(pub Arc<Judge>);

/// See [`Configuration`].
pub type Judge =
    dyn Fn(&[(String, serde_json::Value)]) -> Result<serde_json::Value, FieldError> + Send + Sync;

impl std::fmt::Debug for Configuration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Configuration")
    }
}

/// What is done now and then, and when next, as of a moment: the program's, which runs it.
#[derive(Clone)]
pub struct JobPlans(pub Arc<Plans>);

/// See [`JobPlans`].
pub type Plans = dyn Fn(UnixTime) -> Vec<JobPlan> + Send + Sync;

/// Something that is done now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobPlan {
    /// As the database knows it.
    pub name: &'static str,
    /// A cron expression, in UTC.
    pub schedule: &'static str,
    /// When it is due.
    pub next_at: Option<UnixTime>,
}

impl std::fmt::Debug for JobPlans {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JobPlans")
    }
}

/// The site. A clone is another handle to the same one.
#[derive(Clone, Debug)]
pub struct Site {
    /// The database.
    pub store: Store,
    /// Signs announce tokens.
    pub token_key: TokenKey,
    /// Where announce URLs begin: scheme, host, port, no slash at the end.
    pub public_url: String,
    /// Where links to the API begin, in the same form. Empty: where the request went to.
    pub api_url: String,
    /// Whose word is taken for where a request comes from.
    pub proxies: Settings,
    /// What may change while it runs.
    pub live: Arc<ArcSwap<Live>>,
    /// Counts requests.
    pub(crate) limits: Limits,
    /// Keeps answers that many ask for.
    pub(crate) cache: Cache,
    /// The economy's rules.
    pub economy: Arc<Policy>,
    /// Knows the configuration, for admins.
    pub configuration: Configuration,
    /// Knows the jobs, for admins.
    pub jobs: JobPlans,
    /// Signs what callers of the API show.
    pub(crate) credentials: Credentials,
}

impl Site {
    /// A site whose announce URLs begin with `public_url`; it warns nobody, and shows neither configuration nor jobs.
    pub fn new(store: Store, token_key: TokenKey, public_url: String) -> Self {
        let credentials = Credentials::new(&token_key);
        let cache = Cache::new(&token_key, None);
        Self {
            store,
            token_key,
            public_url,
            api_url: String::new(),
            proxies: Settings::default(),
            live: Arc::new(ArcSwap::from_pointee(Live {
                requests_per_minute: None,
                min_ratio_warning: 0.0,
            })),
            limits: Limits::new(None),
            cache,
            economy: Arc::new(Policy::default()),
            configuration: Configuration(Arc::new(|_| Ok(serde_json::Value::Null))),
            jobs: JobPlans(Arc::new(|_| Vec::new())),
            credentials,
        }
    }

    /// The same site, with what its processes share by Redis.
    #[must_use]
    pub fn with_redis(mut self, redis: Redis) -> Self {
        self.limits = Limits::new(Some(redis.clone()));
        self.cache = Cache::new(&self.token_key, Some(redis));
        self
    }

    /// What a member pastes into a client. `key` is a signed token or a passkey.
    pub fn announce_url(&self, key: &str) -> String {
        format!("{}/announce/{key}", self.public_url)
    }

    pub(crate) fn now(&self) -> UnixTime {
        UnixTime::now()
    }
}
