//! Errors as RFC 9457 has them: what a service says when it refuses, and what a client reads.

use std::borrow::Cow;

use serde::Serialize;
use store::StoreError;
use utoipa::ToSchema;

/// Fields that are named at most: what somebody sent isn't sent back, however much that was.
const ERRORS_MAX: usize = 20;

/// Of a field's name, which may be whatever somebody sent.
const FIELD_MAX: usize = 64;

/// Of words for people, in which it may stand, too.
const WORDS_MAX: usize = 500;

/// Why a request was refused. The `type` of each kind never changes; `detail` is for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// Names the kind, for programs.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "/problems/not-found")]
    pub kind: &'static str,
    /// What the kind means.
    #[schema(value_type = String, example = "There is no such thing")]
    pub title: &'static str,
    /// The HTTP status, again.
    #[schema(example = 404)]
    pub status: u16,
    /// What is the matter here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Which fields are wrong, and what would be right.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Seconds after which the same request may succeed.
    #[serde(skip)]
    pub retry_after: Option<u32>,
}

/// A field that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Its name; of a nested one, with dots.
    #[schema(value_type = String, example = "username")]
    pub field: Cow<'static, str>,
    /// What would be right.
    #[schema(example = "3 to 32 letters, digits, `_`, `-` or `.`")]
    pub message: String,
}

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident = $status:literal $kind:literal $title:literal;)+) => {
        $($(#[$doc])* pub const $name: Self = Self {
            kind: concat!("/problems/", $kind),
            title: $title,
            status: $status,
            detail: None,
            errors: Vec::new(),
            retry_after: None,
        };)+

        /// Every kind, for whoever documents or lists them.
        pub const ALL: &'static [Self] = &[$(Self::$name),+];
    };
}

impl Problem {
    problems! {
        /// The request can't be read at all.
        MALFORMED = 400 "malformed" "The request can't be read";
        /// Nobody said who they are, or what they said isn't good (any more).
        UNAUTHENTICATED = 401 "unauthenticated" "A good access token or API key is needed";
        /// Wrong name or wrong password: which of them isn't said.
        WRONG_CREDENTIALS = 401 "wrong-credentials" "The username or the password is wrong";
        /// A refresh token that is over or was used before.
        BAD_REFRESH = 401 "bad-refresh-token" "This refresh token is no longer good: log in again";
        /// They may not do this.
        FORBIDDEN = 403 "forbidden" "You may not do this";
        /// Their account is disabled.
        DISABLED = 403 "account-disabled" "This account is disabled";
        /// There's nothing at this path.
        NOT_FOUND = 404 "not-found" "There is nothing here";
        /// There's something at this path, for another method.
        METHOD_NOT_ALLOWED = 405 "method-not-allowed" "This path has no such method";
        /// Somebody else has it.
        TAKEN = 409 "taken" "Somebody else has this already";
        /// It isn't in the state that this needs.
        CONFLICT = 409 "conflict" "This isn't possible as things stand";
        /// The body is longer than this path takes.
        TOO_LARGE = 413 "too-large" "The body is too large";
        /// The body is of another type than this path takes.
        UNSUPPORTED = 415 "unsupported-media-type" "This path takes another type of body";
        /// See `api.allowed_hosts`.
        WRONG_HOST = 421 "wrong-host" "This site isn't called by this name: see api.allowed_hosts";
        /// It can be read, but fields are wrong.
        INVALID = 422 "invalid" "Some fields are wrong";
        /// Another request had this `Idempotency-Key`.
        KEY_REUSED = 422 "idempotency-key-reused" "This Idempotency-Key belongs to another request";
        /// Too much in too short a time.
        TOO_MANY = 429 "too-many-requests" "Too many requests";
        /// A bug, or a damaged database. The log has more.
        INTERNAL = 500 "internal" "Something went wrong here";
        /// The database is away.
        UNAVAILABLE = 503 "unavailable" "The database can't be used at the moment";
        /// It took too long.
        TIMEOUT = 503 "timeout" "This took too long";
    }

    /// With words for people.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(cut(detail.into(), WORDS_MAX));
        self
    }

    /// One wrong field.
    pub fn invalid(field: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::INVALID.and(field, message)
    }

    /// And another. Of very many, the first.
    #[must_use]
    pub fn and(mut self, field: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        if self.errors.len() < ERRORS_MAX {
            let field = match field.into() {
                Cow::Owned(field) => cut(field, FIELD_MAX).into(),
                known => known,
            };
            let message = cut(message.into(), WORDS_MAX);
            self.errors.push(FieldError { field, message });
        }
        self
    }

    /// `Err` if any field is wrong.
    pub fn unless_none(self) -> Result<(), Self> {
        match self.errors.is_empty() {
            true => Ok(()),
            false => Err(self),
        }
    }
}

/// To so many characters.
fn cut(text: String, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { what } => {
                Self::NOT_FOUND.detail(format!("there is no such {what}"))
            }
            StoreError::Duplicate { what } => {
                Self::TAKEN.detail(format!("this {what} is taken already"))
            }
            StoreError::Unreachable { .. } => {
                tracing::warn!(%error, "the database can't be used");
                Self {
                    retry_after: Some(5),
                    ..Self::UNAVAILABLE
                }
            }
            // A NUL, say, which Postgres keeps in no text.
            error if error.is_about_a_value() => {
                Self::INVALID.detail("a text holds what the database can't keep")
            }
            error => {
                tracing::error!(%error, "a request failed");
                Self::INTERNAL
            }
        }
    }
}
