//! In Postgres: one statement a table, its rows as arrays.

use sqlx::{Postgres, Transaction};
use tracker_core::ids::UnixTime;

use super::{Account, AccountRow, Books, Entry, News, Settlement};
use crate::batch::FIND_ROWS_BY_KEY;
use crate::columns::Word;
use crate::error::Result;

const NEWS: &str = "
    select user_id, torrent_id, hour, counted_uploaded - settled_uploaded as uploaded,
        counted_downloaded - settled_downloaded as downloaded
    from traffic
    where is_news
        and hour < $1
        and user_id = any($2)
    order by user_id, torrent_id, hour
    for no key update";

const ACCOUNTS: &str = "
    select id, class, credits_milli, seeding_paid_hour
    from users
    where id = any($1)
    order by id
    for no key update";

const SETTLEMENTS: &str = "
    select settlements.user_id, settlements.hour, counted_uploaded, counted_downloaded, earned_milli, cost_milli,
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
    select user_id, hour, counted_uploaded, counted_downloaded, earned_milli, cost_milli, owed_milli,
        upload_milli_per_gib, download_milli_per_gib, multiplier_milli, class_upload_percent
    from settlements
    where owed_milli > 0
        and user_id = any($1)";

const MARK_SETTLED: &str = "
    update traffic
    set is_news = false, settled_uploaded = traffic.counted_uploaded, settled_downloaded = traffic.counted_downloaded
    from (
        select
            unnest($1::bigint[]) as user_id,
            unnest($2::bigint[]) as torrent_id,
            unnest($3::bigint[]) as hour
    ) as news
    where traffic.user_id = news.user_id
        and traffic.torrent_id = news.torrent_id
        and traffic.hour = news.hour";

const PUT_SETTLEMENTS: &str = "
    insert into settlements (
        user_id, hour, counted_uploaded, counted_downloaded, earned_milli, cost_milli, owed_milli, upload_milli_per_gib,
        download_milli_per_gib, multiplier_milli, class_upload_percent)
    select
        unnest($1::bigint[]),
        unnest($2::bigint[]),
        unnest($3::bigint[]),
        unnest($4::bigint[]),
        unnest($5::bigint[]),
        unnest($6::bigint[]),
        unnest($7::bigint[]),
        unnest($8::bigint[]),
        unnest($9::bigint[]),
        unnest($10::bigint[]),
        unnest($11::bigint[])
    on conflict (user_id, hour) do update
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
    set credits_milli = account.credits_milli, seeding_paid_hour = account.seeding_paid_hour
    from (
        select
            unnest($1::bigint[]) as id,
            unnest($2::bigint[]) as credits_milli,
            unnest($3::bigint[]) as seeding_paid_hour
    ) as account
    where users.id = account.id";

impl Books for Transaction<'_, Postgres> {
    async fn prepare_to_write(&mut self) -> Result<()> {
        sqlx::query(FIND_ROWS_BY_KEY).execute(&mut **self).await?;
        Ok(())
    }

    async fn news(&mut self, users: &[i64], before_hour: i64) -> Result<Vec<News>> {
        let rows = sqlx::query_as(NEWS).bind(before_hour).bind(users);
        Ok(rows.fetch_all(&mut **self).await?)
    }

    async fn accounts(&mut self, users: &[i64]) -> Result<Vec<Account>> {
        let rows: Vec<AccountRow> = sqlx::query_as(ACCOUNTS)
            .bind(users)
            .fetch_all(&mut **self)
            .await?;
        rows.into_iter().map(Account::try_from).collect()
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

    async fn mark_settled(&mut self, news: &[News]) -> Result<()> {
        sqlx::query(MARK_SETTLED)
            .bind(column(news, |row| row.user_id))
            .bind(column(news, |row| row.torrent_id))
            .bind(column(news, |row| row.hour))
            .execute(&mut **self)
            .await?;
        Ok(())
    }

    async fn put_settlements(&mut self, rows: &[Settlement]) -> Result<()> {
        sqlx::query(PUT_SETTLEMENTS)
            .bind(column(rows, |row| row.user_id))
            .bind(column(rows, |row| row.hour))
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
            .execute(&mut **self)
            .await?;
        Ok(())
    }
}

/// One column of many rows.
fn column<'r, R, T>(rows: &'r [R], value: impl Fn(&'r R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}
