//! What admins set while the program runs: keys of the configuration, each over what the operator wrote.

use sqlx::FromRow;
use tracker_core::ids::{UnixTime, UserId};

use crate::Store;
use crate::audit::record_audit;
use crate::changes::{Changed, changing, record_change};
use crate::columns;
use crate::error::{Result, StoreError};
use crate::store::reading;

/// A key that an admin has set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// As in `tracker.numwant_max`.
    pub name: String,
    /// As JSON.
    pub value: String,
    /// By whom.
    pub changed_by: String,
    /// When.
    pub changed_at: UnixTime,
}

const LIST: &str = "
    select settings.name, settings.value, users.username as changed_by, settings.changed_at
    from settings
    join users on users.id = settings.changed_by
    order by settings.name";

const SET: &str = "
    insert into settings (name, value, changed_by, changed_at)
    values ($1, $2, $3, $4)
    on conflict (name) do update
    set value = excluded.value, changed_by = excluded.changed_by, changed_at = excluded.changed_at";

const UNSET: &str = "
    delete from settings
    where name = $1";

#[derive(FromRow)]
struct SettingRow {
    name: String,
    value: String,
    changed_by: String,
    changed_at: i64,
}

impl Store {
    /// What is set, by name.
    pub async fn settings(&self) -> Result<Vec<Setting>> {
        let rows: Vec<SettingRow> =
            reading!(self, |pool| sqlx::query_as(LIST).fetch_all(pool).await)?;
        rows.into_iter().map(Setting::try_from).collect()
    }

    /// Sets keys, and with `None` takes them back. `before` is what the caller has judged them beside: if another admin was
    /// faster, nothing is changed, and the answer is `false`.
    pub async fn change_settings(
        &self,
        before: &[Setting],
        changes: &[(String, Option<String>)],
        by: UserId,
        at: UnixTime,
    ) -> Result<bool> {
        changing!(self, |tx, number| {
            let rows: Vec<SettingRow> = sqlx::query_as(LIST).fetch_all(&mut *tx).await?;
            let now: Result<Vec<Setting>> = rows.into_iter().map(Setting::try_from).collect();
            if now? != before {
                return Ok(false);
            }
            for (name, value) in changes {
                match value {
                    Some(value) => {
                        sqlx::query(SET)
                            .bind(name)
                            .bind(value)
                            .bind(i64::from(by.0))
                            .bind(i64::from(at.0))
                            .execute(&mut *tx)
                            .await?;
                    }
                    None => {
                        sqlx::query(UNSET).bind(name).execute(&mut *tx).await?;
                    }
                }
                let detail = value.as_deref().unwrap_or("as configured");
                record_audit!(tx, by, "setting.change", name, detail, at);
            }
            record_change!(tx, number, Changed::Settings, at);
            true
        })
    }
}

impl TryFrom<SettingRow> for Setting {
    type Error = StoreError;

    fn try_from(row: SettingRow) -> Result<Self> {
        Ok(Self {
            name: row.name,
            value: row.value,
            changed_by: row.changed_by,
            changed_at: columns::time(row.changed_at, "settings.changed_at")?,
        })
    }
}
