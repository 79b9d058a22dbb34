//! Thirty days of a site, through its doors: members announce to a tracker whose clock is the test's, the ledger and the jobs
//! follow, and the REST API shows what has become of them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use api_server::services::conduct::review;
use economy::policy::Policy;
use economy::seeding::{Seeded, hourly_milli};
use economy::window::{Scope, Window};
use persister::flush::Persister;
use persister::follow::Follower;
use persister::journal::{self, JournalId, Options, Writer};
use persister::lanes::Lanes;
use persister::load::load;
use serde_json::Value;
use store::{Store, Terms};
use tempfile::TempDir;
use tracker_core::ids::{UnixTime, UserId};
use tracker_core::key::TokenKey;
use tracker_core::refusal::{Refusal, Warning};
use tracker_core::registry::UserClass;
use tracker_core::settings::Settings;
use tracker_core::tracker::{Outcome, Scratch, Tracker};

use crate::people::{Caller, Club};
use crate::site::{Database, runtime, until};

on_both_databases!(thirty_days_come_to_what_they_should);

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const HOUR: u32 = 3600;
const DAY: u32 = 24 * HOUR;

/// The first second of a day, in the past for whatever else looks at the clock.
const START: UnixTime = UnixTime(1_700_006_400);

/// What ann sends in half an hour: 3 GiB a day.
const ANN_SENDS: u64 = 64 * MIB;

/// What bob takes in half an hour while he downloads, and he sends a sixteenth of it.
const BOB_TAKES: u64 = 512 * MIB;

/// From noon of the fourth day to noon of the fifth, downloads are free and uploads count double.
const FEAST: [u32; 2] = [3 * DAY + 12 * HOUR, 4 * DAY + 12 * HOUR];

/// A tracker, its journal, and what brings that into the site's database; none of them looks at a clock.
struct Process {
    tracker: Arc<Tracker>,
    writer: Writer,
    persister: Persister,
    follower: Follower,
    scratch: Scratch,
    hash: String,
    _folder: TempDir,
}

impl Process {
    async fn start(store: &Store, hash: String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = TokenKey::from_bytes([7; 32]);
        let tracker = Arc::new(Tracker::new(key, Settings::default()));
        let lanes = Lanes::settled(store, "month").await.unwrap();
        let options = Options {
            dir: folder.path().join("journal"),
            id: JournalId([1; 8]),
            segment_bytes: 1 << 16,
            limit_bytes: 1 << 30,
        };
        let (writer, log, _) = journal::open(options, lanes.applied()).unwrap();
        let loaded = load(store, &tracker, START, &mut |_| {}).await.unwrap();
        let (store, tracked) = (store.clone(), Arc::clone(&tracker));
        Self {
            persister: Persister::new(store.clone(), tracked.clone(), log, lanes, loaded.baselines),
            follower: Follower::new(store, tracked, loaded.change),
            tracker,
            writer,
            scratch: Scratch::new(),
            hash,
            _folder: folder,
        }
    }

    fn announce(&mut self, user: u8, at: UnixTime, (up, down): (u64, u64), rest: &str) -> Outcome {
        let hash = &self.hash;
        let query = format!(
            "info_hash={hash}&peer_id=-XX0001-{user:012}&port={}&uploaded={up}&downloaded={down}&{rest}",
            1000 + u16::from(user)
        );
        let key = format!("{user:02x}").repeat(16);
        let from = IpAddr::V4(Ipv4Addr::new(192, 0, 2, user));
        let key = Some(key.as_bytes());
        let tracker = Arc::clone(&self.tracker);
        let announced = tracker.announce(key, query.as_bytes(), from, at, &mut self.scratch);
        announced.outcome
    }

    /// What the journal's thread, the persister and the follower do by themselves.
    async fn settle_down(&mut self) {
        let mut records = Vec::new();
        let outbox = &self.tracker.outbox;
        outbox.drain(&mut Vec::new(), |record| records.push(*record));
        if !records.is_empty() {
            self.writer.append(&records).unwrap();
        }
        self.persister.flush().await.unwrap();
        self.follower.catch_up().await.unwrap();
    }
}

impl Club {
    /// The program's own jobs would look at the site as it is years later.
    fn stop_the_clock(&self) {
        let jobs = ["peers", "settle", "seeding", "conduct", "expiry", "mail"];
        let idle = |job: &str| {
            let free = "select count(*) from jobs where holder is not null";
            let held: Vec<(i64,)> = self.site.rows(free);
            (held == [(0,)]).then(|| {
                let rows: Vec<(String,)> = self.site.rows(&format!(
                    "insert into jobs (name, done_until) values ('{job}', 4000000000)
                     on conflict (name) do update set done_until = 4000000000 returning name"
                ));
                assert_eq!(rows.len(), 1);
            })
        };
        // Those of the start first, each of which says that it is done.
        until(|| {
            let ended: Vec<(i64,)> = self
                .site
                .rows("select count(*) from jobs where started_at is not null");
            (ended == [(jobs.len() as i64,)]).then_some(())
        });
        for job in jobs {
            until(|| idle(job));
        }
    }

    /// A member since the month's first second, with a passkey made of their number.
    fn member_since_start(&self, name: &str, number: u8, database: Database) -> Caller {
        let caller = self.member(name);
        let digits = format!("{number:02x}").repeat(16);
        let passkey = match database {
            Database::Sqlite => format!("x'{digits}'"),
            Database::Postgres => format!("'\\x{digits}'::bytea"),
        };
        let rows: Vec<(i64,)> = self.site.rows(&format!(
            "update users set passkey = {passkey}, created_at = {} where username_key = '{name}' returning id",
            START.0
        ));
        assert_eq!(rows.len(), 1);
        caller
    }
}

/// The jobs, as the clock would have started them.
async fn run_jobs(store: &Store, policy: &Policy, at: UnixTime) {
    let terms = Terms {
        earning: policy.earning,
        multiplier_milli: 1000,
        class_upload_percent: UserClass::ALL
            .map(|class| policy.class(class).privileges.upload_percent),
    };
    store.count_peers(3).await.unwrap();
    store.settle(&terms, at, 100).await.unwrap();
    // Asked twice, they do nothing more.
    assert_eq!(store.settle(&terms, at, 100).await.unwrap().entries, 0);
    let since = UnixTime(at.0 - HOUR);
    store
        .pay_seeders(&policy.seeding, since, at, 100)
        .await
        .unwrap();
    assert_eq!(
        store
            .pay_seeders(&policy.seeding, since, at, 100)
            .await
            .unwrap(),
        0
    );
    if at.0.is_multiple_of(DAY) {
        review(store, policy, 500, at).await.unwrap();
    }
}

/// Amounts, and the balances after them.
fn entries(who: &Caller, kind: &str) -> Vec<(i64, i64)> {
    let rows = who.all("/api/credits/transactions/?limit=200");
    let of_kind = rows.iter().filter(|row| row["kind"] == kind);
    let number = |row: &Value, key| row[key].as_i64().unwrap();
    of_kind
        .map(|row| (number(row, "amount_milli"), number(row, "balance_milli")))
        .collect()
}

fn told(who: &Caller, kind: &str) -> Vec<Value> {
    let rows = who.all("/api/user/notifications/?limit=200");
    let of_kind = rows.into_iter().filter(|row| row["kind"] == kind);
    of_kind.collect()
}

fn thirty_days_come_to_what_they_should(database: Database) {
    let club = Club::open(database);
    let admin = club.admin();
    club.stop_the_clock();
    let ann = club.member_since_start("ann", 0x11, database);
    let bob = club.member_since_start("bob", 0x22, database);
    let hash = club.site.add_torrent();
    // A tracker beside it would find everybody silent for years.
    let Club { site, server } = club;
    server.stop();
    let club = Club {
        server: site.start("api"),
        site,
    };
    let again = |who: &Caller| Caller::at(&club.server).with(who.bearer.as_ref().unwrap());
    let (ann, bob, admin) = (again(&ann), again(&bob), again(&admin));
    let size = 50 * GIB;
    let rows: Vec<(i64,)> = club.site.rows(&format!(
        "update torrents set size = {size}, created_at = {} returning id",
        START.0
    ));
    assert_eq!(rows.len(), 1);
    let policy = Policy::default();
    let stats = |who: &Caller| who.get("/api/user/stats/").json();
    let class = |who: &Caller| who.get("/api/user/profile/").json()["user_class"].clone();
    let admin = u32::try_from(admin.id()).unwrap();

    let runtime = runtime();
    let store = runtime
        .block_on(Store::open(&club.site.database_url()))
        .unwrap();
    let mut process = runtime.block_on(async {
        let feast = Window {
            scope: Scope::Global,
            download_percent: 0,
            upload_percent: 200,
            starts_at: UnixTime(START.0 + FEAST[0]),
            ends_at: Some(UnixTime(START.0 + FEAST[1])),
        };
        store
            .create_policy(&feast, "a feast", UserId(admin), START)
            .await
            .unwrap();
        Process::start(&store, hash).await
    });

    let (mut sent, mut bobs) = (0, (0, 0));
    for half_hour in 0..30 * 48_u32 {
        let at = UnixTime(START.0 + half_hour * HOUR / 2);
        let day = half_hour / 48;
        let event = if half_hour == 0 { "&event=started" } else { "" };
        let announced = process.announce(0x11, at, (sent, 0), &format!("left=0{event}"));
        assert_eq!(announced, Outcome::Answered, "ann, {half_hour}");
        let announced = process.announce(0x22, at, bobs, &format!("left=9{event}"));
        // From the first look on that finds his ratio too low he is warned, for two weeks.
        match half_hour {
            0..=48 => assert_eq!(announced, Outcome::Answered, "bob, {half_hour}"),
            49..=720 => assert_eq!(
                announced,
                Outcome::Warned(Warning::LowRatio),
                "bob, {half_hour}"
            ),
            _ => {
                let suspended = Outcome::Refused(Refusal::LeechSuspended);
                assert_eq!(announced, suspended, "bob, {half_hour}");
            }
        }
        sent += ANN_SENDS;
        if day < 6 {
            bobs = (bobs.0 + BOB_TAKES / 16, bobs.1 + BOB_TAKES);
        }
        runtime.block_on(async {
            process.settle_down().await;
            if half_hour % 2 == 0 {
                run_jobs(&store, &policy, at).await;
                process.settle_down().await;
            }
        });
        match half_hour {
            // Before the feast everything counts as it is.
            160 => {
                let bob = stats(&bob);
                assert_eq!(bob["credited_downloaded"], 160 * BOB_TAKES);
                assert_eq!(bob["downloaded"], 160 * BOB_TAKES);
            }
            // She has 10 GiB for days, and then the week too.
            335 => assert_eq!(class(&ann), "newbie"),
            336 => assert_eq!(class(&ann), "member"),
            _ => {}
        }
    }

    // From an hour that an announce ended, to one that an announce began: the edges split nothing.
    let free = u64::from((FEAST[1] - FEAST[0]) / (HOUR / 2));
    let bob_stats = stats(&bob);
    assert_eq!(bob_stats["downloaded"], 288 * BOB_TAKES);
    assert_eq!(bob_stats["credited_downloaded"], (288 - free) * BOB_TAKES);
    assert_eq!(
        bob_stats["credited_uploaded"],
        (288 + free) * BOB_TAKES / 16
    );
    let total = 30 * 48 - 1;
    let ann_stats = stats(&ann);
    assert_eq!(ann_stats["uploaded"], total * ANN_SENDS);
    assert_eq!(ann_stats["credited_uploaded"], (total + free) * ANN_SENDS);
    assert_eq!(ann_stats["seed_time_secs"], total * u64::from(HOUR / 2));

    // An hour's two announces of 64 MiB earn an eighth of a credit, or a quarter at the feast; the first hour has one. The
    // last one is not over.
    let hours = entries(&ann, "upload")
        .into_iter()
        .map(|(amount, _)| amount);
    let hours: Vec<i64> = hours.collect();
    // In the hour in which she became a member, one for each class.
    assert_eq!(hours.len(), 30 * 24 - 1 + 1);
    let halves = hours.iter().filter(|amount| **amount == 62).count();
    assert_eq!(halves, 1 + 2);
    assert_eq!(
        hours.last(),
        Some(&62),
        "the first hour: half of 125, in whole thousandths"
    );
    let doubled = hours.iter().filter(|amount| **amount == 250).count();
    let plain = hours.iter().filter(|amount| **amount == 125).count();
    assert_eq!((doubled, plain), (23, 30 * 24 - 1 - 1 - 1 - 25));
    let bridging = hours
        .iter()
        .filter(|amount| [187, 188].contains(*amount))
        .count();
    assert_eq!(bridging, 2);
    let paid = entries(&ann, "seeding");
    assert_eq!(paid.len(), 30 * 24);
    // Newest first; each by the torrent's age and her balance at the time, and ann is the only one who seeds it.
    for (hour, (amount, balance)) in (0..30 * 24).rev().zip(paid) {
        let seeded = Seeded {
            size,
            seeders: 1,
            age_secs: hour * HOUR,
        };
        assert_eq!(
            amount,
            hourly_milli(&policy.seeding, balance - amount, [seeded].into_iter()),
            "hour {hour}"
        );
    }
    let balance = ann.get("/api/credits/balance/").json();
    let sum: i64 = ann
        .all("/api/credits/transactions/?limit=200")
        .iter()
        .map(|row| row["amount_milli"].as_i64().unwrap())
        .sum();
    assert_eq!(balance["credits_milli"], sum);

    let ratios: Vec<_> = told(&bob, "ratio");
    assert_eq!(ratios.len(), 2, "{ratios:?}");
    assert!(
        ratios[0]["message"]
            .as_str()
            .unwrap()
            .contains("downloads are suspended")
    );
    assert!(
        ratios[1]["message"]
            .as_str()
            .unwrap()
            .contains("your ratio is below 0.5")
    );
    assert_eq!(told(&ann, "class").len(), 1);
    runtime.block_on(store.close());
}
