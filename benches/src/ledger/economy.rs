//! What the economy's jobs take: an hour's traffic settled, and an hour's seeders paid.

use std::time::Instant;

use anyhow::{Result, ensure};
use economy::policy::Policy;
use store::{Store, Terms};
use tokio::runtime::Builder;
use tracker_core::ids::UnixTime;

use super::crowd::{Crowd, Extent};
use super::database::{self, Database};
use super::report::Report;
use crate::Size;

/// Each another hour.
const ROUNDS: u32 = 3;

/// As `purser` does.
const MEMBERS_AT_A_TIME: u32 = 2000;

/// Of a session, at the usual interval.
const ANNOUNCES_AN_HOUR: f64 = 2.0;

/// Everybody seeds.
const ALL_SEED: &str = "
    update sessions
    set role = 'seeder', active = true";

/// Each session has moved something in the hour that is over.
const MOVE: &str = "
    insert into traffic (
        hour, user_id, torrent_id, class, uploaded, downloaded, counted_uploaded, counted_downloaded)
    select distinct cast(12 as bigint), user_id, torrent_id, 'newbie', cast(1073741824 as bigint), cast(1024 as bigint),
        cast(107374182400 as bigint), cast(102400 as bigint)
    from sessions
    where true
    on conflict (hour, user_id, torrent_id, class) do update
    set counted_uploaded = traffic.counted_uploaded + excluded.counted_uploaded,
        counted_downloaded = traffic.counted_downloaded + excluded.counted_downloaded";

/// In hour 12.
const UNSETTLE: &str = "
    update users
    set unsettled_since = 12, traffic_until = 12";

/// `url` is an empty database.
pub fn run(size: Size, url: &str) -> Result<Report> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let extent = Extent {
        users: size.pick(300, 100_000),
        torrents: size.pick(100, 50_000),
        sessions: size.pick(1_000, 1_000_000),
    };
    runtime.block_on(economy(extent, url))
}

async fn economy(extent: Extent, url: &str) -> Result<Report> {
    let mut report = Report::new(format!("economy, {}", database::system(url)));
    let now = UnixTime::now();
    let store = Store::open(url).await?;
    let mut database = Database::connect(url).await?;
    database
        .fill(&store, "bench", &Crowd::new(extent, now))
        .await?;
    database.execute(ALL_SEED).await?;
    database.settle().await?;
    store.count_peers(3).await?;
    report.figure("sessions that seed", vec![extent.sessions.into()]);

    let policy = Policy::default();
    let mut seconds = Vec::new();
    for round in 0..ROUNDS {
        let hour = UnixTime(now.0 + round * 3600);
        let begun = Instant::now();
        let paid = store
            .pay_seeders(&policy.seeding, UnixTime(0), hour, MEMBERS_AT_A_TIME)
            .await?;
        seconds.push(begun.elapsed().as_secs_f64());
        ensure!(paid > 0, "nobody was paid");
        if round == 0 {
            report.figure("members paid", vec![paid as f64]);
        }
    }
    report.aim("seeders paid, s", seconds, "under 10");

    let terms = Terms {
        earning: policy.earning,
        multiplier_milli: 1000,
        class_upload_percent: [100; 4],
    };
    let after = UnixTime(13 * 3600);
    let (mut seconds, mut micros) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        database.execute(MOVE).await?;
        database.execute(UNSETTLE).await?;
        database.settle().await?;
        let begun = Instant::now();
        let settled = store.settle(&terms, after, MEMBERS_AT_A_TIME).await?;
        let elapsed = begun.elapsed().as_secs_f64();
        seconds.push(elapsed);
        micros.push(elapsed * 1e6 / (ANNOUNCES_AN_HOUR * f64::from(extent.sessions)));
        ensure!(settled.entries > 0, "nothing was entered");
        if round == 0 {
            report.figure("members with traffic", vec![settled.members as f64]);
        }
    }
    report.figure("an hour's traffic of them settled, s", seconds);
    report.figure("settling, µs an announce of the hour", micros);
    store.close().await;
    Ok(report)
}
