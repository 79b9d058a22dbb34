//! The site and its members: who is there, who takes what, and who sends it. Hour by hour, from one seed.

use std::collections::BTreeMap;

use economy::policy::HitAndRun;
use economy::simulate::{Completed, History, Member, Seeding, Torrent, Traffic};
use tracker_core::accounting::Counters;
use tracker_core::ids::{TorrentId, UnixTime, UserId};
use tracker_core::registry::UserClass;

use crate::{DAY, HOUR, SEED, START};

pub(crate) const MEMBERS_BEFORE: u32 = 5_500;
const NEWCOMERS_A_DAY: u32 = 50;
const TORRENTS_BEFORE: u32 = 3_000;
const TORRENTS_A_DAY: u32 = 40;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// splitmix64: nobody needs more here, and it is the same in every version of everything.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u32) -> u32 {
        (self.next() % u64::from(end.max(1))) as u32
    }
}

/// Who doesn't keep a torrent is there for an hour or two.
const SHORT_HOURS: u32 = 2;

/// What members are like.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// A server that never stops, and takes a lot: 3 of 100.
    Heavy,
    /// Most evenings: 37 of 100.
    Regular,
    /// Now and then: 60 of 100.
    Casual,
}

impl Kind {
    fn draw(random: &mut Random) -> Self {
        match random.below(100) {
            0..3 => Self::Heavy,
            3..40 => Self::Regular,
            _ => Self::Casual,
        }
    }

    /// Downloads in a thousand days.
    fn downloads(self) -> u32 {
        match self {
            Self::Heavy => 4000,
            Self::Regular => 700,
            Self::Casual => 250,
        }
    }

    /// Of a hundred hours, how many the client is on.
    fn online_percent(self) -> u32 {
        match self {
            Self::Heavy => 100,
            Self::Regular => 60,
            Self::Casual => 35,
        }
    }

    fn bandwidth(self) -> u32 {
        match self {
            Self::Heavy => 10,
            Self::Regular => 4,
            Self::Casual => 2,
        }
    }

    /// Days for which a torrent is kept after it is complete. Most know what the site asks for: few leave at once.
    fn keeps_days(self, random: &mut Random) -> u32 {
        match (self, random.below(100)) {
            (Self::Heavy, _) => 30 + random.below(120),
            (Self::Regular, 0..2) | (Self::Casual, 0..5) => 0,
            (Self::Regular, 2..70) => 5 + random.below(10),
            (Self::Regular, _) => 15 + random.below(60),
            (Self::Casual, 5..15) => 2 + random.below(6),
            (Self::Casual, 15..80) => 9 + random.below(6),
            (Self::Casual, _) => 15 + random.below(20),
        }
    }

    /// What they seed in so many days.
    fn seeded_hours(self, days: u32) -> u32 {
        if days == 0 {
            SHORT_HOURS
        } else {
            days * 24 * self.online_percent() / 100
        }
    }

    /// Torrents that they seed on the first day.
    fn has(self, random: &mut Random) -> u32 {
        match self {
            Self::Heavy => 60 + random.below(240),
            Self::Regular => random.below(24),
            Self::Casual => random.below(5),
        }
    }
}

struct Download {
    member: u32,
    torrent: u32,
    bytes_left: u64,
    by_hour: u64,
}

/// In a swarm, until an hour.
struct Peer {
    member: u32,
    until: u32,
}

pub(crate) struct Site {
    pub(crate) history: History,
    /// Who brings a torrent back when they are warned for it: four of five. The fifth never minds.
    pub(crate) minds: Vec<bool>,
    rules: HitAndRun,
    kinds: Vec<Kind>,
    random: Random,
    swarms: Vec<Vec<Peer>>,
    downloads: Vec<Download>,
    /// By the hour: member, torrent, and for how many days they bring it back.
    coming_back: BTreeMap<u32, Vec<(u32, u32, u32)>>,
    /// Sums of 1 / rank, for choices by Zipf's law.
    zipf: Vec<u64>,
    moved: BTreeMap<(u32, u32), Counters>,
}

impl Site {
    pub(crate) fn new(days: u32, rules: HitAndRun) -> Self {
        let most = TORRENTS_BEFORE + days * TORRENTS_A_DAY;
        let zipf = (1..=u64::from(most)).scan(0, |sum, rank| {
            *sum += 1_000_000_000 / (rank + 5); // the first few aren't everything
            Some(*sum)
        });
        let mut site = Self {
            history: History::default(),
            minds: Vec::new(),
            rules,
            kinds: Vec::new(),
            random: Random(SEED),
            swarms: Vec::new(),
            downloads: Vec::new(),
            coming_back: BTreeMap::new(),
            zipf: zipf.collect(),
            moved: BTreeMap::new(),
        };
        for _ in 0..MEMBERS_BEFORE {
            let age = site.random.below(720 * DAY);
            site.join(START - age);
        }
        let mut ages: Vec<u32> = (0..TORRENTS_BEFORE)
            .map(|_| site.random.below(720 * DAY))
            .collect();
        ages.sort_unstable_by(|one, other| other.cmp(one));
        for age in ages {
            site.add_torrent(START - age, MEMBERS_BEFORE);
        }
        for member in 0..MEMBERS_BEFORE {
            let kind = site.kind(member);
            for _ in 0..kind.has(&mut site.random) {
                let torrent = site.choose();
                let days = 1 + kind.keeps_days(&mut site.random);
                site.seed(member, torrent, START, days);
            }
        }
        site
    }

    /// Members before have been what they are for as long as they are here, and have their class by it.
    fn join(&mut self, at: u32) {
        let kind = Kind::draw(&mut self.random);
        self.kinds.push(kind);
        self.minds.push(self.random.below(5) < 4);
        let days = u64::from(START.saturating_sub(at) / DAY);
        let downloaded = days * u64::from(kind.downloads()) * 6 * GIB / 1000;
        // 0.6 to 1.4, and more for who is always there.
        let luck = u64::from(60 + self.random.below(80) + 5 * kind.bandwidth());
        let uploaded = downloaded * luck / 100;
        let gib = uploaded / GIB;
        let class = match days {
            60.. if gib >= 250 && luck >= 105 => UserClass::Trusted,
            7.. if gib >= 25 && luck >= 80 => UserClass::Member,
            _ => UserClass::Newbie,
        };
        let id = UserId(self.kinds.len() as u32);
        self.history.members.push(Member {
            id,
            joined_at: UnixTime(at),
            class,
            before: Counters {
                uploaded,
                downloaded,
            },
        });
    }

    fn kind(&self, member: u32) -> Kind {
        self.kinds
            .get(member as usize)
            .copied()
            .unwrap_or(Kind::Casual)
    }

    fn size(&self, torrent: u32) -> u64 {
        self.history
            .torrents
            .get(torrent as usize)
            .map_or(GIB, |torrent| torrent.size)
    }

    /// By somebody who isn't casual, and seeds it for a month.
    fn add_torrent(&mut self, at: u32, members: u32) {
        let mut uploader = None;
        for _ in 0..100 {
            let member = self.random.below(members);
            if self.kind(member) != Kind::Casual {
                uploader = Some(member);
                break;
            }
        }
        // Mostly 0.3 to 10 GiB, one in ten up to 60: 6 GiB in the mean.
        let size = match self.random.below(10) {
            0 => 10 * 1024 + self.random.below(40 * 1024),
            _ => 300 + self.random.below(7 * 1024),
        };
        let number = self.history.torrents.len() as u32;
        self.history.torrents.push(Torrent {
            id: TorrentId(number + 1),
            uploader: uploader.map(|member| UserId(member + 1)),
            size: u64::from(size) * MIB,
            created_at: UnixTime(at),
        });
        self.swarms.push(Vec::new());
        if let Some(uploader) = uploader {
            self.seed(uploader, number, at.max(START), 30);
        }
    }

    fn seed(&mut self, member: u32, torrent: u32, from: u32, days: u32) {
        let secs = if days == 0 {
            SHORT_HOURS * HOUR
        } else {
            days * DAY
        };
        let online = if days == 0 {
            100
        } else {
            self.kind(member).online_percent()
        };
        self.history.seedings.push(Seeding {
            user: UserId(member + 1),
            torrent: TorrentId(torrent + 1),
            from: UnixTime(from),
            to: UnixTime(from + secs),
            secs: secs / 100 * online,
        });
        if let Some(swarm) = self.swarms.get_mut(torrent as usize) {
            let until = (from + secs) / HOUR;
            match swarm.iter_mut().find(|peer| peer.member == member) {
                Some(peer) => peer.until = peer.until.max(until),
                None => swarm.push(Peer { member, until }),
            }
        }
    }

    /// Three of five choose among the newest, the others among all.
    fn choose(&mut self) -> u32 {
        let all = self.history.torrents.len();
        let among = if self.random.below(5) < 3 {
            300.min(all)
        } else {
            all
        };
        let sums = self.zipf.get(..among).unwrap_or_default();
        let most = sums.last().copied().unwrap_or(1);
        let at = self.random.next() % most;
        let rank = sums.partition_point(|sum| *sum <= at) as u32;
        if among < all {
            all as u32 - 1 - rank
        } else {
            // Popularity isn't age: a fixed shuffle.
            (u64::from(rank) * 1_000_003 % all as u64) as u32
        }
    }

    pub(crate) fn hour(&mut self, hour: u32) {
        let now = START + hour * HOUR;
        if hour.is_multiple_of(24) {
            for _ in 0..NEWCOMERS_A_DAY {
                let at = now + self.random.below(DAY);
                self.join(at);
            }
            for _ in 0..TORRENTS_A_DAY {
                let members = self.kinds.len() as u32 - NEWCOMERS_A_DAY;
                self.add_torrent(now, members);
            }
        }
        for (member, torrent, days) in self.coming_back.remove(&(now / HOUR)).unwrap_or_default() {
            self.seed(member, torrent, now, days);
        }
        self.begin_downloads(now);
        self.moved.clear();
        let mut downloads = std::mem::take(&mut self.downloads);
        for download in &mut downloads {
            self.move_bytes(download, now / HOUR);
        }
        let done = downloads.extract_if(.., |download| download.bytes_left == 0);
        for download in done {
            let Download {
                member, torrent, ..
            } = download;
            let at = now + HOUR;
            self.history.snatches.push(Completed {
                user: UserId(member + 1),
                torrent: TorrentId(torrent + 1),
                completed_at: UnixTime(at),
            });
            let kind = self.kind(member);
            let days = kind.keeps_days(&mut self.random);
            self.seed(member, torrent, at, days);
            self.bring_back(member, torrent, at, days);
        }
        self.downloads = downloads;
    }

    /// Who minds warnings seeds on from then until it is enough. That they may have uploaded enough doesn't matter to them.
    fn bring_back(&mut self, member: u32, torrent: u32, completed_at: u32, keeps_days: u32) {
        let kind = self.kind(member);
        let rules = &self.rules;
        let missing_hours = rules
            .min_seed_hours
            .saturating_sub(kind.seeded_hours(keeps_days));
        let minds = self.minds.get(member as usize).is_some_and(|minds| *minds);
        if !rules.enabled || missing_hours == 0 || !minds {
            return;
        }
        let warned_days = rules.within_days - rules.warn_before_days;
        let at = completed_at + warned_days.max(keeps_days) * DAY;
        let days = (missing_hours * 100).div_ceil(24 * kind.online_percent());
        let coming = self.coming_back.entry(at / HOUR).or_default();
        coming.push((member, torrent, days));
    }

    fn begin_downloads(&mut self, now: u32) {
        for member in 0..self.kinds.len() as u32 {
            let joined = self.history.members.get(member as usize);
            if joined.is_none_or(|member| member.joined_at.0 > now) {
                continue;
            }
            let kind = self.kind(member);
            if self.random.below(24_000) >= kind.downloads() {
                continue;
            }
            let torrent = self.choose();
            let Some(swarm) = self.swarms.get_mut(torrent as usize) else {
                continue;
            };
            swarm.retain(|peer| peer.until > now / HOUR);
            if swarm.is_empty() || swarm.iter().any(|peer| peer.member == member) {
                continue; // dead, or theirs already
            }
            // Who downloads gives as well.
            swarm.push(Peer {
                member,
                until: now / HOUR + 24,
            });
            let bytes = self.size(torrent);
            self.downloads.push(Download {
                member,
                torrent,
                bytes_left: bytes,
                by_hour: u64::from(kind.bandwidth()) * GIB,
            });
        }
    }

    /// An hour of a download: up to six others send it, the faster ones more.
    fn move_bytes(&mut self, download: &mut Download, hour: u32) {
        let bytes = download.by_hour.min(download.bytes_left);
        let Some(swarm) = self.swarms.get(download.torrent as usize) else {
            return;
        };
        let mut senders: Vec<(u32, u64)> = Vec::with_capacity(6);
        for _ in 0..12 {
            let place = self.random.below(swarm.len() as u32);
            let Some(peer) = swarm.get(place as usize) else {
                continue;
            };
            let kind = self
                .kinds
                .get(peer.member as usize)
                .copied()
                .unwrap_or(Kind::Casual);
            let is_there = peer.until > hour && self.random.below(100) < kind.online_percent();
            let is_new = senders.iter().all(|(member, _)| *member != peer.member);
            if is_there && is_new && peer.member != download.member && senders.len() < 6 {
                senders.push((peer.member, u64::from(kind.bandwidth())));
            }
        }
        let weights: u64 = senders.iter().map(|(_, weight)| weight).sum();
        if weights == 0 {
            return; // nobody is there; the next hour, perhaps
        }
        let mut sent = 0;
        for (member, weight) in senders {
            let part = bytes * weight / weights;
            sent += part;
            let moved = self.moved.entry((member, download.torrent)).or_default();
            moved.uploaded += part;
        }
        let moved = self
            .moved
            .entry((download.member, download.torrent))
            .or_default();
        moved.downloaded += sent;
        // What is left of a division is never sent.
        download.bytes_left = download.bytes_left.saturating_sub(bytes);
    }

    pub(crate) fn traffic(&self) -> Vec<Traffic> {
        let rows = self.moved.iter().map(|((member, torrent), moved)| Traffic {
            user: UserId(member + 1),
            torrent: TorrentId(torrent + 1),
            moved: *moved,
        });
        rows.collect()
    }
}
