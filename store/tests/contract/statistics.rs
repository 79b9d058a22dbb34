//! Figures that are counted now and then.

use tracker_core::ids::{TorrentId, UnixTime, UserId};
use tracker_core::record::Role;

use crate::catalogue::ALL;
use crate::harness::{Database, NOW, key};

on_both_databases!(
    a_member_counts_for_as_many_clients_as_may_be_in_a_swarm,
    who_has_left_or_is_silent_does_not_count,
);

impl Database {
    async fn peers(
        &self,
        user: UserId,
        torrent: TorrentId,
        clients: std::ops::Range<u8>,
        role: Role,
    ) {
        for peer in clients {
            self.seed(key(user, torrent, peer), role, true, NOW).await;
        }
    }

    /// Each torrent's seeders and leechers, after they were counted; and how many had changed.
    async fn counted(&self, most: u32) -> (u64, Vec<(u64, u64)>) {
        let changed = self.store.count_peers(most).await.unwrap();
        let listed = self.store.list_torrents(&ALL).await.unwrap();
        let mut listed: Vec<_> = listed
            .iter()
            .map(|row| (row.id, (row.seeders, row.leechers)))
            .collect();
        listed.sort_by_key(|(id, _)| id.0);
        (
            changed,
            listed.into_iter().map(|(_, peers)| peers).collect(),
        )
    }
}

async fn a_member_counts_for_as_many_clients_as_may_be_in_a_swarm(db: Database) {
    let (ann, bob) = (db.user("ann").await, db.user("bob").await);
    let (one, other) = (db.torrent(1).await, db.torrent(2).await);
    db.peers(ann, one, 0..2, Role::Seeder).await;
    assert_eq!(db.counted(3).await, (1, vec![(2, 0), (0, 0)]));
    db.peers(ann, one, 2..3, Role::Seeder).await;
    assert_eq!(db.counted(3).await, (1, vec![(3, 0), (0, 0)]));
    for more in [3..4, 4..9] {
        db.peers(ann, one, more, Role::Seeder).await;
        assert_eq!(db.counted(3).await, (0, vec![(3, 0), (0, 0)]));
    }
    // Others, and other torrents, count for themselves; so do those who lack something, partial seeds among them.
    db.peers(bob, one, 0..1, Role::Seeder).await;
    db.peers(bob, one, 1..3, Role::Leecher).await;
    db.peers(bob, one, 3..5, Role::Partial).await;
    db.peers(ann, other, 0..4, Role::Leecher).await;
    assert_eq!(db.counted(3).await, (2, vec![(4, 3), (0, 3)]));
    assert_eq!(db.counted(1).await, (2, vec![(2, 1), (0, 1)]));
    assert_eq!(db.counted(100).await, (2, vec![(10, 4), (0, 4)]));
}

async fn who_has_left_or_is_silent_does_not_count(db: Database) {
    let ann = db.user("ann").await;
    let torrent = db.torrent(1).await;
    db.peers(ann, torrent, 0..3, Role::Seeder).await;
    db.seed(
        key(ann, torrent, 3),
        Role::Seeder,
        true,
        UnixTime(NOW.0 + 1),
    )
    .await;
    db.seed(
        key(ann, torrent, 0),
        Role::Seeder,
        false,
        UnixTime(NOW.0 + 1),
    )
    .await;
    assert_eq!(db.counted(9).await.1, [(3, 0)]);
    // What a tracker says once they are silent for too long.
    db.store.retire_sessions(UnixTime(NOW.0 + 1)).await.unwrap();
    assert_eq!(db.counted(9).await.1, [(1, 0)]);
}
