//! SQLite's plans: it has to go through the rows, and find each by its key. The other way round, it would read a table of
//! millions for each piece.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use sqlx::AssertSqlSafe;

use super::*;
use crate::Store;
use crate::store::Pools;

const SESSION: &str =
    "SEARCH sessions USING PRIMARY KEY (user_id=? AND torrent_id=? AND peer_id=?)";
/// The member's other clients in the torrent.
const OTHERS: &str = "SEARCH other USING PRIMARY KEY (user_id=? AND torrent_id=? AND peer_id<?)";
const USER: &str = "SEARCH users USING INTEGER PRIMARY KEY (rowid=?)";
const TOKEN: &str =
    "SEARCH held USING COVERING INDEX freeleech_tokens_user (user_id=? AND ends_at>?)";
const TORRENT: &str = "SEARCH torrents USING INTEGER PRIMARY KEY (rowid=?)";

#[tokio::test]
async fn each_row_finds_its_own_by_the_key() {
    let statements: [(&Statement, &[&str]); 9] = [
        (&MISSING_USERS, &[USER]),
        (&MISSING_TORRENTS, &[TORRENT]),
        (&BASELINES, &[&SESSION.replace("sessions", "s")]),
        (&UPDATE_SESSIONS, &[SESSION, OTHERS]),
        (&INSERT_SESSIONS, &[USER, TORRENT]),
        (&INSERT_SNATCHES, &[]),
        (&TOKENS, &[TOKEN]),
        (&ADD_TO_USERS, &[USER]),
        (&ADD_TO_TORRENTS, &[TORRENT]),
    ];
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("test.db").display());
    let store = Store::open(&url).await.unwrap();
    store.migrate().await.unwrap();
    let Pools::Sqlite { writer, .. } = &store.pools else {
        panic!("{store:?}");
    };
    for (statement, searches) in statements {
        for sql in statement.texts() {
            let plan: Vec<(i64, i64, i64, String)> =
                sqlx::query_as(AssertSqlSafe(format!("explain query plan {sql}")))
                    .fetch_all(writer)
                    .await
                    .unwrap();
            let found: Vec<_> = plan
                .iter()
                .map(|(_, _, _, step)| step.as_str())
                // The rows, and what is for one row.
                .filter(|step| step.starts_with("SEARCH") || step.starts_with("SCAN"))
                .filter(|step| !step.ends_with("VALUES CLAUSE") && !step.contains("CONSTANT ROW"))
                // Since 3.51, SQLite makes a join of an `exists`, and says so.
                .map(|step| step.replace(" EXISTS USING", " USING"))
                .collect();
            let expected: Vec<_> = ["SCAN change"].iter().chain(searches).copied().collect();
            assert_eq!(found, expected, "{plan:#?}");
        }
    }
}
