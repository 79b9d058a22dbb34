//! What an API key may do, of what its member may.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::problem::Problem;

/// One thing that an API key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Every GET of a member's.
    Read,
    /// Everything that changes something, but passwords, logins and API keys.
    Write,
    /// What staff and admins alone may, if its member is one; with `read` or `write`.
    Staff,
    /// Torznab, RSS, and downloads of .torrent files.
    Feeds,
}

/// What one API key may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scopes(Vec<Scope>);

impl Scope {
    const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Staff, Self::Feeds];

    fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Staff => "staff",
            Self::Feeds => "feeds",
        }
    }
}

impl Scopes {
    pub(crate) fn new(mut scopes: Vec<Scope>) -> Self {
        scopes.sort_by_key(|scope| scope.word());
        scopes.dedup();
        Self(scopes)
    }

    /// As the database keeps them. A word that only a newer Purser knows allows nothing.
    pub(crate) fn read(words: &str) -> Self {
        let find = |word: &str| Scope::ALL.into_iter().find(|scope| scope.word() == word);
        Self(words.split(' ').filter_map(find).collect())
    }

    pub(crate) fn write(&self) -> String {
        let words: Vec<_> = self.0.iter().map(|scope| scope.word()).collect();
        words.join(" ")
    }

    pub(crate) fn list(self) -> Vec<Scope> {
        self.0
    }

    /// Any of them will do.
    pub(crate) fn need_one_of(&self, scopes: &[Scope]) -> Result<(), Problem> {
        match scopes.iter().any(|scope| self.0.contains(scope)) {
            true => Ok(()),
            false => {
                let words: Vec<_> = scopes.iter().map(|scope| scope.word()).collect();
                let words = words.join("` or `");
                Err(Problem::FORBIDDEN.detail(format!("this API key hasn't the scope `{words}`")))
            }
        }
    }

    pub(crate) fn need(&self, scope: Scope) -> Result<(), Problem> {
        self.need_one_of(&[scope])
    }
}
