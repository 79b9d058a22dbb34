//! A member's key, as it stands in their announce URL: a signed token, or a passkey from another tracker.
//!
//! A token is 33 bytes, written as 44 characters of URL-safe base64:
//!
//! | bytes | |
//! |---|---|
//! | 1 | version, 1 |
//! | 4 | token id |
//! | 4 | user id |
//! | 4 | expiry, Unix seconds; 0: never |
//! | 4 | torrent id it is bound to; 0: none |
//! | 16 | HMAC-SHA-256 of the 17 bytes before, cut to half (RFC 2104, section 5) |
//!
//! Numbers are big-endian. Nothing secret is stored: whoever has the signing key can write the token again.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::ids::{TokenId, TorrentId, UnixTime, UserId};

const VERSION: u8 = 1;
const CLAIMS: usize = 17;
const SIGNED: usize = CLAIMS + 16;
const TEXT: usize = SIGNED / 3 * 4;

/// What a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// What a revocation names.
    pub id: TokenId,
    /// Whose announces it signs.
    pub user: UserId,
    /// The only torrent it opens, if it is bound to one.
    pub torrent: Option<TorrentId>,
    /// The first second at which it is refused.
    pub expires_at: Option<UnixTime>,
}

/// A key that was well formed; whether it opens anything is the roster's to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// 32 hex digits.
    Passkey([u8; 16]),
    /// Signed by us.
    Token(Token),
}

/// Why a text is no key of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadKey {
    /// Neither 44 characters of base64 nor 32 hex digits.
    Malformed,
    /// The signature doesn't match: tampered with, or signed by another key.
    Forged,
}

/// Signs and verifies tokens.
#[derive(Clone)]
pub struct TokenKey(Hmac<Sha256>);

impl TokenKey {
    /// From 32 secret random bytes.
    pub fn from_bytes(secret: [u8; 32]) -> Self {
        // HMAC fills a short key up to SHA-256's block with zeros (RFC 2104, section 2).
        let mut block = [0; 64];
        block[..32].copy_from_slice(&secret);
        Self(Hmac::new(&block.into()))
    }

    /// The token as 44 characters that can stand in a URL.
    pub fn sign(&self, token: &Token) -> String {
        let mut signed = [0; SIGNED];
        let (claims, tag) = signed.split_at_mut(CLAIMS);
        claims[0] = VERSION;
        claims[1..5].copy_from_slice(&token.id.0.to_be_bytes());
        claims[5..9].copy_from_slice(&token.user.0.to_be_bytes());
        claims[9..13].copy_from_slice(&token.expires_at.map_or(0, |at| at.0).to_be_bytes());
        claims[13..17].copy_from_slice(&token.torrent.map_or(0, |id| id.0).to_be_bytes());
        let mac = self.0.clone().chain_update(&*claims).finalize();
        tag.copy_from_slice(&mac.as_bytes()[..16]);
        URL_SAFE_NO_PAD.encode(signed)
    }

    /// Tells keys apart without giving anything of them away: the same for the same secret.
    pub fn fingerprint(&self) -> u64 {
        let mac = self.0.clone().chain_update(b"purser token key").finalize();
        let bytes = mac.as_bytes().first_chunk().copied().unwrap_or_default();
        u64::from_be_bytes(bytes)
    }

    /// A key for something else, which gives nothing of this one away. `purpose` is longer than any token's claims, so that
    /// no signature of the one kind is one of the other.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        let of = self.0.clone().chain_update(b"purser derived key: ");
        of.chain_update(purpose).finalize().into_bytes().into()
    }

    /// Reads a key as a client sent it. The signature is compared in constant time.
    pub fn read(&self, text: &[u8]) -> Result<Key, BadKey> {
        match text.len() {
            TEXT => self.read_token(text).map(Key::Token),
            32 => parse_passkey(text)
                .map(Key::Passkey)
                .ok_or(BadKey::Malformed),
            _ => Err(BadKey::Malformed),
        }
    }

    fn read_token(&self, text: &[u8]) -> Result<Token, BadKey> {
        let mut signed = [0; SIGNED];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut signed) {
            Ok(SIGNED) => {}
            _ => return Err(BadKey::Malformed),
        }
        let (claims, tag) = signed.split_at(CLAIMS);
        self.0
            .clone()
            .chain_update(claims)
            .verify_truncated_left(tag)
            .map_err(|_| BadKey::Forged)?;
        if claims[0] != VERSION {
            return Err(BadKey::Malformed);
        }
        let number = |at: usize| {
            u32::from_be_bytes([claims[at], claims[at + 1], claims[at + 2], claims[at + 3]])
        };
        Ok(Token {
            id: TokenId(number(1)),
            user: UserId(number(5)),
            expires_at: Some(number(9)).filter(|&at| at != 0).map(UnixTime),
            torrent: Some(number(13)).filter(|&id| id != 0).map(TorrentId),
        })
    }
}

/// Keeps the secret out of logs.
impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenKey(secret)")
    }
}

/// 32 hex digits, in either case.
pub fn parse_passkey(text: &[u8]) -> Option<[u8; 16]> {
    let mut passkey = [0; 16];
    hex::decode_to_slice(text, &mut passkey).ok()?;
    Some(passkey)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> TokenKey {
        TokenKey::from_bytes([7; 32])
    }

    fn token() -> Token {
        Token {
            id: TokenId(1),
            user: UserId(2),
            torrent: Some(TorrentId(3)),
            expires_at: Some(UnixTime(4)),
        }
    }

    #[test]
    fn token_reads_back_as_signed() {
        for token in [
            token(),
            Token {
                torrent: None,
                expires_at: None,
                ..token()
            },
        ] {
            let text = key().sign(&token);
            assert_eq!(text.len(), 44);
            assert_eq!(key().read(text.as_bytes()), Ok(Key::Token(token)));
        }
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let text = key().sign(&token()).into_bytes();
        for at in 0..text.len() {
            let mut changed = text.clone();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(key().read(&changed), Err(BadKey::Forged), "character {at}");
        }
    }

    #[test]
    fn another_trackers_token_is_forged() {
        let text = TokenKey::from_bytes([8; 32]).sign(&token());
        assert_eq!(key().read(text.as_bytes()), Err(BadKey::Forged));
    }

    #[test]
    fn fingerprint_tells_keys_apart() {
        assert_eq!(key().fingerprint(), key().fingerprint());
        assert_ne!(
            key().fingerprint(),
            TokenKey::from_bytes([8; 32]).fingerprint()
        );
    }

    #[test]
    fn passkey_is_32_hex_digits() {
        let passkey = [0xab; 16];
        assert_eq!(
            key().read(&[b'a', b'B'].repeat(16)),
            Ok(Key::Passkey(passkey))
        );
        for bad in [
            &b""[..],
            b"abc",
            &[b'g'; 32],
            &[b'a'; 33],
            &[b'!'; 44],
            &[b'a'; 4096],
        ] {
            assert_eq!(key().read(bad), Err(BadKey::Malformed));
        }
    }
}
