//! Figures that lists sort by, counted from the sessions now and then instead of with every announce.

use crate::Store;
use crate::error::Result;
use crate::store::in_transaction;

/// Those with peers, and those whose last peer has gone: as one sum, as databases that have no statistics yet look up whom
/// nobody counts by reading the sessions once for each. Only rows that change are written. A member counts for as many
/// clients as may be in a swarm: the rows of those that had to make room stay until they are silent.
const COUNT_PEERS: &str = "
    update torrents
    set seeders = counted.seeders, leechers = counted.leechers
    from (
        select torrent_id,
            sum(case when seeders > $1 then $1 else seeders end) as seeders,
            sum(case when leechers > $1 then $1 else leechers end) as leechers
        from (
            select torrent_id, user_id,
                count(case when role = 'seeder' then 1 end) as seeders,
                count(case when role <> 'seeder' then 1 end) as leechers
            from sessions
            where active
            group by torrent_id, user_id
            union all
            select id, 0, 0, 0
            from torrents
            where seeders <> 0 or leechers <> 0) as known
        group by torrent_id) as counted
    where counted.torrent_id = torrents.id
        and (torrents.seeders <> counted.seeders or torrents.leechers <> counted.leechers)";

impl Store {
    /// Brings each torrent's seeders and leechers up to date, for which a member counts as so many of each at most.
    /// Returns how many had changed. Done twice, or by two processes, it does no harm.
    pub async fn count_peers(&self, most_of_a_member: u32) -> Result<u64> {
        in_transaction!(self, |tx| {
            let counted = sqlx::query(COUNT_PEERS)
                .bind(i64::from(most_of_a_member))
                .execute(&mut *tx)
                .await?;
            counted.rows_affected()
        })
    }
}
