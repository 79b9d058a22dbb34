//! Connection ids that nobody has to remember: an address that can show one has received it here, not long ago.
//!
//! Sixteen bits say when it was given out, the other 48 are a keyed hash (BLAKE3) of the address and that time. The key
//! is drawn at the process's start. To guess an id takes 2^47 packets on average, within two minutes.

use std::fmt;
use std::net::IpAddr;

use crate::ids::{UnixTime, UserId};

/// A client may use an id for a minute, and a tracker takes it for two (BEP 15).
const GOOD_FOR_SECS: u32 = 120;

const HASH_BITS: u32 = 48;

/// Gives connection ids out, and knows them again.
#[derive(Clone)]
pub struct ConnectionIds {
    key: [u8; blake3::KEY_LEN],
}

/// What an id is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The sender is where it says.
    Good,
    /// The sender was there, up to 18 hours ago.
    Stale,
    /// Not given out here to this address, or older than anyone can tell.
    Forged,
}

impl ConnectionIds {
    /// With a key of their own.
    pub fn new() -> Self {
        Self {
            key: rand::random(),
        }
    }

    /// For an address at this moment. An IPv4 address inside an IPv6 one counts as IPv4.
    pub fn issue(&self, ip: IpAddr, now: UnixTime) -> u64 {
        u64::from(now.0 & 0xffff) << HASH_BITS | self.hash(ip, now.0)
    }

    /// Whether it was given to this address, and when.
    pub fn check(&self, id: u64, ip: IpAddr, now: UnixTime) -> Standing {
        // The latest moment up to now that ends in its sixteen bits: an id of the future is taken for an old one, by
        // whose time its hash is wrong.
        let age_secs = now.0.wrapping_sub((id >> HASH_BITS) as u32) & 0xffff;
        let expected = self.hash(ip, now.0.wrapping_sub(age_secs));
        // One comparison of two words takes the same time wherever they differ.
        match (id ^ expected) << (u64::BITS - HASH_BITS) {
            0 if age_secs <= GOOD_FOR_SECS => Standing::Good,
            0 => Standing::Stale,
            _ => Standing::Forged,
        }
    }

    /// As whom a client without a key is in a swarm: one for each address and port, so that nobody can act in another's
    /// name, and a client that starts again takes its own place.
    pub(crate) fn nobody(&self, ip: IpAddr, port: u16) -> UserId {
        let mut text = [0; 18];
        text[..16].copy_from_slice(&octets(ip));
        text[16..].copy_from_slice(&port.to_be_bytes());
        UserId::nobody(self.keyed(&text) as u32)
    }

    fn hash(&self, ip: IpAddr, at: u32) -> u64 {
        let mut text = [0; 20];
        text[..16].copy_from_slice(&octets(ip));
        text[16..].copy_from_slice(&at.to_be_bytes());
        self.keyed(&text) >> (u64::BITS - HASH_BITS)
    }

    /// Texts of different lengths never have the same hash, so that one key is enough for both.
    fn keyed(&self, text: &[u8]) -> u64 {
        let hash = blake3::keyed_hash(&self.key, text);
        let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

impl Default for ConnectionIds {
    fn default() -> Self {
        Self::new()
    }
}

/// Without the key.
impl fmt::Debug for ConnectionIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionIds").finish_non_exhaustive()
    }
}

fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
    .octets()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn id_is_good_for_two_minutes_and_never_before() {
        let ids = ConnectionIds::new();
        // Across the border at which the sixteen bits begin anew, and the first seconds of the epoch.
        for issued in [1_800_000_000, 0x6b50_ffff, 0x6b50_0000, 5] {
            let id = ids.issue(HERE, UnixTime(issued));
            let at = |now: u32| ids.check(id, HERE, UnixTime(now));
            for (age, expected) in [
                (0, Standing::Good),
                (1, Standing::Good),
                (120, Standing::Good),
                (121, Standing::Stale),
                (0xffff, Standing::Stale),
                (0x1_0000, Standing::Forged),
                (0x1_0001, Standing::Forged),
                (0x2_0000, Standing::Forged),
            ] {
                assert_eq!(at(issued + age), expected, "{issued} + {age}");
            }
            for early in 1..=5 {
                assert_eq!(at(issued - early), Standing::Forged, "{issued} - {early}");
            }
        }
    }

    #[test]
    fn id_of_another_address_or_process_is_forged() {
        let (ids, now) = (ConnectionIds::new(), UnixTime(1_800_000_000));
        let id = ids.issue(HERE, now);
        assert_eq!(ids.check(id, THERE, now), Standing::Forged);
        assert_eq!(ConnectionIds::new().check(id, HERE, now), Standing::Forged);
        let mapped = IpAddr::V6(Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped());
        assert_eq!(ids.check(id, mapped, now), Standing::Good);
        let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
        assert_eq!(ids.check(ids.issue(v6, now), v6, now), Standing::Good);
    }

    #[test]
    fn nobody_is_a_place_and_no_member() {
        let ids = ConnectionIds::new();
        assert_eq!(ids.nobody(HERE, 1), ids.nobody(HERE, 1));
        assert_ne!(ids.nobody(HERE, 1), ids.nobody(HERE, 2));
        assert_ne!(ids.nobody(HERE, 1), ids.nobody(THERE, 1));
        assert!(!ids.nobody(HERE, 1).is_member());
    }

    proptest! {
        #[test]
        fn every_flipped_bit_is_forged(issued in any::<u32>(), bit in 0..64u32, age in 0..200u32) {
            let ids = ConnectionIds::new();
            let id = ids.issue(HERE, UnixTime(issued)) ^ (1 << bit);
            let now = UnixTime(issued.saturating_add(age));
            prop_assert_eq!(ids.check(id, HERE, now), Standing::Forged);
        }
    }
}
