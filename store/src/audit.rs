//! What staff and members changed, by whom: written in the transaction that changes it, never changed or deleted.

use sqlx::FromRow;
use tracker_core::ids::UnixTime;

use crate::Store;
use crate::columns;
use crate::error::{Result, StoreError};
use crate::roster::page_limit;
use crate::store::reading;

/// One thing that somebody did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Row number.
    pub id: i64,
    /// Who did it; `None`: the operator at the command line.
    pub actor: Option<String>,
    /// What they did, as `user.change`.
    pub action: String,
    /// To whom or what, as `user:7`.
    pub subject: String,
    /// For people.
    pub detail: String,
    /// When.
    pub created_at: UnixTime,
}

#[derive(FromRow)]
struct AuditRow {
    id: i64,
    actor: Option<String>,
    action: String,
    subject: String,
    detail: String,
    created_at: i64,
}

pub(crate) const RECORD: &str = "
    insert into audit_entries (actor_id, action, subject, detail, created_at)
    values ($1, $2, $3, $4, $5)";

const LIST: &str = "
    select audit_entries.id, users.username as actor, audit_entries.action, audit_entries.subject, audit_entries.detail,
        audit_entries.created_at
    from audit_entries
    left join users on users.id = audit_entries.actor_id
    where audit_entries.id < $1
    order by audit_entries.id desc
    limit $2";

/// Writes down who did what; `None`: the operator.
macro_rules! record_audit {
    ($tx:ident, $actor:expr, $action:expr, $subject:expr, $detail:expr, $at:expr) => {{
        use tracker_core::ids::UserId;
        sqlx::query(crate::audit::RECORD)
            .bind(Option::<UserId>::from($actor).map(|actor| i64::from(actor.0)))
            .bind($action)
            .bind($subject)
            .bind($detail)
            .bind(i64::from($at.0))
            .execute(&mut *$tx)
            .await?;
    }};
}

pub(crate) use record_audit;

impl Store {
    /// What was done, newest first: those before the one of that number.
    pub async fn audit_entries(&self, before: i64, limit: u32) -> Result<Vec<AuditEntry>> {
        let rows: Vec<AuditRow> = reading!(self, |pool| {
            sqlx::query_as(LIST)
                .bind(before)
                .bind(page_limit(limit))
                .fetch_all(pool)
                .await
        })?;
        rows.into_iter().map(AuditEntry::try_from).collect()
    }
}

impl TryFrom<AuditRow> for AuditEntry {
    type Error = StoreError;

    fn try_from(row: AuditRow) -> Result<Self> {
        Ok(Self {
            id: row.id,
            actor: row.actor,
            action: row.action,
            subject: row.subject,
            detail: row.detail,
            created_at: columns::time(row.created_at, "audit_entries.created_at")?,
        })
    }
}
