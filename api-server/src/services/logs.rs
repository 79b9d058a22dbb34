//! What staff see of the site: what was done, what is going on, and what was shut out.

use serde::{Deserialize, Serialize};
use store::{AuditEntry, Decision, Session, SessionPlace};
use tracker_core::ids::{PeerId, UnixTime, UserId};
use tracker_core::record::Role;
use utoipa::{IntoParams, ToSchema};

use crate::page::{Page, Paging};
use crate::problem::Problem;
use crate::site::Site;
use crate::time::Time;

/// Sessions that announced since then count as seen: twice the usual interval.
const SEEN_SECS: u32 = 3600;

/// One thing that somebody did.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AuditView {
    /// Its number: later ones are higher.
    pub id: i64,
    /// Who did it; `null`: the operator at the command line.
    #[schema(required)]
    pub actor: Option<String>,
    /// What they did.
    #[schema(example = "user.change")]
    pub action: String,
    /// To whom or what.
    #[schema(example = "user:7")]
    pub subject: String,
    /// For people.
    pub detail: String,
    /// When.
    pub created_at: Time,
}

/// How the site is, as the database counts it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Dashboard {
    /// Members by their status.
    pub members: MemberCounts,
    /// Torrents by their status.
    pub torrents: TorrentCounts,
    /// Sessions that are in their swarms.
    pub sessions: SessionCounts,
    /// Bytes that the tracker counted for all members together.
    pub uploaded: u64,
    /// Bytes that the tracker counted for all members together.
    pub downloaded: u64,
    /// What the trackers were told last; `null`: nothing yet.
    #[schema(required)]
    pub newest_change: Option<NewestChange>,
}

/// Members by their status.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MemberCounts {
    /// May use their account.
    pub active: u64,
    /// May not.
    pub disabled: u64,
}

/// Torrents by their status.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TorrentCounts {
    /// May be announced.
    pub open: u64,
    /// Wait for staff.
    pub pending: u64,
    /// May not be announced.
    pub closed: u64,
}

/// Sessions that are in their swarms.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SessionCounts {
    /// Have everything.
    pub seeding: u64,
    /// Want pieces.
    pub leeching: u64,
    /// Have some, and want no more.
    pub partial: u64,
    /// Of all these, those that announced in the last hour.
    pub seen_last_hour: u64,
}

/// What the trackers were told last.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NewestChange {
    /// Its number.
    pub id: i64,
    /// When.
    pub created_at: Time,
}

/// What was shut out.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SecurityStats {
    /// Members whose account may not be used.
    pub disabled_members: u64,
    /// Announce tokens that were revoked, and have no end or ended within the last month.
    pub revoked_tokens: u64,
    /// Logins that were ended before their time, within the last month.
    pub revoked_logins: u64,
    /// Announces that couldn't be counted, and wait for somebody to look at them.
    pub set_aside: u64,
}

/// What a rule found. There is no rule yet.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Suspicion {
    /// Which rule.
    pub rule: String,
    /// The member's name.
    pub user: String,
    /// What it found, for people.
    pub evidence: String,
    /// When.
    pub created_at: Time,
}

/// Whose announces are asked for.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AnnounceQuery {
    /// The member's number.
    pub user: u32,
}

/// What one client in one swarm last announced.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AnnounceView {
    /// The torrent's; `null`: it isn't registered any more.
    #[schema(required)]
    pub info_hash: Option<String>,
    /// What the client calls itself, in hex.
    #[schema(min_length = 40, max_length = 40)]
    pub peer_id: String,
    /// What it is to its swarm.
    pub role: SessionRole,
    /// Whether it is still in its swarm.
    pub active: bool,
    /// Bytes as it last reported them.
    pub uploaded: u64,
    /// Bytes as it last reported them.
    pub downloaded: u64,
    /// Bytes that it still wanted.
    pub left: u64,
    /// Bytes that were counted for its member.
    pub credited_uploaded: u64,
    /// Bytes that were counted for its member.
    pub credited_downloaded: u64,
    /// What became of its last announce.
    pub decision: Verdict,
    /// The same, for people.
    pub explanation: String,
    /// Where it listens on IPv4; `null`: nowhere.
    #[schema(required, example = "192.0.2.1:6881")]
    pub endpoint4: Option<String>,
    /// Where it listens on IPv6; `null`: nowhere.
    #[schema(required, example = "[2001:db8::1]:6881")]
    pub endpoint6: Option<String>,
    /// Its first announce.
    pub started_at: Time,
    /// Its last one.
    pub announced_at: Time,
}

/// What became of an announce's counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// What they had grown by was counted.
    Counted,
    /// They were lower than before, without `started`: nothing is counted until the next announce confirms them.
    Fell,
    /// They were lower than before twice in a row, the same each time: what grows above them is counted.
    FellTwice,
}

/// What a client is to its swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SessionRole {
    /// Wants pieces.
    Leecher,
    /// Has every piece.
    Seeder,
    /// Has some, and wants no more.
    Partial,
}

pub(crate) async fn audit(site: &Site, paging: &Paging) -> Result<Page<AuditView>, Problem> {
    let (limit, cursor) = paging.read()?;
    let [before] = cursor.unwrap_or([i64::MAX]);
    let rows = site.store.audit_entries(before, limit + 1).await?;
    Ok(Page::new(rows, limit, |entry| [entry.id], AuditView::from))
}

pub(crate) async fn dashboard(site: &Site) -> Result<Dashboard, Problem> {
    let since = UnixTime(site.now().0.saturating_sub(SEEN_SECS));
    let figures = site.store.figures(since).await?;
    Ok(Dashboard {
        members: MemberCounts {
            active: figures.members_active,
            disabled: figures.members_disabled,
        },
        torrents: TorrentCounts {
            open: figures.torrents_open,
            pending: figures.torrents_pending,
            closed: figures.torrents_closed,
        },
        sessions: SessionCounts {
            seeding: figures.seeders,
            leeching: figures.leechers,
            partial: figures.partial,
            seen_last_hour: figures.seen,
        },
        uploaded: figures.uploaded,
        downloaded: figures.downloaded,
        newest_change: figures.newest_change.map(|(id, at)| NewestChange {
            id: id.0,
            created_at: at.into(),
        }),
    })
}

pub(crate) async fn security(site: &Site) -> Result<SecurityStats, Problem> {
    let figures = site.store.security_figures().await?;
    Ok(SecurityStats {
        disabled_members: figures.disabled_members,
        revoked_tokens: figures.revoked_tokens,
        revoked_logins: figures.revoked_logins,
        set_aside: figures.set_aside,
    })
}

/// Nothing looks for any yet.
pub(crate) fn suspicions(paging: &Paging) -> Result<Page<Suspicion>, Problem> {
    paging.read::<1>()?;
    Ok(Page {
        results: Vec::new(),
        next: None,
    })
}

pub(crate) async fn announces(
    site: &Site,
    user: UserId,
    paging: &Paging,
) -> Result<Page<AnnounceView>, Problem> {
    let (limit, cursor) = paging.read()?;
    let after = cursor.map_or(SessionPlace::FIRST, place);
    let rows = site.store.sessions(user, after, limit + 1).await?;
    Ok(Page::new(
        rows,
        limit,
        |session| numbers(&session.place),
        AnnounceView::from,
    ))
}

/// A cursor is numbers, and a peer id makes three of them.
fn numbers(place: &SessionPlace) -> [i64; 5] {
    let mut peer_id = [0; 24];
    peer_id[..20].copy_from_slice(&place.peer_id.0);
    let (words, _) = peer_id.as_chunks::<8>();
    let word = |index: usize| i64::from_be_bytes(words[index]);
    [place.announced_at, place.torrent, word(0), word(1), word(2)]
}

fn place([announced_at, torrent, words @ ..]: [i64; 5]) -> SessionPlace {
    let mut peer_id = [0; 20];
    let bytes = words.into_iter().flat_map(i64::to_be_bytes);
    for (to, from) in peer_id.iter_mut().zip(bytes) {
        *to = from;
    }
    SessionPlace {
        announced_at,
        torrent,
        peer_id: PeerId(peer_id),
    }
}

impl From<AuditEntry> for AuditView {
    fn from(entry: AuditEntry) -> Self {
        Self {
            id: entry.id,
            actor: entry.actor,
            action: entry.action,
            subject: entry.subject,
            detail: entry.detail,
            created_at: entry.created_at.into(),
        }
    }
}

impl From<Session> for AnnounceView {
    fn from(session: Session) -> Self {
        let (decision, explanation) = explain(&session);
        Self {
            decision,
            explanation,
            info_hash: session.info_hash.map(|hash| hash.to_string()),
            peer_id: hex::encode(session.place.peer_id.0),
            role: match session.role {
                Role::Leecher => SessionRole::Leecher,
                Role::Seeder => SessionRole::Seeder,
                Role::Partial => SessionRole::Partial,
            },
            active: session.active,
            uploaded: session.reported.uploaded,
            downloaded: session.reported.downloaded,
            left: session.bytes_left,
            credited_uploaded: session.credited.uploaded,
            credited_downloaded: session.credited.downloaded,
            endpoint4: session.endpoint4.map(|endpoint| endpoint.to_string()),
            endpoint6: session.endpoint6.map(|endpoint| endpoint.to_string()),
            started_at: session.started_at.into(),
            announced_at: session.announced_at.into(),
        }
    }
}

fn explain(session: &Session) -> (Verdict, String) {
    let reported = session.reported;
    match session.decision {
        Decision::Counted => {
            let text = format!(
                "the tracker knows {} bytes up and {} down of this session, and has counted {} and {}",
                reported.uploaded,
                reported.downloaded,
                session.credited.uploaded,
                session.credited.downloaded
            );
            (Verdict::Counted, text)
        }
        Decision::Fell(now) => {
            let text = format!(
                "it reported {} bytes up and {} down, less than the {} and {} before, without saying that it started \
                 anew: nothing is counted until the next announce confirms that",
                now.uploaded, now.downloaded, reported.uploaded, reported.downloaded
            );
            (Verdict::Fell, text)
        }
        Decision::FellTwice(now) => {
            let text = format!(
                "it reported {} bytes up and {} down twice, less than the {} and {} before: what grows above them will \
                 be counted",
                now.uploaded, now.downloaded, reported.uploaded, reported.downloaded
            );
            (Verdict::FellTwice, text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_comes_back_from_its_numbers() {
        let mut peer_id = [0; 20];
        for (at, byte) in (200..).zip(&mut peer_id) {
            *byte = at;
        }
        let there = SessionPlace {
            announced_at: 7,
            torrent: 9,
            peer_id: PeerId(peer_id),
        };
        assert_eq!(place(numbers(&there)), there);
    }
}
