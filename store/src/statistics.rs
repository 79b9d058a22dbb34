//! Figures that lists sort by, counted from the sessions now and then instead of with every announce.

use crate::Store;
use crate::error::Result;
use crate::store::in_transaction;

/// Those with peers. Only rows that change are written.
const COUNT_PEERS: &str = "
    update torrents
    set seeders = counted.seeders, leechers = counted.leechers
    from (
        select torrent_id,
            count(*) filter (where role = 'seeder') as seeders,
            count(*) filter (where role <> 'seeder') as leechers
        from sessions
        where active
        group by torrent_id) as counted
    where counted.torrent_id = torrents.id
        and (torrents.seeders <> counted.seeders or torrents.leechers <> counted.leechers)";

/// Those whose last peer has gone.
const COUNT_NONE: &str = "
    update torrents
    set seeders = 0, leechers = 0
    where (seeders <> 0 or leechers <> 0)
        and not exists (
            select 1
            from (select distinct torrent_id from sessions where active) as busy
            where busy.torrent_id = torrents.id)";

impl Store {
    /// Brings each torrent's seeders and leechers up to date. Returns how many had changed. Done twice, or by two
    /// processes, it does no harm.
    pub async fn count_peers(&self) -> Result<u64> {
        in_transaction!(self, |tx| {
            let some = sqlx::query(COUNT_PEERS).execute(&mut *tx).await?;
            let none = sqlx::query(COUNT_NONE).execute(&mut *tx).await?;
            some.rows_affected() + none.rows_affected()
        })
    }
}
