//! One packet in, one answer out, or none.

use std::net::IpAddr;
use std::sync::Arc;

use super::request::{Action, Junk, Request, SCRAPE_MAX};
use super::response::{
    PEERS4_MAX, PEERS6_MAX, put_announce, put_connect, put_counts, put_error, put_scrape,
    put_short_error,
};
use super::{AnnounceRequest, ConnectionIds, Standing, TransactionId};
use crate::ids::{InfoHash, UnixTime};
use crate::query::BadQuery;
use crate::record::Event;
use crate::refusal::Refusal;
use crate::reply::is_somebody;
use crate::settings::Settings;
use crate::swarm::PeerFormat;
use crate::tracker::{Announced, Call, Caller, Outcome, Scratch, Taken, Tracker};

/// Answers packets, with buffers that are used again: nothing is allocated for one.
pub(crate) struct Desk {
    tracker: Arc<Tracker>,
    ids: ConnectionIds,
    scratch: Scratch,
    url: Vec<u8>,
}

/// What a packet came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// A connection id was given out.
    Connected,
    /// An announce was answered.
    Announced(Announced),
    /// A scrape was answered.
    Scraped(Outcome),
    /// Nobody's packet.
    Ignored(Ignored),
}

/// Why a packet counts for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ignored {
    Short,
    UnknownProtocol,
    UnknownAction,
    ForgedConnectionId,
    /// Answered by an error, so that the client asks for a new one.
    StaleConnectionId,
}

impl From<Junk> for Ignored {
    fn from(junk: Junk) -> Self {
        match junk {
            Junk::Short => Self::Short,
            Junk::UnknownProtocol => Self::UnknownProtocol,
            Junk::UnknownAction => Self::UnknownAction,
        }
    }
}

impl Desk {
    pub(crate) fn new(tracker: Arc<Tracker>, ids: ConnectionIds) -> Self {
        Self {
            tracker,
            ids,
            scratch: Scratch::new(),
            url: Vec::new(),
        }
    }

    /// Writes the answer behind what `out` holds; nothing when there is none.
    pub(crate) fn answer(
        &mut self,
        packet: &[u8],
        from: IpAddr,
        now: UnixTime,
        settings: &Settings,
        out: &mut Vec<u8>,
    ) -> Done {
        let from = from.to_canonical();
        let request = match Request::read(packet) {
            Ok(request) => request,
            Err(junk) => return Done::Ignored(junk.into()),
        };
        let transaction = request.transaction;
        if request.action == Action::Connect {
            put_connect(out, transaction, self.ids.issue(from, now));
            return Done::Connected;
        }
        match self.ids.check(request.connection_id, from, now) {
            Standing::Good => {}
            Standing::Stale => {
                // The sender was there once and may be gone: it gets less than what came.
                let text = "connection id expired: connect again";
                put_short_error(out, transaction, &text, packet.len() - 1);
                return Done::Ignored(Ignored::StaleConnectionId);
            }
            Standing::Forged => return Done::Ignored(Ignored::ForgedConnectionId),
        }
        match request.action {
            Action::Connect => Done::Connected,
            Action::Announce { fields, options } => {
                let announced =
                    self.announce(transaction, (fields, options), (from, now), settings, out);
                Done::Announced(announced)
            }
            Action::Scrape { hashes } => {
                let scraped = self.scrape(hashes, settings, transaction, out);
                Done::Scraped(match scraped {
                    Ok(()) => Outcome::Answered,
                    Err(refusal) => {
                        put_error(out, transaction, &refusal);
                        Outcome::Refused(refusal)
                    }
                })
            }
        }
    }

    fn announce(
        &mut self,
        transaction: TransactionId,
        (fields, options): (&[u8; 82], &[u8]),
        at: (IpAddr, UnixTime),
        settings: &Settings,
        out: &mut Vec<u8>,
    ) -> Announced {
        let mut url = std::mem::take(&mut self.url);
        let read = AnnounceRequest::parse(fields, options, &mut url);
        let event = read.map_or(Event::None, |request| request.announce.event);
        let taken = read.and_then(|request| self.take(&request, at, settings));
        match &taken {
            Ok(taken) => put_announce(out, transaction, &taken.answer, &self.scratch.peers),
            Err(refusal) => put_error(out, transaction, refusal),
        }
        self.url = url;
        Announced::of(event, &taken)
    }

    fn take(
        &mut self,
        request: &AnnounceRequest<'_>,
        (from, now): (IpAddr, UnixTime),
        settings: &Settings,
    ) -> Result<Taken, Refusal> {
        let announce = &request.announce;
        let caller = match announce.key {
            Some(key) => Caller::Member(self.tracker.roster.grant(key, now)?),
            None if settings.udp_keyless => Caller::Nobody(self.ids.nobody(from, announce.port)),
            None => return Err(Refusal::MissingKey),
        };
        let (format, peers_max) = match from {
            IpAddr::V4(_) => (PeerFormat::CompactV4, PEERS4_MAX),
            IpAddr::V6(_) => (PeerFormat::CompactV6, PEERS6_MAX),
        };
        let claimed = request
            .ip
            .filter(|_| settings.allow_ip_param && from.is_ipv4());
        let call = Call {
            announce,
            caller,
            client: from.into(),
            ip: claimed.map(IpAddr::V4).filter(is_somebody).unwrap_or(from),
            format,
            peers_max,
            now,
        };
        self.tracker.take(&call, settings, &mut self.scratch)
    }

    /// In the order asked for, and zeros for what isn't there. A scrape has no options: its length doesn't tell where the
    /// hashes would end.
    fn scrape(
        &self,
        hashes: &[u8],
        settings: &Settings,
        transaction: TransactionId,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        if !settings.udp_keyless {
            return Err(Refusal::KeylessScrape);
        }
        let (hashes, _) = hashes.as_chunks();
        match hashes.len() {
            0 => return Err(Refusal::FullScrape),
            1..=SCRAPE_MAX => {}
            _ => return Err(BadQuery::TooManyHashes.into()),
        }
        put_scrape(out, transaction);
        for hash in hashes {
            let counts = self.tracker.swarms.unregistered_counts(&InfoHash(*hash));
            put_counts(out, counts.unwrap_or_default());
        }
        Ok(())
    }
}
