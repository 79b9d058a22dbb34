//! What must be on the accounts, by what the clients know, and what is, by the database.

use std::collections::BTreeMap;

use crate::client::Client;
use crate::site::Site;

/// Bytes and snatches, each number under the name that a failed test prints. What is 0 isn't here.
pub(crate) struct Accounts(BTreeMap<String, i64>);

const STORED: &str = "
    select 'user ' || id || ' uploaded', uploaded from users
    union all
    select 'user ' || id || ' downloaded', downloaded from users
    union all
    select 'torrent ' || id || ' uploaded', uploaded from torrents
    union all
    select 'torrent ' || id || ' downloaded', downloaded from torrents
    union all
    select 'torrent ' || id || ' completed', completed from torrents
    union all
    select 'sessions of user ' || user_id || ' in torrent ' || torrent_id || ' uploaded',
        cast(sum(credited_uploaded) as bigint)
    from sessions
    group by user_id, torrent_id
    union all
    select 'sessions of user ' || user_id || ' in torrent ' || torrent_id || ' downloaded',
        cast(sum(credited_downloaded) as bigint)
    from sessions
    group by user_id, torrent_id
    union all
    select 'snatches by user ' || user_id || ' of torrent ' || torrent_id, count(*)
    from snatches
    group by user_id, torrent_id";

/// Differences that a failed test prints.
const SHOWN: usize = 12;

impl Accounts {
    /// All that these clients have moved, and what they have finished.
    pub(crate) fn of(clients: &[Client]) -> Self {
        let mut accounts = BTreeMap::<String, i64>::new();
        for client in clients {
            let (user, torrent, moved) = (client.user, client.torrent, client.moved());
            for owner in [
                format!("user {user}"),
                format!("torrent {torrent}"),
                format!("sessions of user {user} in torrent {torrent}"),
            ] {
                *accounts.entry(format!("{owner} uploaded")).or_default() += moved.uploaded as i64;
                *accounts.entry(format!("{owner} downloaded")).or_default() +=
                    moved.downloaded as i64;
            }
            let snatches = format!("snatches by user {user} of torrent {torrent}");
            if client.has_completed && accounts.insert(snatches, 1).is_none() {
                let completed = format!("torrent {torrent} completed");
                *accounts.entry(completed).or_default() += 1;
            }
        }
        accounts.retain(|_, number| *number != 0);
        Self(accounts)
    }

    /// To the byte.
    pub(crate) fn assert_stored_in(&self, site: &Site) {
        let mut stored: BTreeMap<_, _> = site.rows::<(String, i64)>(STORED).into_iter().collect();
        stored.retain(|_, number| *number != 0);
        let number = |accounts: &BTreeMap<_, _>, name| accounts.get(name).copied().unwrap_or(0);
        let mut differences: Vec<String> = Vec::new();
        for name in self.0.keys().chain(stored.keys()) {
            let (is, should) = (number(&stored, name), number(&self.0, name));
            let line = format!("{name}: {is} instead of {should} ({:+})", is - should);
            if is != should && !differences.contains(&line) {
                differences.push(line);
            }
        }
        assert!(
            differences.is_empty(),
            "{} of {} numbers are wrong:\n{}",
            differences.len(),
            self.0.len(),
            differences[..differences.len().min(SHOWN)].join("\n")
        );
    }
}
