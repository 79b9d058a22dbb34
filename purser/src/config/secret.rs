//! A value that may be used, and never shown: not in a log, nor in `config show`.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// A key, or an address with a password in it. `Debug` and `Serialize` give the redacted form.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(String);

impl Secret {
    /// Nothing is checked here.
    pub(crate) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The value itself: for the one who needs it, not for the eye.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Was nothing chosen?
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// An address without its password; of anything else, only that it is there.
    pub(crate) fn redacted(&self) -> String {
        if self.0.is_empty() || self.0.starts_with("sqlite:") {
            return self.0.clone();
        }
        let Some((scheme, rest)) = self.0.split_once("://") else {
            return HIDDEN.to_owned();
        };
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        if query.contains('@') {
            return format!("{scheme}://{HIDDEN}"); // a password with a bare `?` in it
        }
        let place = hide_password(place);
        // No list of the harmless options of every database: what follows the question mark isn't shown.
        let mark = if query.is_empty() { "" } else { "?***" };
        format!("{scheme}://{place}{mark}")
    }
}

const HIDDEN: &str = "***";

/// `user:password@host/name` with the password hidden. The last `@` counts: a password may hold one.
fn hide_password(place: &str) -> String {
    let Some((login, host)) = place.rsplit_once('@') else {
        return place.to_owned();
    };
    match login.split_once(':') {
        Some((user, _)) => format!("{user}:{HIDDEN}@{host}"),
        None => format!("{login}@{host}"),
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.redacted())
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn passwords_are_hidden_wherever_they_stand() {
        let table = [
            ("", ""),
            ("sqlite:data/purser.db", "sqlite:data/purser.db"),
            ("postgres://purser@db/purser", "postgres://purser@db/purser"),
            (
                "postgres://purser:pw@db/purser",
                "postgres://purser:***@db/purser",
            ),
            (
                "postgres://purser:p@:/w@db/purser",
                "postgres://purser:***@db/purser",
            ),
            ("postgres://p:p?w@db/purser", "postgres://***"),
            (
                "postgres://db/purser?password=pw",
                "postgres://db/purser?***",
            ),
            ("redis://:pw@cache:6379/1", "redis://:***@cache:6379/1"),
            ("0123456789abcdef", "***"),
        ];
        for (secret, shown) in table {
            assert_eq!(Secret::new(secret).redacted(), shown);
            assert_eq!(format!("{:?}", Secret::new(secret)), shown);
        }
    }
}
