//! In Postgres: one statement a table, its rows as arrays.

use sqlx::{Postgres, Transaction};
use tracker_core::ids::UnixTime;

use super::{Account, Books, Entry, HourRow, Settlement};
use crate::batch::FIND_ROWS_BY_KEY;
use crate::columns::Word;
use crate::error::Result;

const TRAFFIC: &str = "
    select traffic.user_id, traffic.hour, traffic.class,
        cast(sum(traffic.counted_uploaded / 4294967296) as bigint) as uploaded_high,
        cast(sum(traffic.counted_uploaded % 4294967296) as bigint) as uploaded_low,
        cast(sum(traffic.counted_downloaded / 4294967296) as bigint) as downloaded_high,
        cast(sum(traffic.counted_downloaded % 4294967296) as bigint) as downloaded_low,
        count(nullif(traffic.counted_uploaded, 0)) as uploaded_in,
        count(nullif(traffic.counted_downloaded, 0)) as downloaded_in
    from (
        select
            unnest($1::bigint[]) as user_id,
            unnest($2::bigint[]) as hour
    ) as asked
    join traffic
        on traffic.hour = asked.hour
        and traffic.user_id = asked.user_id
    group by traffic.user_id, traffic.hour, traffic.class";

const ACCOUNTS: &str = "
    select id, credits_milli, seeding_paid_hour, unsettled_since, traffic_until
    from users
    where id = any($1)
    order by id
    for no key update";

const SETTLEMENTS: &str = "
    select settlements.user_id, settlements.hour, class, counted_uploaded, counted_downloaded, earned_milli, cost_milli,
        owed_milli, upload_milli_per_gib, download_milli_per_gib, multiplier_milli, class_upload_percent
    from (
        select
            unnest($1::bigint[]) as user_id,
            unnest($2::bigint[]) as hour
    ) as asked
    join settlements
        on settlements.user_id = asked.user_id
        and settlements.hour = asked.hour";

const OWED: &str = "
    select user_id, hour, class, counted_uploaded, counted_downloaded, earned_milli, cost_milli, owed_milli,
        upload_milli_per_gib, download_milli_per_gib, multiplier_milli, class_upload_percent
    from settlements
    where owed_milli > 0
        and user_id = any($1)";

const PUT_SETTLEMENTS: &str = "
    insert into settlements (
        user_id, hour, class, counted_uploaded, counted_downloaded, earned_milli, cost_milli, owed_milli,
        upload_milli_per_gib, download_milli_per_gib, multiplier_milli, class_upload_percent)
    select
        unnest($1::bigint[]),
        unnest($2::bigint[]),
        unnest($3::text[]),
        unnest($4::bigint[]),
        unnest($5::bigint[]),
        unnest($6::bigint[]),
        unnest($7::bigint[]),
        unnest($8::bigint[]),
        unnest($9::bigint[]),
        unnest($10::bigint[]),
        unnest($11::bigint[]),
        unnest($12::bigint[])
    on conflict (hour, user_id, class) do update
    set counted_uploaded = excluded.counted_uploaded,
        counted_downloaded = excluded.counted_downloaded,
        earned_milli = excluded.earned_milli,
        cost_milli = excluded.cost_milli,
        owed_milli = excluded.owed_milli";

const ADD_ENTRIES: &str = "
    insert into credit_entries (user_id, kind, amount_milli, balance_milli, note, created_at)
    select
        unnest($1::bigint[]),
        unnest($2::text[]),
        unnest($3::bigint[]),
        unnest($4::bigint[]),
        unnest($5::text[]),
        $6";

const PUT_ACCOUNTS: &str = "
    update users
    set credits_milli = account.credits_milli,
        seeding_paid_hour = account.seeding_paid_hour,
        unsettled_since = account.unsettled_since
    from (
        select
            unnest($1::bigint[]) as id,
            unnest($2::bigint[]) as credits_milli,
            unnest($3::bigint[]) as seeding_paid_hour,
            unnest($4::bigint[]) as unsettled_since
    ) as account
    where users.id = account.id";

impl Books for Transaction<'_, Postgres> {
    async fn prepare_to_write(&mut self) -> Result<()> {
        sqlx::query(FIND_ROWS_BY_KEY).execute(&mut **self).await?;
        Ok(())
    }

    async fn accounts(&mut self, users: &[i64]) -> Result<Vec<Account>> {
        let rows = sqlx::query_as(ACCOUNTS).bind(users);
        Ok(rows.fetch_all(&mut **self).await?)
    }

    async fn traffic(&mut self, keys: &[(i64, i64)]) -> Result<Vec<HourRow>> {
        let rows = sqlx::query_as(TRAFFIC)
            .bind(column(keys, |&(user, _)| user))
            .bind(column(keys, |&(_, hour)| hour));
        Ok(rows.fetch_all(&mut **self).await?)
    }

    async fn settlements(&mut self, keys: &[(i64, i64)]) -> Result<Vec<Settlement>> {
        let rows = sqlx::query_as(SETTLEMENTS)
            .bind(column(keys, |&(user, _)| user))
            .bind(column(keys, |&(_, hour)| hour));
        Ok(rows.fetch_all(&mut **self).await?)
    }

    async fn owed(&mut self, users: &[i64]) -> Result<Vec<Settlement>> {
        let rows = sqlx::query_as(OWED).bind(users);
        Ok(rows.fetch_all(&mut **self).await?)
    }

    async fn put_settlements(&mut self, rows: &[Settlement]) -> Result<()> {
        sqlx::query(PUT_SETTLEMENTS)
            .bind(column(rows, |row| row.user_id))
            .bind(column(rows, |row| row.hour))
            .bind(column(rows, |row| row.class.as_str()))
            .bind(column(rows, |row| row.counted_uploaded))
            .bind(column(rows, |row| row.counted_downloaded))
            .bind(column(rows, |row| row.earned_milli))
            .bind(column(rows, |row| row.cost_milli))
            .bind(column(rows, |row| row.owed_milli))
            .bind(column(rows, |row| row.upload_milli_per_gib))
            .bind(column(rows, |row| row.download_milli_per_gib))
            .bind(column(rows, |row| row.multiplier_milli))
            .bind(column(rows, |row| row.class_upload_percent))
            .execute(&mut **self)
            .await?;
        Ok(())
    }

    async fn add_entries(&mut self, entries: &[Entry], at: UnixTime) -> Result<()> {
        sqlx::query(ADD_ENTRIES)
            .bind(column(entries, |entry| entry.user))
            .bind(column(entries, |entry| entry.kind.word()))
            .bind(column(entries, |entry| entry.amount_milli))
            .bind(column(entries, |entry| entry.balance_milli))
            .bind(column(entries, |entry| entry.note.as_str()))
            .bind(i64::from(at.0))
            .execute(&mut **self)
            .await?;
        Ok(())
    }

    async fn put_accounts(&mut self, accounts: &[Account]) -> Result<()> {
        sqlx::query(PUT_ACCOUNTS)
            .bind(column(accounts, |account| account.user))
            .bind(column(accounts, |account| account.balance_milli))
            .bind(column(accounts, |account| account.seeding_paid_hour))
            .bind(column(accounts, |account| account.unsettled_since))
            .execute(&mut **self)
            .await?;
        Ok(())
    }
}

/// One column of many rows.
fn column<'r, R, T>(rows: &'r [R], value: impl Fn(&'r R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}
