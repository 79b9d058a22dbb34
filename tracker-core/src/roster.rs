//! Who may announce: members, their passkeys, and the tokens that were taken back.
//!
//! Reads are from every announce, writes from the follower of `changes` alone.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use dashmap::DashMap;
use parking_lot::Mutex;

use crate::ids::{TokenId, TorrentId, UnixTime, UserId};
use crate::key::{Key, TokenKey};
use crate::refusal::Refusal;
use crate::registry::{LeechRights, Member, MemberStatus, RevokedToken, UserClass};

mod standings;

use standings::{Standing, Standings};

/// A key that opens something: whose announces, and of which torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Whose.
    pub user: UserId,
    /// What they have earned.
    pub class: UserClass,
    /// Whether they may download.
    pub leech: LeechRights,
    /// The only torrent, if the token is bound to one.
    pub torrent: Option<TorrentId>,
}

/// Members and keys, in memory.
#[derive(Debug)]
pub struct Roster {
    token_key: TokenKey,
    standings: Standings,
    members: AtomicUsize,
    passkeys: DashMap<[u8; 16], UserId, foldhash::quality::RandomState>,
    /// By member, to forget the one before. Announces don't come here.
    passkey_of: Mutex<HashMap<UserId, [u8; 16]>>,
    revoked: DashMap<TokenId, Option<UnixTime>, foldhash::fast::RandomState>,
}

impl Roster {
    /// Nobody yet.
    pub fn new(token_key: TokenKey) -> Self {
        Self {
            token_key,
            standings: Standings::default(),
            members: AtomicUsize::new(0),
            passkeys: DashMap::default(),
            passkey_of: Mutex::default(),
            revoked: DashMap::default(),
        }
    }

    /// What the key in an announce URL opens at this moment.
    pub fn grant(&self, key: &[u8], now: UnixTime) -> Result<Grant, Refusal> {
        let (user, torrent) = match self.token_key.read(key)? {
            Key::Passkey(passkey) => {
                let user = self.passkeys.get(&passkey).ok_or(Refusal::UnknownKey)?;
                (*user, None)
            }
            Key::Token(token) => {
                if token.expires_at.is_some_and(|at| at <= now) {
                    return Err(Refusal::ExpiredKey);
                }
                if self.revoked.contains_key(&token.id) {
                    return Err(Refusal::RevokedKey);
                }
                (token.user, token.torrent)
            }
        };
        let member = self.standings.get(user).ok_or(Refusal::UnknownKey)?;
        match member.status {
            MemberStatus::Disabled => Err(Refusal::AccountDisabled),
            MemberStatus::Active => Ok(Grant {
                user,
                class: member.class,
                leech: member.leech,
                torrent,
            }),
        }
    }

    /// Whether a member may be in a swarm. Who came without a key may stay until it falls silent.
    pub fn is_active(&self, user: UserId) -> bool {
        let standing = self.standings.get(user);
        !user.is_member()
            || standing.is_some_and(|standing| standing.status == MemberStatus::Active)
    }

    /// Takes a member's present state in place of whatever was known.
    pub fn put_member(&self, member: Member) {
        let Member {
            id,
            status,
            class,
            leech,
            passkey,
        } = member;
        // The new passkey first: at no moment is a member without one of the two.
        let mut passkey_of = self.passkey_of.lock();
        if let Some(passkey) = passkey {
            self.passkeys.insert(passkey, id);
        }
        if self.standings.put(
            id,
            Standing {
                status,
                class,
                leech,
            },
        ) {
            self.members.fetch_add(1, Relaxed);
        }
        let before = match passkey {
            Some(passkey) => passkey_of.insert(id, passkey),
            None => passkey_of.remove(&id),
        };
        if before != passkey {
            self.forget_passkey(before, id);
        }
    }

    /// The member is gone from the database.
    pub fn remove_member(&self, id: UserId) {
        let mut passkey_of = self.passkey_of.lock();
        if self.standings.remove(id) {
            self.members.fetch_sub(1, Relaxed);
        }
        self.forget_passkey(passkey_of.remove(&id), id);
    }

    /// From now on the token opens nothing.
    pub fn revoke(&self, token: RevokedToken) {
        self.revoked.insert(token.id, token.expires_at);
    }

    /// Forgets revocations of tokens that have expired since.
    pub fn sweep(&self, now: UnixTime) {
        self.revoked
            .retain(|_, expires_at| expires_at.is_none_or(|at| at > now));
    }

    /// How many members are known.
    pub fn len(&self) -> usize {
        self.members.load(Relaxed)
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn forget_passkey(&self, passkey: Option<[u8; 16]>, owner: UserId) {
        if let Some(passkey) = passkey {
            self.passkeys.remove_if(&passkey, |_, user| *user == owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Token;

    const NOW: UnixTime = UnixTime(1000);
    const USER: UserId = UserId(2);

    fn member() -> Member {
        Member {
            id: USER,
            status: MemberStatus::Active,
            class: UserClass::Newbie,
            leech: LeechRights::Free,
            passkey: Some([0x11; 16]),
        }
    }

    fn roster() -> Roster {
        let roster = Roster::new(TokenKey::from_bytes([7; 32]));
        roster.put_member(member());
        roster
    }

    fn token(expires_at: Option<u32>) -> String {
        TokenKey::from_bytes([7; 32]).sign(&Token {
            id: TokenId(9),
            user: USER,
            torrent: None,
            expires_at: expires_at.map(UnixTime),
        })
    }

    fn ask(roster: &Roster, key: &str) -> Result<UserId, Refusal> {
        roster.grant(key.as_bytes(), NOW).map(|grant| grant.user)
    }

    #[test]
    fn token_opens_until_its_last_second() {
        assert_eq!(ask(&roster(), &token(None)), Ok(USER));
        assert_eq!(ask(&roster(), &token(Some(1001))), Ok(USER));
        assert_eq!(ask(&roster(), &token(Some(1000))), Err(Refusal::ExpiredKey));
    }

    #[test]
    fn revoked_token_stays_revoked_until_it_has_expired() {
        let roster = roster();
        let expires_at = Some(UnixTime(1001));
        roster.revoke(RevokedToken {
            id: TokenId(9),
            expires_at,
        });
        roster.sweep(NOW);
        assert_eq!(ask(&roster, &token(Some(1001))), Err(Refusal::RevokedKey));
        roster.sweep(UnixTime(1001));
        assert!(roster.revoked.is_empty());
    }

    #[test]
    fn changed_passkey_replaces_the_old_one() {
        let roster = roster();
        roster.put_member(Member {
            passkey: Some([0x22; 16]),
            ..member()
        });
        assert_eq!(ask(&roster, &"11".repeat(16)), Err(Refusal::UnknownKey));
        assert_eq!(ask(&roster, &"22".repeat(16)), Ok(USER));
        // A passkey handed on to another member isn't lost when its first owner's row is applied again.
        roster.put_member(Member {
            id: UserId(3),
            ..member()
        });
        roster.put_member(Member {
            passkey: Some([0x22; 16]),
            ..member()
        });
        assert_eq!(ask(&roster, &"11".repeat(16)), Ok(UserId(3)));
    }

    #[test]
    fn grant_says_what_the_member_has_earned() {
        let roster = roster();
        let class = || {
            roster
                .grant(token(None).as_bytes(), NOW)
                .map(|grant| grant.class)
        };
        assert_eq!(class(), Ok(UserClass::Newbie));
        let class_now = UserClass::Elite;
        roster.put_member(Member {
            class: class_now,
            ..member()
        });
        assert_eq!(class(), Ok(class_now));
    }

    #[test]
    fn nobody_stays_in_a_swarm_and_a_stranger_does_not() {
        assert!(roster().is_active(USER));
        assert!(roster().is_active(UserId::nobody(USER.0)));
        assert!(!roster().is_active(UserId(3)));
    }

    #[test]
    fn disabled_and_removed_members_are_refused() {
        let roster = roster();
        roster.put_member(Member {
            status: MemberStatus::Disabled,
            ..member()
        });
        assert_eq!(ask(&roster, &token(None)), Err(Refusal::AccountDisabled));
        roster.remove_member(USER);
        assert_eq!(ask(&roster, &token(None)), Err(Refusal::UnknownKey));
        assert_eq!(ask(&roster, &"11".repeat(16)), Err(Refusal::UnknownKey));
    }
}
