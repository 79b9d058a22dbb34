//! Figures that lists sort by, counted from the sessions now and then instead of with every announce.

use crate::Store;
use crate::error::Result;
use crate::store::in_transaction;

/// Those with peers, and those whose last peer has gone: as one sum, as databases that have no statistics yet look up whom
/// nobody counts by reading the sessions once for each. Only rows that change are written.
const COUNT_PEERS: &str = "
    update torrents
    set seeders = counted.seeders, leechers = counted.leechers
    from (
        select torrent_id, sum(seeder) as seeders, sum(leecher) as leechers
        from (
            select torrent_id,
                case when role = 'seeder' then 1 else 0 end as seeder,
                case when role = 'seeder' then 0 else 1 end as leecher
            from sessions
            where active
            union all
            select id, 0, 0
            from torrents
            where seeders <> 0 or leechers <> 0) as known
        group by torrent_id) as counted
    where counted.torrent_id = torrents.id
        and (torrents.seeders <> counted.seeders or torrents.leechers <> counted.leechers)";

impl Store {
    /// Brings each torrent's seeders and leechers up to date. Returns how many had changed. Done twice, or by two
    /// processes, it does no harm.
    pub async fn count_peers(&self) -> Result<u64> {
        in_transaction!(self, |tx| {
            let counted = sqlx::query(COUNT_PEERS).execute(&mut *tx).await?;
            counted.rows_affected()
        })
    }
}
