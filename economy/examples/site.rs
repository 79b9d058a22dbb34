//! A site that doesn't exist: 90 days, from 5,500 members to 10,000, with the default policy or another.
//!
//! ```sh
//! cargo run --release -p economy --example site -- docs/economy.svg [POLICY.toml [DAYS]]
//! ```
//!
//! Prints the figures of docs/economy.md and draws its picture. Whole numbers and a fixed seed: the same on every machine.
//! Nobody sends what nobody takes: what is uploaded is what is downloaded, so the mean ratio is 1.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;

use economy::policy::{Policy, Ware};
use economy::simulate::{
    Account, Completed, Day, History, Member, Outcome, Rules, Seeding, Simulation, Torrent,
    Traffic, plot,
};
use tracker_core::accounting::Counters;
use tracker_core::ids::{TorrentId, UnixTime, UserId};
use tracker_core::registry::UserClass;

const SEED: u64 = 20_260_101;
const DAYS: u32 = 90;
const MEMBERS_BEFORE: u32 = 5_500;
const NEWCOMERS_A_DAY: u32 = 50;
const TORRENTS_BEFORE: u32 = 3_000;
const TORRENTS_A_DAY: u32 = 40;
const HOUR: u32 = 3600;
const DAY: u32 = 86_400;
/// 2026-01-01.
const START: u32 = 1_767_225_600;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let picture = args.next().ok_or("where does the picture go?")?;
    let policy = match args.next() {
        Some(path) => Policy::parse(&std::fs::read_to_string(path)?)?,
        None => Policy::default(),
    };
    let days = args.next().map_or(Ok(DAYS), |days| days.parse())?;
    let rules = Rules {
        policy: &policy,
        windows: &policy.windows,
        multiplier_milli: 1000,
        min_ratio_milli: 500,
    };

    // Once for what there was, once more for its traffic, which needn't be kept so.
    let mut first = Site::new(days);
    (0..days * 24).for_each(|hour| first.hour(hour));
    let history = &first.history;
    let mut site = Site::new(days);
    let mut buying = Simulation::new(rules, history, UnixTime(START));
    let mut saving = Simulation::new(rules, history, UnixTime(START));
    let mut random = Random(SEED + 1);
    let (mut rows, mut bytes) = (0, 0_u64);
    let mut sold = vec![0_u64; policy.shop.items.len()];
    for hour in 0..days * 24 {
        site.hour(hour);
        let traffic = site.traffic();
        rows += traffic.len();
        bytes += traffic.iter().map(|row| row.moved.downloaded).sum::<u64>();
        saving.hour(&traffic);
        if buying.hour(&traffic) {
            go_shopping(&mut buying, &policy, &mut random, &mut sold)?;
        }
    }
    println!(
        "{} members, {} torrents, {} snatches, {} TiB, {rows} rows of traffic",
        history.members.len(),
        history.torrents.len(),
        history.snatches.len(),
        bytes >> 40
    );
    let (buying, saving) = (buying.finish(), saving.finish());
    print_weeks(&buying, &saving);
    println!("\nnobody buys:");
    print_newcomers(&saving, &policy, history);
    println!("\nwith the shop:");
    print_newcomers(&buying, &policy, history);
    print_sources(&buying, &saving);
    for (item, count) in policy.shop.items.iter().zip(sold) {
        println!("sold: {:>6} {}", count, item.id);
    }
    let runs: [(&str, &[Day]); 2] = [
        ("nobody buys", &saving.days),
        ("with the shop", &buying.days),
    ];
    std::fs::write(picture, plot(&runs))?;
    Ok(())
}

/// What people want, once a day: first what keeps them here, then what they like, if they can afford it.
fn go_shopping(
    simulation: &mut Simulation<'_>,
    policy: &Policy,
    random: &mut Random,
    sold: &mut [u64],
) -> Result<(), Box<dyn Error>> {
    let now = UnixTime(simulation.next_hour() * HOUR);
    let wishes: Vec<(UserId, usize)> = simulation
        .accounts()
        .filter_map(|account| {
            let wish = random.below(1000);
            let wanted = |ware: &Ware| match ware {
                Ware::SettleHitAndRun => account.is_suspended && account.open_hit_and_runs > 0,
                Ware::UploadCredit { .. } => account.is_watched || is_stuck(account, now, policy),
                // Every two weeks, and every two months.
                Ware::FreeleechToken { .. } => wish < 70,
                Ware::Invite => (70..87).contains(&wish),
            };
            let mut affordable = policy.shop.items.iter().enumerate().filter(|(_, item)| {
                i64::from(item.price_milli) <= account.balance_milli && wanted(&item.what)
            });
            affordable.next().map(|(place, _)| (account.user, place))
        })
        .collect();
    for (user, place) in wishes {
        if let (Some(item), Some(count)) = (policy.shop.items.get(place), sold.get_mut(place)) {
            simulation.buy(user, item)?;
            *count += 1;
        }
    }
    Ok(())
}

/// Old enough for the next class, and not in it.
fn is_stuck(account: &Account, now: UnixTime, policy: &Policy) -> bool {
    let age_days = now.secs_since(account.joined_at) / DAY;
    account.class == UserClass::Newbie && age_days >= policy.class(UserClass::Member).min_age_days
}

fn print_weeks(buying: &Outcome, saving: &Outcome) {
    println!(
        "\nday  members  supply  a member  issued/day  spent/day  median  Gini   newbie member trusted elite %  warned%  no rights%  | nobody buys: a member  Gini"
    );
    let days = buying.days.iter().zip(&saving.days).enumerate();
    for (place, (day, other)) in days.filter(|(place, _)| (place + 1) % 15 == 0) {
        let percent = |count: u64| count as f64 * 100.0 / day.members as f64;
        let [newbie, member, trusted, elite] = day.classes.map(percent);
        println!(
            "{:>3} {:>8} {:>8} {:>8.1} {:>10.2} {:>10.2} {:>8.1} {:>6.3} {:>8.1} {:>6.1} {:>6.1} {:>5.1} {:>9.1} {:>9.1} {:>16.1} {:>8.3}",
            place + 1,
            day.members,
            day.supply_milli / 1000,
            credits(day.supply_milli) / day.members as f64,
            credits(day.issued_milli) / day.members as f64,
            credits(day.spent_milli) / day.members as f64,
            credits(day.median_milli),
            f64::from(day.gini_milli) / 1000.0,
            newbie,
            member,
            trusted,
            elite,
            percent(day.warned),
            percent(day.suspended),
            credits(other.supply_milli) / day.members as f64,
            f64::from(other.gini_milli) / 1000.0,
        );
    }
}

/// Of those who joined in the first 60 days: in 90, all have had 30.
fn print_newcomers(outcome: &Outcome, policy: &Policy, history: &History) {
    let newcomers: Vec<&Account> = outcome
        .accounts
        .iter()
        .filter(|account| (START..START + 60 * DAY).contains(&account.joined_at.0))
        .collect();
    let share = |is_it: &dyn Fn(&&&Account) -> bool| {
        newcomers.iter().filter(|account| is_it(account)).count() as f64 * 100.0
            / newcomers.len() as f64
    };
    let in_time = |at: UnixTime, account: &Account| at.secs_since(account.joined_at) <= 30 * DAY;
    let is_member = |account: &&&Account| {
        let risen = account
            .changes
            .iter()
            .find(|(_, class)| *class > UserClass::Newbie);
        risen.is_some_and(|(at, _)| in_time(*at, account))
    };
    let mut snatches: HashMap<UserId, u32> = HashMap::new();
    for snatch in &history.snatches {
        *snatches.entry(snatch.user).or_default() += 1;
    }
    let is_busy = |account: &&&Account| {
        snatches
            .get(&account.user)
            .is_some_and(|count| *count >= 10)
    };
    println!("newcomers who have had 30 days: {}", newcomers.len());
    println!(
        "  member within 30 days:       {:>5.1} %",
        share(&is_member)
    );
    println!("  ten snatches or more:        {:>5.1} %", share(&is_busy));
    println!(
        "  of those, member in 30 days: {:>5.1} %",
        share(&|account| is_busy(account) && is_member(account)) * 100.0 / share(&is_busy)
    );
    let cheapest = policy.shop.items.iter().map(|item| item.price_milli).min();
    let cheapest = i64::from(cheapest.unwrap_or_default());
    // Who joined 30 days ago has now what they have after 30 days.
    let end = outcome.days.last().map_or(START, |day| day.at.0);
    let month: Vec<&Account> = outcome
        .accounts
        .iter()
        .filter(|account| (30..35).contains(&(end.saturating_sub(account.joined_at.0) / DAY)))
        .collect();
    let rich = month
        .iter()
        .filter(|account| account.balance_milli >= cheapest);
    println!(
        "  can buy the cheapest item after 30 to 35 days: {:>5.1} % of {}",
        rich.count() as f64 * 100.0 / month.len() as f64,
        month.len()
    );
    println!(
        "  warned for the ratio, ever:  {:>5.1} %",
        share(&|account| account.ratio_warnings > 0)
    );
    println!(
        "  warned for a snatch, ever:   {:>5.1} %",
        share(&|account| account.snatch_warnings > 0)
    );
    println!(
        "  a hit-and-run, ever:         {:>5.1} %",
        share(&|account| account.hit_and_runs > 0)
    );
    println!(
        "  without leech rights, at the end: {:>5.1} %",
        share(&|account| account.is_suspended)
    );
    let all: u32 = outcome
        .accounts
        .iter()
        .map(|account| account.hit_and_runs)
        .sum();
    println!(
        "hit-and-runs, all members: {all}, of {} snatches; members with one or more: {}",
        history.snatches.len(),
        outcome
            .accounts
            .iter()
            .filter(|account| account.hit_and_runs > 0)
            .count()
    );
}

fn print_sources(buying: &Outcome, saving: &Outcome) {
    let sum = |outcome: &Outcome, part: fn(&Account) -> i64| {
        outcome.accounts.iter().map(part).sum::<i64>() / 1000
    };
    println!(
        "earned by uploads {}, by seeding {}, spent in the shop {}",
        sum(saving, |account| account.uploads_milli),
        sum(saving, |account| account.seeding_milli),
        sum(buying, |account| account.bought_milli)
    );
    let mut balances: Vec<i64> = buying
        .accounts
        .iter()
        .map(|account| account.balance_milli)
        .collect();
    balances.sort_unstable_by(|one, other| other.cmp(one));
    let all: i64 = balances.iter().sum();
    let top: i64 = balances.iter().take(balances.len() / 100).sum();
    println!(
        "the richest hundredth has {} % of it",
        top * 100 / all.max(1)
    );
}

fn credits(milli: i64) -> f64 {
    milli as f64 / 1000.0
}

/// splitmix64: nobody needs more here, and it is the same in every version of everything.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u32) -> u32 {
        (self.next() % u64::from(end.max(1))) as u32
    }
}

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

struct Site {
    history: History,
    kinds: Vec<Kind>,
    random: Random,
    swarms: Vec<Vec<Peer>>,
    downloads: Vec<Download>,
    /// Sums of 1 / rank, for choices by Zipf's law.
    zipf: Vec<u64>,
    moved: BTreeMap<(u32, u32), Counters>,
}

impl Site {
    fn new(days: u32) -> Self {
        let most = TORRENTS_BEFORE + days * TORRENTS_A_DAY;
        let zipf = (1..=u64::from(most)).scan(0, |sum, rank| {
            *sum += 1_000_000_000 / (rank + 5); // the first few aren't everything
            Some(*sum)
        });
        let mut site = Self {
            history: History::default(),
            kinds: Vec::new(),
            random: Random(SEED),
            swarms: Vec::new(),
            downloads: Vec::new(),
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
        // Who doesn't keep it is there for an hour or two.
        let secs = if days == 0 { 2 * HOUR } else { days * DAY };
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

    fn hour(&mut self, hour: u32) {
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
        }
        self.downloads = downloads;
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

    fn traffic(&self) -> Vec<Traffic> {
        let rows = self.moved.iter().map(|((member, torrent), moved)| Traffic {
            user: UserId(member + 1),
            torrent: TorrentId(torrent + 1),
            moved: *moved,
        });
        rows.collect()
    }
}
