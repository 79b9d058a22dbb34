//! The path of an announce: key, member, torrent, swarm, record, reply.
//!
//! One lock is held for more than a look, the swarm's; within it the record goes to its outbox lane. Nothing is awaited.

use std::net::IpAddr;

use arc_swap::ArcSwap;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::gate::{Client, Gate};
use crate::ids::{InfoHash, UnixTime, UserId};
use crate::key::TokenKey;
use crate::outbox::{Outbox, Pressure, Round};
use crate::query::{self, Announce};
use crate::record::{Endpoint, Event, Record, Role, SessionKey};
use crate::refusal::{Refusal, Warning};
use crate::registry::{LeechRights, TorrentStatus};
use crate::reply::{self, Answer, Counts};
use crate::roster::{Grant, Roster};
use crate::settings::Settings;
use crate::swarm::{PeerFormat, PeerList, Rules, Swarms, Torrent, Visitor};
use crate::timings::Timings;

/// Everything announces need, shared by all workers.
#[derive(Debug)]
pub struct Tracker {
    /// Who may announce.
    pub roster: Roster,
    /// From where and with what they may.
    pub gate: Gate,
    /// Who is downloading and seeding what.
    pub swarms: Swarms,
    /// What the journal doesn't have yet.
    pub outbox: Outbox,
    /// What the operator chose.
    pub settings: ArcSwap<Settings>,
    /// How long announces took.
    pub timings: Timings,
}

/// What a worker uses again from one request to the next.
#[derive(Debug)]
pub struct Scratch {
    /// The reply.
    pub body: Vec<u8>,
    pub(crate) peers: PeerList,
    rng: SmallRng,
}

impl Scratch {
    /// With a random generator of its own.
    pub fn new() -> Self {
        Self::with_rng(SmallRng::from_rng(&mut rand::rng()))
    }

    /// With the given chance, so that a test can repeat it.
    pub fn with_rng(rng: SmallRng) -> Self {
        Self {
            body: Vec::with_capacity(2048),
            peers: PeerList::default(),
            rng,
        }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

/// How a request was answered: what metrics and logs say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With peers or counts.
    Answered,
    /// Taken, mostly without peers.
    Warned(Warning),
    /// Not taken.
    Refused(Refusal),
}

/// What an announce came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Why the client came.
    pub event: Event,
    /// How it was answered.
    pub outcome: Outcome,
    /// There is a record of it in the outbox.
    pub is_recorded: bool,
    /// The reply is a promise, not to be sent before this round is in the [journal](Outbox::journalled).
    pub after: Option<Round>,
}

/// An announce that was read, with what its protocol says beside it.
pub(crate) struct Call<'a> {
    pub(crate) announce: &'a Announce<'a>,
    pub(crate) caller: Caller,
    pub(crate) client: Client<'a>,
    /// Where peers find it.
    pub(crate) ip: IpAddr,
    /// How it is told of peers.
    pub(crate) format: PeerFormat,
    /// Peers that a reply has room for, however many are wanted.
    pub(crate) peers_max: usize,
    pub(crate) now: UnixTime,
}

/// Who announces.
pub(crate) enum Caller {
    /// A member, by their key.
    Member(Grant),
    /// Somebody without a key, who isn't told of registered torrents.
    Nobody(UserId),
}

/// An announce that was taken. Its peers are in `scratch.peers`.
pub(crate) struct Taken {
    pub(crate) answer: Answer,
    /// Which round of the outbox takes the record along, if there is one.
    round: Option<Round>,
}

impl Announced {
    pub(crate) fn of(event: Event, taken: &Result<Taken, Refusal>) -> Self {
        let (outcome, round) = match taken {
            Ok(taken) => (
                taken
                    .answer
                    .warning
                    .map_or(Outcome::Answered, Outcome::Warned),
                taken.round,
            ),
            Err(refusal) => (Outcome::Refused(*refusal), None),
        };
        Self {
            event,
            outcome,
            is_recorded: round.is_some(),
            after: round.filter(|_| event.is_acknowledged()),
        }
    }
}

/// What happened while the swarm was locked.
struct Visited {
    counts: Counts,
    warning: Option<Warning>,
    round: Option<Round>,
}

impl Tracker {
    /// Empty, to be filled from the database.
    pub fn new(token_key: TokenKey, settings: Settings) -> Self {
        Self {
            roster: Roster::new(token_key),
            gate: Gate::default(),
            swarms: Swarms::default(),
            outbox: Outbox::default(),
            settings: ArcSwap::from_pointee(settings),
            timings: Timings::default(),
        }
    }

    /// Answers an announce into `scratch.body`, and wakes the journal. `key` is what the path held, if it held one; `from`
    /// the client, or its address.
    pub fn announce<'a>(
        &self,
        key: Option<&[u8]>,
        query: &[u8],
        from: impl Into<Client<'a>>,
        now: UnixTime,
        scratch: &mut Scratch,
    ) -> Announced {
        let announced = self.announce_unrung(key, query, from.into(), now, scratch);
        if announced.is_recorded {
            self.outbox.ring(announced.after.is_some());
        }
        announced
    }

    /// The same, and the caller wakes the journal: to wake a thread is a system call, which many announces can share.
    pub(crate) fn announce_unrung(
        &self,
        key: Option<&[u8]>,
        query: &[u8],
        from: Client<'_>,
        now: UnixTime,
        scratch: &mut Scratch,
    ) -> Announced {
        scratch.body.clear();
        let read = match query.is_empty() {
            true => Err(self.browsed(key, now)),
            false => Announce::parse(query).map_err(Refusal::from),
        };
        let event = read.map_or(Event::None, |announce| announce.event);
        let taken = read.and_then(|announce| self.called(key, &announce, from, now, scratch));
        match &taken {
            Ok(taken) => reply::put_answer(&mut scratch.body, &taken.answer, &scratch.peers),
            Err(refusal) => reply::put_refusal(&mut scratch.body, *refusal),
        }
        Announced::of(event, &taken)
    }

    /// An announce URL without a query, as in a browser: is its key good?
    fn browsed(&self, key: Option<&[u8]>, now: UnixTime) -> Refusal {
        let granted = key
            .ok_or(Refusal::MissingKey)
            .and_then(|key| self.roster.grant(key, now));
        granted.err().unwrap_or(Refusal::NotAnAnnounce)
    }

    fn called(
        &self,
        key: Option<&[u8]>,
        announce: &Announce<'_>,
        from: Client<'_>,
        now: UnixTime,
        scratch: &mut Scratch,
    ) -> Result<Taken, Refusal> {
        let key = key.or(announce.key).ok_or(Refusal::MissingKey)?;
        let grant = self.roster.grant(key, now)?;
        let settings = self.settings.load();
        let claimed = announce.ip.filter(|_| settings.allow_ip_param);
        let call = Call {
            announce,
            caller: Caller::Member(grant),
            client: from,
            ip: claimed.and_then(reply::read_ip).unwrap_or(from.ip),
            format: format_of(announce),
            peers_max: usize::MAX,
            now,
        };
        self.take(&call, &settings, scratch)
    }

    /// What an announce does, whichever way it came: to the swarm, to the outbox, and to `scratch.peers`.
    pub(crate) fn take(
        &self,
        call: &Call<'_>,
        settings: &Settings,
        scratch: &mut Scratch,
    ) -> Result<Taken, Refusal> {
        let announce = call.announce;
        self.gate
            .pass(call.client, call.ip, &announce.peer_id, call.now)?;
        if let Caller::Member(grant) = call.caller
            && grant.leech == LeechRights::Suspended
            && role_of(announce) != Role::Seeder
            && announce.event != Event::Stopped
        {
            return Err(Refusal::LeechSuspended);
        }
        let visitor = Visitor {
            user: match call.caller {
                Caller::Member(grant) => grant.user,
                Caller::Nobody(user) => user,
            },
            peer_id: announce.peer_id,
            counters: announce.counters,
            role: role_of(announce),
            event: announce.event,
            endpoint: Endpoint::new(call.ip, announce.port),
            hash_tag: announce.info_hash.0[19].max(1),
            now: call.now,
        };
        let room = room_for(announce, settings).min(call.peers_max);
        scratch.peers.begin(call.format, room, visitor.endpoint);

        let hash = &announce.info_hash;
        let visit = |torrent: &mut Torrent| self.visit(torrent, call, &visitor, settings, scratch);
        let visited = if settings.track_unregistered {
            self.swarms.with_any(hash, visit)?
        } else {
            self.swarms
                .with(hash, visit)
                .ok_or(Refusal::UnregisteredTorrent)??
        };
        Ok(Taken {
            answer: Answer {
                counts: visited.counts,
                external_ip: call.ip,
                interval_secs: settings.announce_interval_secs,
                min_interval_secs: settings.min_interval_secs,
                warning: visited.warning,
            },
            round: visited.round,
        })
    }

    /// What happens while the swarm is locked. All refusals come before the first change.
    fn visit(
        &self,
        torrent: &mut Torrent,
        call: &Call<'_>,
        visitor: &Visitor,
        settings: &Settings,
        scratch: &mut Scratch,
    ) -> Result<Visited, Refusal> {
        let lane = torrent.id.map(|id| (id, self.outbox.lane(id)));
        match call.caller {
            Caller::Member(grant) if grant.torrent.is_some() && grant.torrent != torrent.id => {
                return Err(Refusal::WrongTorrent);
            }
            Caller::Nobody(_) if torrent.id.is_some() => return Err(Refusal::MissingKey),
            _ => {}
        }
        if torrent.status == TorrentStatus::Closed {
            return Err(Refusal::TorrentClosed);
        }
        let pressure = self.outbox.pressure();
        if let Some((_, lane)) = lane
            && (lane.is_full(visitor.event) || sheds(pressure, visitor.event))
        {
            return Err(Refusal::Busy);
        }
        let rules = Rules {
            min_interval_secs: settings.min_interval_secs,
            max_clients: settings.max_peers_per_torrent_per_user,
            download_slots: match call.caller {
                Caller::Member(grant) => settings.download_slots[grant.class as usize],
                Caller::Nobody(_) => 0,
            },
        };
        let visit = torrent.announce(visitor, rules, &self.swarms.slots, &mut scratch.rng)?;
        // What says nothing new is the first thing to go when the journal runs out of room.
        let lane = lane.filter(|_| visit.has_news || pressure == Pressure::Free);
        let round = lane.map(|(id, lane)| {
            lane.push(Record {
                session: SessionKey {
                    user: visitor.user,
                    torrent: id,
                    peer_id: visitor.peer_id,
                },
                counters: visitor.counters,
                left: call.announce.left,
                role: visitor.role,
                in_swarm: visit.is_in_swarm(),
                event: visitor.event,
                at: visitor.now,
                endpoint: visitor.endpoint,
            })
        });
        let is_pending = torrent.status == TorrentStatus::Pending;
        let hears_of_ratio =
            matches!(call.caller, Caller::Member(grant) if grant.leech == LeechRights::Warned);
        let warning = visit
            .warning
            .or(is_pending.then_some(Warning::PendingTorrent))
            .or(hears_of_ratio.then_some(Warning::LowRatio));
        if !warning.is_some_and(Warning::withholds_peers) {
            torrent.sample(&visit, visitor.role, &mut scratch.peers, &mut scratch.rng);
        }
        Ok(Visited {
            counts: torrent.counts(),
            warning,
            round,
        })
    }

    /// Answers a scrape into `scratch.body`: the counts of those torrents that are there.
    pub fn scrape(
        &self,
        key: Option<&[u8]>,
        query: &[u8],
        now: UnixTime,
        scratch: &mut Scratch,
    ) -> Outcome {
        scratch.body.clear();
        match self.scraped(key, query, now) {
            Ok(files) => {
                let files = files.iter().map(|(hash, counts)| (hash, *counts));
                reply::put_scrape(&mut scratch.body, files);
                Outcome::Answered
            }
            Err(refusal) => refuse(scratch, refusal),
        }
    }

    fn scraped(
        &self,
        key: Option<&[u8]>,
        query: &[u8],
        now: UnixTime,
    ) -> Result<Vec<(InfoHash, Counts)>, Refusal> {
        let key = key
            .or_else(|| query::key(query))
            .ok_or(Refusal::MissingKey)?;
        let grant = self.roster.grant(key, now)?;
        let mut hashes = query::scrape_hashes(query).collect::<Result<Vec<_>, _>>()?;
        if hashes.is_empty() {
            return Err(Refusal::FullScrape);
        }
        hashes.sort_unstable();
        hashes.dedup();
        // A token bound to one torrent has nothing to say about others.
        let counts = |hash| Some((hash, self.swarms.counts(&hash, grant.torrent)?));
        Ok(hashes.into_iter().filter_map(counts).collect())
    }
}

/// Whether an announce has to come back later. What is cumulative can wait; a session's last word can't.
fn sheds(pressure: Pressure, event: Event) -> bool {
    match pressure {
        Pressure::Free | Pressure::Tight => false,
        Pressure::Full => !event.is_last_word(),
        // It couldn't be acknowledged, and nothing is lost with it.
        Pressure::Broken => event == Event::Started,
    }
}

/// Writes a refusal in place of whatever stands in the body.
pub(crate) fn refuse(scratch: &mut Scratch, refusal: Refusal) -> Outcome {
    scratch.body.clear();
    reply::put_refusal(&mut scratch.body, refusal);
    Outcome::Refused(refusal)
}

fn role_of(announce: &Announce<'_>) -> Role {
    match (announce.left, announce.event) {
        (0, _) => Role::Seeder,
        (_, Event::Paused) => Role::Partial,
        _ => Role::Leecher,
    }
}

fn format_of(announce: &Announce<'_>) -> PeerFormat {
    if announce.compact {
        PeerFormat::Compact
    } else {
        PeerFormat::Dictionaries {
            peer_ids: !announce.no_peer_id,
        }
    }
}

fn room_for(announce: &Announce<'_>, settings: &Settings) -> usize {
    if announce.event == Event::Stopped {
        return 0;
    }
    let wanted = announce.numwant.unwrap_or(settings.numwant_default);
    wanted.min(settings.numwant_max) as usize
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::ids::TorrentId;
    use crate::outbox::LANE_LIMIT;
    use crate::registry::{LeechRights, Member, MemberStatus, RegisteredTorrent, UserClass};

    /// Nobody takes records away: announces are refused before anything changes, but for a session's last word.
    #[test]
    fn full_outbox_refuses_all_but_last_words() {
        let tracker = Tracker::new(TokenKey::from_bytes([7; 32]), Settings::default());
        tracker.roster.put_member(Member {
            id: UserId(1),
            status: MemberStatus::Active,
            class: UserClass::Newbie,
            leech: LeechRights::Free,
            passkey: Some([0x11; 16]),
        });
        let hash = InfoHash([b'h'; 20]);
        tracker.swarms.put_torrent(&RegisteredTorrent {
            id: TorrentId(1),
            info_hash: hash,
            info_hash_v2: None,
            status: TorrentStatus::Open,
            completed: 0,
        });
        let mut scratch = Scratch::new();
        let mut announce = |event: &str| {
            let query = format!(
                "info_hash={}&peer_id=-XX0001-000000000001&port=1&uploaded=0&downloaded=0&left=9&event={event}",
                "h".repeat(20)
            );
            let key = "11".repeat(16);
            let from = IpAddr::from(Ipv4Addr::LOCALHOST);
            let (key, query) = (Some(key.as_bytes()), query.as_bytes());
            tracker
                .announce(key, query, from, UnixTime(1), &mut scratch)
                .outcome
        };
        assert_eq!(announce("started"), Outcome::Answered);
        let mut first = None;
        let drain = |take: &mut dyn FnMut(&Record)| {
            tracker.outbox.drain(&mut Vec::new(), take);
        };
        drain(&mut |record| first = Some(*record));
        let lane = tracker.outbox.lane(TorrentId(1));
        let fill = || {
            (0..LANE_LIMIT).for_each(|_| {
                first.iter().for_each(|record| {
                    lane.push(*record);
                })
            })
        };

        fill();
        assert_eq!(announce("started"), Outcome::Refused(Refusal::Busy));
        assert_eq!(announce("stopped"), Outcome::Answered);
        let busy = tracker.swarms.counts(&hash, None);
        assert_eq!(busy.map(|counts| counts.incomplete), Some(0));
        fill();
        assert_eq!(announce("stopped"), Outcome::Refused(Refusal::Busy));
        drain(&mut |_| {});
        assert_eq!(announce("started"), Outcome::Answered);
    }
}
