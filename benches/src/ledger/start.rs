//! Loading a site as at a start, stage by stage.

use std::time::Instant;

use anyhow::{Result, ensure};
use persister::load::{Stage, load};
use store::Store;
use tokio::runtime::Builder;
use tracker_core::ids::UnixTime;
use tracker_core::key::TokenKey;
use tracker_core::record::Role;
use tracker_core::settings::Settings;
use tracker_core::tracker::Tracker;

use super::cpu;
use super::crowd::{Crowd, Extent};
use super::database::{self, Database};
use super::report::{Report, bar};
use crate::Size;

const ROUNDS: usize = 3;

/// `url` is an empty database.
pub fn run(size: Size, url: &str) -> Result<Report> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let extent = Extent {
        users: size.pick(300, 1_000_000),
        torrents: size.pick(100, 200_000),
        sessions: size.pick(1_000, 2_000_000),
    };
    runtime.block_on(start(extent, url))
}

async fn start(extent: Extent, url: &str) -> Result<Report> {
    let mut report = Report::new(format!("start, {}", database::system(url)));
    let now = UnixTime::now();
    let store = Store::open(url).await?;
    {
        let crowd = Crowd::new(extent, now);
        let mut database = Database::connect(url).await?;
        database.fill(&store, "bench", &crowd).await?;
    }
    let mut rounds = [vec![], vec![], vec![], vec![], vec![]];
    for round in 0..ROUNDS {
        let used = cpu::of_this_thread()?;
        let (stages, tracker) = timed(&store, now).await?;
        let used = cpu::of_this_thread()? - used;
        if round == 0 {
            let peers = [Role::Leecher, Role::Seeder].map(|role| tracker.swarms.peers(role));
            report.figure("peers", vec![peers.iter().sum::<u64>() as f64]);
        }
        ensure!(
            tracker.roster.len() == extent.users as usize,
            "members are missing"
        );
        let figures = stages
            .into_iter()
            .chain([stages.iter().sum(), used.as_secs_f64()]);
        rounds
            .iter_mut()
            .zip(figures)
            .for_each(|(all, one)| all.push(one));
    }
    let [members, torrents, sessions, total, used] = rounds;
    report.figure("members, s", members);
    report.figure("torrents, s", torrents);
    report.figure("sessions, s", sessions);
    report.aim("in all, s", total, "under 20");
    report.figure("CPU of the tracker in all, s", used);
    store.close().await;
    Ok(report)
}

/// Seconds of each stage.
async fn timed(store: &Store, now: UnixTime) -> Result<([f64; 3], Tracker)> {
    let tracker = Tracker::new(TokenKey::from_bytes([7; 32]), Settings::default());
    let bar = bar("load", 0);
    let mut seconds = [0.0; 3];
    let (mut at, mut begun) = (0, Instant::now());
    let loaded = load(store, &tracker, now, &mut |progress| {
        let stage = match progress.stage {
            Stage::Members => 0,
            Stage::Torrents => 1,
            Stage::Sessions | Stage::Journal => 2,
        };
        if stage != at {
            seconds[at] = begun.elapsed().as_secs_f64();
            (at, begun) = (stage, Instant::now());
        }
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    })
    .await?;
    seconds[at] = begun.elapsed().as_secs_f64();
    bar.finish_and_clear();
    drop(loaded);
    Ok((seconds, tracker))
}
