//! In SQLite: [statements](Statement) of up to 64 rows. The transaction began immediate, so nobody else writes meanwhile.

use std::sync::LazyLock;

use sqlx::{Sqlite, Transaction};
use tracker_core::ids::UnixTime;

use super::{Account, Books, Entry, HourRow, Settlement};
use crate::batch::Statement;
use crate::columns::Word;
use crate::error::Result;

static TRAFFIC: LazyLock<Statement> = LazyLock::new(|| {
    Statement::new(
        "user_id, hour",
        "
    select traffic.user_id, traffic.hour, traffic.class,
        cast(sum(traffic.counted_uploaded / 4294967296) as bigint) as uploaded_high,
        cast(sum(traffic.counted_uploaded % 4294967296) as bigint) as uploaded_low,
        cast(sum(traffic.counted_downloaded / 4294967296) as bigint) as downloaded_high,
        cast(sum(traffic.counted_downloaded % 4294967296) as bigint) as downloaded_low,
        count(nullif(traffic.counted_uploaded, 0)) as uploaded_in,
        count(nullif(traffic.counted_downloaded, 0)) as downloaded_in
    from change
    cross join traffic
        on traffic.hour = change.hour
        and traffic.user_id = change.user_id
    group by traffic.user_id, traffic.hour, traffic.class",
    )
});

static ACCOUNTS: LazyLock<Statement> = LazyLock::new(|| {
    Statement::new(
        "id",
        "
    select users.id, users.credits_milli, users.seeding_paid_hour, users.unsettled_since, users.traffic_until
    from change
    cross join users on users.id = change.id",
    )
});

static SETTLEMENTS: LazyLock<Statement> = LazyLock::new(|| {
    Statement::new(
        "user_id, hour",
        "
    select settlements.user_id, settlements.hour, class, counted_uploaded, counted_downloaded, earned_milli, cost_milli,
        owed_milli, upload_milli_per_gib, download_milli_per_gib, multiplier_milli, class_upload_percent
    from change
    cross join settlements
        on settlements.user_id = change.user_id
        and settlements.hour = change.hour",
    )
});

static OWED: LazyLock<Statement> = LazyLock::new(|| {
    Statement::new(
        "user_id",
        "
    select settlements.user_id, settlements.hour, class, counted_uploaded, counted_downloaded, earned_milli, cost_milli,
        owed_milli, upload_milli_per_gib, download_milli_per_gib, multiplier_milli, class_upload_percent
    from change
    cross join settlements on settlements.user_id = change.user_id
    where settlements.owed_milli > 0",
    )
});

static PUT_SETTLEMENTS: LazyLock<Statement> = LazyLock::new(|| {
    Statement::new(
        "
        user_id, hour, class, counted_uploaded, counted_downloaded, earned_milli, cost_milli, owed_milli,
        upload_milli_per_gib, download_milli_per_gib, multiplier_milli, class_upload_percent",
        "
    insert into settlements (
        user_id, hour, class, counted_uploaded, counted_downloaded, earned_milli, cost_milli, owed_milli,
        upload_milli_per_gib, download_milli_per_gib, multiplier_milli, class_upload_percent)
    select *
    from change
    where true
    on conflict (hour, user_id, class) do update
    set counted_uploaded = excluded.counted_uploaded,
        counted_downloaded = excluded.counted_downloaded,
        earned_milli = excluded.earned_milli,
        cost_milli = excluded.cost_milli,
        owed_milli = excluded.owed_milli",
    )
});

static ADD_ENTRIES: LazyLock<Statement> = LazyLock::new(|| {
    Statement::new(
        "user_id, kind, amount_milli, balance_milli, note",
        "
    insert into credit_entries (user_id, kind, amount_milli, balance_milli, note, created_at)
    select user_id, kind, amount_milli, balance_milli, note, ?
    from change",
    )
});

static PUT_ACCOUNTS: LazyLock<Statement> = LazyLock::new(|| {
    Statement::new(
        "id, credits_milli, seeding_paid_hour, unsettled_since",
        "
    update users
    set credits_milli = change.credits_milli,
        seeding_paid_hour = change.seeding_paid_hour,
        unsettled_since = change.unsettled_since
    from change
    where users.id = +change.id",
    )
});

impl Books for Transaction<'_, Sqlite> {
    async fn prepare_to_write(&mut self) -> Result<()> {
        Ok(())
    }

    async fn accounts(&mut self, users: &[i64]) -> Result<Vec<Account>> {
        let mut accounts = Vec::with_capacity(users.len());
        for (sql, users) in ACCOUNTS.pieces(users) {
            let mut query = sqlx::query_as(sql);
            for user in users {
                query = query.bind(*user);
            }
            let rows: Vec<Account> = query.fetch_all(&mut **self).await?;
            accounts.extend(rows);
        }
        Ok(accounts)
    }

    async fn traffic(&mut self, keys: &[(i64, i64)]) -> Result<Vec<HourRow>> {
        let mut traffic = Vec::new();
        for (sql, keys) in TRAFFIC.pieces(keys) {
            let mut query = sqlx::query_as(sql);
            for (user, hour) in keys {
                query = query.bind(*user).bind(*hour);
            }
            let rows: Vec<HourRow> = query.fetch_all(&mut **self).await?;
            traffic.extend(rows);
        }
        Ok(traffic)
    }

    async fn settlements(&mut self, keys: &[(i64, i64)]) -> Result<Vec<Settlement>> {
        let mut settlements = Vec::new();
        for (sql, keys) in SETTLEMENTS.pieces(keys) {
            let mut query = sqlx::query_as(sql);
            for (user, hour) in keys {
                query = query.bind(*user).bind(*hour);
            }
            let rows: Vec<Settlement> = query.fetch_all(&mut **self).await?;
            settlements.extend(rows);
        }
        Ok(settlements)
    }

    async fn owed(&mut self, users: &[i64]) -> Result<Vec<Settlement>> {
        let mut settlements = Vec::new();
        for (sql, users) in OWED.pieces(users) {
            let mut query = sqlx::query_as(sql);
            for user in users {
                query = query.bind(*user);
            }
            let rows: Vec<Settlement> = query.fetch_all(&mut **self).await?;
            settlements.extend(rows);
        }
        Ok(settlements)
    }

    async fn put_settlements(&mut self, rows: &[Settlement]) -> Result<()> {
        for (sql, rows) in PUT_SETTLEMENTS.pieces(rows) {
            let mut query = sqlx::query(sql);
            for row in rows {
                query = query
                    .bind(row.user_id)
                    .bind(row.hour)
                    .bind(&row.class)
                    .bind(row.counted_uploaded)
                    .bind(row.counted_downloaded)
                    .bind(row.earned_milli)
                    .bind(row.cost_milli)
                    .bind(row.owed_milli)
                    .bind(row.upload_milli_per_gib)
                    .bind(row.download_milli_per_gib)
                    .bind(row.multiplier_milli)
                    .bind(row.class_upload_percent);
            }
            query.execute(&mut **self).await?;
        }
        Ok(())
    }

    async fn add_entries(&mut self, entries: &[Entry], at: UnixTime) -> Result<()> {
        for (sql, entries) in ADD_ENTRIES.pieces(entries) {
            let mut query = sqlx::query(sql);
            for entry in entries {
                query = query
                    .bind(entry.user)
                    .bind(entry.kind.word())
                    .bind(entry.amount_milli)
                    .bind(entry.balance_milli)
                    .bind(entry.note.as_str());
            }
            query.bind(i64::from(at.0)).execute(&mut **self).await?;
        }
        Ok(())
    }

    async fn put_accounts(&mut self, accounts: &[Account]) -> Result<()> {
        for (sql, accounts) in PUT_ACCOUNTS.pieces(accounts) {
            let mut query = sqlx::query(sql);
            for account in accounts {
                query = query
                    .bind(account.user)
                    .bind(account.balance_milli)
                    .bind(account.seeding_paid_hour)
                    .bind(account.unsettled_since);
            }
            query.execute(&mut **self).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use sqlx::AssertSqlSafe;

    use super::*;
    use crate::Store;
    use crate::store::Pools;

    /// As for batches: through the rows, and each finds its own.
    #[tokio::test]
    async fn each_row_finds_its_own() {
        const HOUR: &str = "SEARCH traffic USING PRIMARY KEY (hour=? AND user_id=?)";
        const USER: &str = "SEARCH users USING INTEGER PRIMARY KEY (rowid=?)";
        const SETTLEMENT: &str =
            "SEARCH settlements USING INDEX sqlite_autoindex_settlements_1 (hour=? AND user_id=?)";
        const OWED_INDEX: &str = "SEARCH settlements USING INDEX settlements_owed (user_id=?)";
        let statements: [(&Statement, &[&str]); 5] = [
            (&TRAFFIC, &[HOUR]),
            (&ACCOUNTS, &[USER]),
            (&SETTLEMENTS, &[SETTLEMENT]),
            (&OWED, &[OWED_INDEX]),
            (&PUT_ACCOUNTS, &[USER]),
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
                    .filter(|step| step.starts_with("SEARCH") || step.starts_with("SCAN"))
                    .filter(|step| !step.contains("CONSTANT ROW") && *step != "SCAN change")
                    .filter(|step| !step.ends_with("VALUES CLAUSE"))
                    .collect();
                assert_eq!(found, searches, "{sql}: {plan:#?}");
            }
        }
    }
}
