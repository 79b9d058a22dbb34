//! Passwords: how they are made, checked, hashed and compared.

use std::sync::LazyLock;

use argon2::{Argon2, PasswordHash, PasswordHasher, PasswordVerifier};
use rand::{CryptoRng, RngExt};
use tokio::sync::Semaphore;

use crate::problem::Problem;

/// Shorter passwords are refused: they can be guessed.
pub const MIN_CHARS: usize = 8;

/// Longer ones too: a hash of a megabyte is a way to keep a server busy.
pub const MAX_CHARS: usize = 256;

/// Hashes at a time: each takes 19 MiB and a core for some hundredths of a second, and announces want theirs.
static TURNS: Semaphore = Semaphore::const_new(2);

/// Twenty characters that can't be taken for one another, chosen by `random`: 116 bits.
pub fn generate(random: &mut impl CryptoRng) -> String {
    const ALPHABET: &[u8] = b"abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let letter = |_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())]);
    (0..20).map(letter).collect()
}

/// Is it long enough, and not too long?
///
/// # Errors
///
/// What would be right.
pub fn check(password: &str) -> Result<(), String> {
    let chars = password.chars().count();
    if chars < MIN_CHARS {
        return Err(format!(
            "the password has {chars} characters: {MIN_CHARS} is the least"
        ));
    }
    if chars > MAX_CHARS {
        return Err(format!(
            "the password has {chars} characters: {MAX_CHARS} is the most"
        ));
    }
    Ok(())
}

/// argon2id with a salt of its own, as a PHC string. Takes a few hundredths of a second and 19 MiB, on purpose: call it
/// where that holds nobody up.
///
/// # Errors
///
/// When the system has no randomness or no memory.
pub fn hash(password: &str) -> Result<String, String> {
    let hash = Argon2::default()
        .hash_password(password.as_bytes())
        .map_err(|error| format!("the password can't be hashed: {error}"))?;
    Ok(hash.to_string())
}

fn is_right(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| {
        Argon2::default()
            .verify_password(password.as_bytes(), &hash)
            .is_ok()
    })
}

/// [`hash`], on a thread of its own and in turn.
pub(crate) async fn hash_in_turn(password: String) -> Result<String, Problem> {
    in_turn(move || hash(&password)).await?.map_err(|error| {
        tracing::error!("{error}");
        Problem::INTERNAL
    })
}

/// Whether it is the password that `hash` is of. Without one it takes as long, so that nobody can tell by the time
/// whether there is such a member.
pub(crate) async fn is_right_in_turn(
    password: String,
    hash: Option<String>,
) -> Result<bool, Problem> {
    static NOBODYS: LazyLock<String> = LazyLock::new(|| self::hash("nobody's").unwrap_or_default());
    in_turn(move || match hash {
        Some(hash) => is_right(&password, &hash),
        None => {
            is_right(&password, &NOBODYS);
            false
        }
    })
    .await
}

async fn in_turn<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    // It is never closed.
    let turn = TURNS.acquire().await.map_err(|_| Problem::INTERNAL)?;
    // Until the work is done, not until somebody stops waiting for it: who hangs up doesn't make it end.
    let work = move || {
        let _turn = turn;
        work()
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Problem::INTERNAL)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[tokio::test]
    async fn who_hangs_up_leaves_their_turn_to_nobody_before_its_end() {
        let (begun, has_begun) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let asking = tokio::spawn(in_turn(move || {
            begun.send(()).unwrap();
            ended.recv()
        }));
        let begun = tokio::task::spawn_blocking(move || has_begun.recv());
        begun.await.unwrap().unwrap();
        asking.abort();
        assert!(asking.await.unwrap_err().is_cancelled());
        assert_eq!(TURNS.available_permits(), 1);
        end.send(()).unwrap();
        let _both = TURNS.acquire_many(2).await.unwrap();
    }

    #[test]
    fn a_generated_password_is_fresh_and_fits_its_hash() {
        let mut random = rand::rng();
        let password = generate(&mut random);
        assert_eq!(password.len(), 20);
        assert_ne!(password, generate(&mut random));
        check(&password).unwrap();
        let hash = hash(&password).unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        assert!(is_right(&password, &hash));
        assert!(!is_right("something else", &hash));
    }
}
