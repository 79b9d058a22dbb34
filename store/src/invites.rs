//! Invite codes: the way in for new members.

use tracker_core::ids::{UnixTime, UserId};

use crate::Store;
use crate::error::Result;
use crate::store::in_transaction;

const CREATE: &str = "
    insert into invites (code, created_by, created_at)
    values ($1, $2, $3)";

impl Store {
    /// Writes down codes that the caller has drawn: all of them, or with a `Duplicate` none. `by` is `None` for the
    /// operator at the command line.
    pub async fn create_invites(
        &self,
        codes: &[String],
        by: Option<UserId>,
        at: UnixTime,
    ) -> Result<()> {
        in_transaction!(self, |tx| {
            for code in codes {
                sqlx::query(CREATE)
                    .bind(code)
                    .bind(by.map(|user| i64::from(user.0)))
                    .bind(i64::from(at.0))
                    .execute(&mut *tx)
                    .await?;
            }
        })
    }
}
