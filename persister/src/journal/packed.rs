//! A record in 63 bytes (IPv4) or 75 (IPv6), numbers little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 28 | session: user, torrent, peer id |
//! | 16 | uploaded, downloaded |
//! | 8 | left |
//! | 4 | at |
//! | 1 | flags: event in bits 0 to 2, role in 3 and 4, in the swarm 5, IPv6 6 |
//! | 6 or 18 | endpoint |

use tracker_core::accounting::Counters;
use tracker_core::ids::{PeerId, TorrentId, UnixTime, UserId};
use tracker_core::record::{Endpoint, Event, Record, Role, SessionKey};

/// Bytes of the smallest record.
pub(super) const MIN: usize = FIXED + 6;
/// Bytes of the largest.
pub(super) const MAX: usize = FIXED + 18;

/// What comes before the endpoint.
const FIXED: usize = 57;

const ROLES: [Role; 3] = [Role::Leecher, Role::Seeder, Role::Partial];
const IN_SWARM: u8 = 1 << 5;
const V6: u8 = 1 << 6;
const UNUSED: u8 = 1 << 7;

pub(super) fn pack(record: &Record, out: &mut Vec<u8>) {
    let mut bytes = [0; MAX];
    bytes[0..4].copy_from_slice(&record.session.user.0.to_le_bytes());
    bytes[4..8].copy_from_slice(&record.session.torrent.0.to_le_bytes());
    bytes[8..28].copy_from_slice(&record.session.peer_id.0);
    bytes[28..36].copy_from_slice(&record.counters.uploaded.to_le_bytes());
    bytes[36..44].copy_from_slice(&record.counters.downloaded.to_le_bytes());
    bytes[44..52].copy_from_slice(&record.left.to_le_bytes());
    bytes[52..56].copy_from_slice(&record.at.0.to_le_bytes());
    let len = match record.endpoint {
        Endpoint::V4(compact) => {
            bytes[FIXED..MIN].copy_from_slice(&compact);
            MIN
        }
        Endpoint::V6(compact) => {
            bytes[FIXED..MAX].copy_from_slice(&compact);
            MAX
        }
    };
    bytes[56] = flags(record);
    out.extend_from_slice(&bytes[..len]);
}

/// The record that `bytes` begin with, and its length.
pub(super) fn unpack(bytes: &[u8]) -> Option<(Record, usize)> {
    let fixed: &[u8; FIXED] = bytes.first_chunk()?;
    let flags = fixed[56];
    if flags & UNUSED != 0 {
        return None;
    }
    let (endpoint, len) = if flags & V6 == 0 {
        (Endpoint::V4(array(bytes.get(FIXED..MIN)?)), MIN)
    } else {
        (Endpoint::V6(array(bytes.get(FIXED..MAX)?)), MAX)
    };
    let record = Record {
        session: SessionKey {
            user: UserId(u32::from_le_bytes(array(&fixed[0..4]))),
            torrent: TorrentId(u32::from_le_bytes(array(&fixed[4..8]))),
            peer_id: PeerId(array(&fixed[8..28])),
        },
        // These two are the running process's own, and mean nothing after it.
        counters: Counters {
            uploaded: u64::from_le_bytes(array(&fixed[28..36])),
            downloaded: u64::from_le_bytes(array(&fixed[36..44])),
        },
        left: u64::from_le_bytes(array(&fixed[44..52])),
        role: *ROLES.get(usize::from(flags >> 3 & 3))?,
        in_swarm: flags & IN_SWARM != 0,
        event: *Event::ALL.get(usize::from(flags & 7))?,
        at: UnixTime(u32::from_le_bytes(array(&fixed[52..56]))),
        endpoint,
    };
    Some((record, len))
}

fn flags(record: &Record) -> u8 {
    let role = match record.role {
        Role::Leecher => 0,
        Role::Seeder => 1,
        Role::Partial => 2,
    };
    let in_swarm = if record.in_swarm { IN_SWARM } else { 0 };
    let family = match record.endpoint {
        Endpoint::V4(_) => 0,
        Endpoint::V6(_) => V6,
    };
    record.event as u8 | role << 3 | in_swarm | family
}

/// The caller's slice has the length.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(bytes);
    array
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn every_flag_comes_back() {
        for event in Event::ALL {
            for role in ROLES {
                for in_swarm in [false, true] {
                    for endpoint in [Endpoint::V4([6; 6]), Endpoint::V6([18; 18])] {
                        let record = Record {
                            session: SessionKey {
                                user: UserId(1),
                                torrent: TorrentId(u32::MAX),
                                peer_id: PeerId([3; 20]),
                            },
                            counters: Counters {
                                uploaded: u64::MAX,
                                downloaded: 5,
                            },
                            left: 6,
                            role,
                            in_swarm,
                            event,
                            at: UnixTime(7),
                            endpoint,
                        };
                        let mut bytes = Vec::new();
                        pack(&record, &mut bytes);
                        assert_eq!(unpack(&bytes), Some((record, bytes.len())));
                        assert_eq!(unpack(&bytes[..bytes.len() - 1]), None);
                    }
                }
            }
        }
    }

    #[test]
    fn flags_that_mean_nothing_are_no_record() {
        for flags in [5, 7, 3 << 3, UNUSED] {
            let mut bytes = [0; MAX];
            bytes[56] = flags;
            assert_eq!(unpack(&bytes), None, "{flags:#b}");
        }
    }
}
