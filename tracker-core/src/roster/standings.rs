//! How each member stands, by row number: one byte a member, read by every announce without a lock and without hashing.

use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};

use crate::ids::UserId;
use crate::pages::Pages;
use crate::registry::{LeechRights, MemberStatus, UserClass};

/// Whether a member may announce, and what they have earned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) status: MemberStatus,
    pub(super) class: UserClass,
    pub(super) leech: LeechRights,
}

#[derive(Debug, Default)]
pub(super) struct Standings {
    bytes: Pages<AtomicU8>,
}

/// Nobody.
const ABSENT: u8 = 0;
/// A member, whose class stands in the two lowest bits.
const PRESENT: u8 = 0b1000;
const DISABLED: u8 = 0b0100;
const WARNED: u8 = 0b1_0000;
const SUSPENDED: u8 = 0b10_0000;

impl Standings {
    pub(super) fn get(&self, user: UserId) -> Option<Standing> {
        let byte = self.bytes.get(user)?.load(Relaxed);
        (byte != ABSENT).then(|| Standing {
            status: match byte & DISABLED {
                0 => MemberStatus::Active,
                _ => MemberStatus::Disabled,
            },
            class: UserClass::ALL[usize::from(byte & 0b11)],
            leech: match byte & (WARNED | SUSPENDED) {
                0 => LeechRights::Free,
                WARNED => LeechRights::Warned,
                _ => LeechRights::Suspended,
            },
        })
    }

    /// Whether somebody else is there instead of nobody.
    pub(super) fn put(&self, user: UserId, standing: Standing) -> bool {
        let disabled = match standing.status {
            MemberStatus::Active => 0,
            MemberStatus::Disabled => DISABLED,
        };
        let leech = match standing.leech {
            LeechRights::Free => 0,
            LeechRights::Warned => WARNED,
            LeechRights::Suspended => SUSPENDED,
        };
        self.set(user, PRESENT | disabled | leech | standing.class as u8) == ABSENT
    }

    /// Whether somebody was there.
    pub(super) fn remove(&self, user: UserId) -> bool {
        self.bytes.get(user).is_some() && self.set(user, ABSENT) != ABSENT
    }

    fn set(&self, user: UserId, byte: u8) -> u8 {
        self.bytes.get_or_make(user).swap(byte, AcqRel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::PAGE;

    #[test]
    fn everyone_stands_as_they_were_put() {
        let standings = Standings::default();
        let ids = [0, 1, PAGE as u32 - 1, PAGE as u32, u32::MAX];
        for id in ids {
            assert_eq!(standings.get(UserId(id)), None);
        }
        for (n, id) in ids.into_iter().enumerate() {
            let standing = Standing {
                status: [MemberStatus::Active, MemberStatus::Disabled][n % 2],
                class: UserClass::ALL[n % 4],
                leech: [
                    LeechRights::Free,
                    LeechRights::Warned,
                    LeechRights::Suspended,
                ][n % 3],
            };
            assert!(standings.put(UserId(id), standing));
            assert!(!standings.put(UserId(id), standing));
            assert_eq!(standings.get(UserId(id)), Some(standing));
        }
        for id in ids {
            assert!(standings.remove(UserId(id)));
            assert!(!standings.remove(UserId(id)));
            assert_eq!(standings.get(UserId(id)), None);
        }
    }
}
