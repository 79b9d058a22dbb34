//! What every service needs: the database, the site's keys, and where its members announce.

use store::Store;
use tracker_core::ids::UnixTime;
use tracker_core::key::TokenKey;

use crate::credentials::Credentials;

/// The site. A clone is another handle to the same one.
#[derive(Clone, Debug)]
pub struct Site {
    /// The database.
    pub store: Store,
    /// Signs announce tokens.
    pub token_key: TokenKey,
    /// Where announce URLs begin: scheme, host, port, no slash at the end.
    pub public_url: String,
    /// Signs what callers of the API show.
    pub(crate) credentials: Credentials,
}

impl Site {
    /// A site whose announce URLs begin with `public_url`.
    pub fn new(store: Store, token_key: TokenKey, public_url: String) -> Self {
        let credentials = Credentials::new(&token_key);
        Self {
            store,
            token_key,
            public_url,
            credentials,
        }
    }

    /// What a member pastes into a client. `key` is a signed token or a passkey.
    pub fn announce_url(&self, key: &str) -> String {
        format!("{}/announce/{key}", self.public_url)
    }

    pub(crate) fn now(&self) -> UnixTime {
        UnixTime::now()
    }
}
