//! What a caller shows: an access token, a refresh token (JWT, RFC 7519), or an API key.

use std::fmt;
use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use store::{ApiKeyId, LoginId};
use tracker_core::ids::UnixTime;
use tracker_core::key::TokenKey;

use crate::problem::Problem;

/// Seconds that an access token is good for. A disabled account is refused at once, whatever its token says.
pub(crate) const ACCESS_SECS: u32 = 900;

/// Seconds that a login lasts without being refreshed.
pub(crate) const REFRESH_SECS: u32 = 30 * 86_400;

const ISSUER: &str = "purser";

/// Every API key begins so: scanners of leaked secrets, and people, know what it is.
const API_KEY_PREFIX: &str = "purser_";

/// Signs and reads them.
#[derive(Clone)]
pub(crate) struct Credentials(Arc<Keys>);

struct Keys {
    sign: EncodingKey,
    read: DecodingKey,
}

/// A refresh token can't be shown as an access token, nor the other way round.
#[derive(Clone, Copy)]
enum Audience {
    Access,
    Refresh,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    exp: u64,
    iat: u64,
    /// The login.
    sid: u32,
    /// Which of its refresh tokens; of an access token, the one it came with.
    #[serde(rename = "gen")]
    generation: u32,
}

impl Credentials {
    /// With keys that follow from the site's, so that all its processes have the same.
    pub(crate) fn new(site: &TokenKey) -> Self {
        let key = site.derive("purser api v1");
        Self(Arc::new(Keys {
            sign: EncodingKey::from_secret(&key),
            read: DecodingKey::from_secret(&key),
        }))
    }

    pub(crate) fn access(&self, login: LoginId, now: UnixTime) -> Result<String, Problem> {
        self.sign(Audience::Access, login, 0, now, ACCESS_SECS)
    }

    pub(crate) fn refresh(
        &self,
        login: LoginId,
        generation: u32,
        now: UnixTime,
    ) -> Result<String, Problem> {
        self.sign(Audience::Refresh, login, generation, now, REFRESH_SECS)
    }

    pub(crate) fn read_access(&self, token: &str) -> Option<LoginId> {
        let claims = self.read(Audience::Access, token)?;
        Some(LoginId(claims.sid))
    }

    pub(crate) fn read_refresh(&self, token: &str) -> Option<(LoginId, u32)> {
        let claims = self.read(Audience::Refresh, token)?;
        Some((LoginId(claims.sid), claims.generation))
    }

    fn sign(
        &self,
        audience: Audience,
        login: LoginId,
        generation: u32,
        now: UnixTime,
        secs: u32,
    ) -> Result<String, Problem> {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: audience.name().to_owned(),
            exp: u64::from(now.0) + u64::from(secs),
            iat: now.0.into(),
            sid: login.0,
            generation,
        };
        encode(&Header::new(Algorithm::HS256), &claims, &self.0.sign).map_err(|error| {
            tracing::error!(%error, "can't sign a token");
            Problem::INTERNAL
        })
    }

    /// One algorithm alone: whoever names another, or `none`, is refused before the signature is looked at.
    fn read(&self, audience: Audience, token: &str) -> Option<Claims> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        validation.set_audience(&[audience.name()]);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "aud", "iss"]);
        let read = decode::<Claims>(token, &self.0.read, &validation).ok()?;
        Some(read.claims)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(secret)")
    }
}

impl Audience {
    fn name(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Refresh => "refresh",
        }
    }
}

/// An API key's secret half.
pub(crate) type Secret = [u8; 20];

/// As its owner copies it: `purser_` and its number, `_`, and 40 hex digits.
pub(crate) fn write_api_key(id: ApiKeyId, secret: &Secret) -> String {
    format!("{API_KEY_PREFIX}{}_{}", id.0, hex::encode(secret))
}

/// The number, and the digest of the secret. `None`: it isn't an API key.
pub(crate) fn read_api_key(text: &str) -> Option<(ApiKeyId, [u8; 32])> {
    let (id, secret) = text.strip_prefix(API_KEY_PREFIX)?.split_once('_')?;
    let mut bytes = Secret::default();
    hex::decode_to_slice(secret, &mut bytes).ok()?;
    Some((ApiKeyId(id.parse().ok()?), digest(&bytes)))
}

/// What the database keeps: of 160 random bits no salt is needed.
pub(crate) fn digest(secret: &Secret) -> [u8; 32] {
    blake3::derive_key("purser 2026-11-24 api key", secret)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use base64::Engine;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;

    use super::*;

    fn credentials(byte: u8) -> Credentials {
        Credentials::new(&TokenKey::from_bytes([byte; 32]))
    }

    #[test]
    fn a_token_is_good_for_what_it_was_made_for() {
        let here = credentials(7);
        let now = UnixTime::now();
        let access = here.access(LoginId(3), now).unwrap();
        let refresh = here.refresh(LoginId(3), 5, now).unwrap();
        assert_eq!(here.read_access(&access), Some(LoginId(3)));
        assert_eq!(here.read_refresh(&refresh), Some((LoginId(3), 5)));
        assert_eq!(here.read_access(&refresh), None);
        assert_eq!(here.read_refresh(&access), None);
        assert_eq!(credentials(8).read_access(&access), None);
        let late = here
            .access(LoginId(3), UnixTime(now.0 - ACCESS_SECS - 1))
            .unwrap();
        assert_eq!(here.read_access(&late), None);
    }

    #[test]
    fn unsigned_and_otherwise_signed_tokens_are_refused() {
        let here = credentials(7);
        let access = here.access(LoginId(3), UnixTime::now()).unwrap();
        let (_, rest) = access.split_once('.').unwrap();
        let (claims, signature) = rest.split_once('.').unwrap();
        for header in [
            r#"{"alg":"none"}"#,
            r#"{"alg":"None","typ":"JWT"}"#,
            r#"{"alg":"HS512","typ":"JWT"}"#,
            r#"{"alg":"RS256","typ":"JWT"}"#,
        ] {
            let header = BASE64_URL_SAFE_NO_PAD.encode(header);
            for signature in ["", signature] {
                let forged = format!("{header}.{claims}.{signature}");
                assert_eq!(here.read_access(&forged), None, "{forged}");
            }
        }
        for damaged in ["", ".", "..", &access[1..], &access[..access.len() - 1]] {
            assert_eq!(here.read_access(damaged), None);
        }
    }

    #[test]
    fn an_api_key_is_read_as_it_was_written() {
        let text = write_api_key(ApiKeyId(12), &[9; 20]);
        assert_eq!(read_api_key(&text), Some((ApiKeyId(12), digest(&[9; 20]))));
        for wrong in [
            "",
            "purser_",
            "purser_1_",
            "purser_1_zz",
            "other_1_00",
            "purser_-1_00",
        ] {
            assert_eq!(read_api_key(wrong), None, "{wrong}");
        }
    }
}
