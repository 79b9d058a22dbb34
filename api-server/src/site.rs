//! What every service needs: the database, the site's keys, and where its members announce.

use std::sync::Arc;

use store::Store;
use tracker_core::ids::UnixTime;
use tracker_core::key::TokenKey;
use tracker_core::settings::Settings;

use crate::cache::Cache;
use crate::credentials::Credentials;
use crate::limits::Limits;
use crate::redis::Redis;

/// The site. A clone is another handle to the same one.
#[derive(Clone, Debug)]
pub struct Site {
    /// The database.
    pub store: Store,
    /// Signs announce tokens.
    pub token_key: TokenKey,
    /// Where announce URLs begin: scheme, host, port, no slash at the end.
    pub public_url: String,
    /// Whose word is taken for where a request comes from.
    pub proxies: Settings,
    /// Requests that one address may make a minute; `None`: as many as it likes.
    pub requests_per_minute: Option<u32>,
    /// Counts them.
    pub(crate) limits: Limits,
    /// Keeps answers that many ask for.
    pub(crate) cache: Cache,
    /// Members whose ratio is below are warned. 0: nobody.
    pub min_ratio_warning: f64,
    /// The configuration in effect, without secrets, for admins to read.
    pub config: Arc<serde_json::Value>,
    /// Signs what callers of the API show.
    pub(crate) credentials: Credentials,
}

impl Site {
    /// A site whose announce URLs begin with `public_url`; it warns nobody, and shows no configuration.
    pub fn new(store: Store, token_key: TokenKey, public_url: String) -> Self {
        let credentials = Credentials::new(&token_key);
        let cache = Cache::new(&token_key, None);
        Self {
            store,
            token_key,
            public_url,
            proxies: Settings::default(),
            requests_per_minute: None,
            limits: Limits::new(None),
            cache,
            min_ratio_warning: 0.0,
            config: Arc::default(),
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
