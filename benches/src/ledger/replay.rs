//! The journal read back: into the swarms, as at a start, and read alone.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use persister::journal::{Log, Position};
use persister::load::replay;
use tracker_core::ids::UnixTime;
use tracker_core::record::Record;
use tracker_core::tracker::Tracker;

use super::crowd::{Crowd, Extent, Mix};
use super::report::{Report, bar};
use super::{cpu, records};
use crate::Size;

const ROUNDS: usize = 3;

/// Records in one write.
const ROUND: usize = 500;

/// The journal goes into `dir`.
pub fn run(size: Size, dir: &Path) -> Result<Report> {
    let mut report = Report::new("replay");
    let extent = Extent {
        users: size.pick(200, 100_000),
        torrents: size.pick(50, 200_000),
        sessions: size.pick(2_000, 1_000_000),
    };
    let now = UnixTime::now();
    let mut crowd = Crowd::new(extent, now);
    let tracker = crowd.tracker();
    let log = write(&mut crowd, size.pick(5_000, 3_000_000), dir)?;
    let (mut rates, mut reading, mut micros) = (vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        reading.push(read(&log)?);
        let (rate, micro) = replay_all(&log, &tracker, now)?;
        rates.push(rate);
        micros.push(micro);
    }
    report.figure("records", vec![log.end().0 as f64]);
    report.aim("replayed records/s", rates, "over 500,000");
    report.figure("replay CPU, µs a record", micros);
    report.figure("read alone, records/s", reading);
    Ok(report)
}

fn write(crowd: &mut Crowd, count: usize, dir: &Path) -> Result<Log> {
    let (mut writer, log) = records::open(dir)?;
    let mix = Mix {
        new: 0.0,
        completed: 0.03,
    };
    let bar = bar("journal", count as u64);
    for _ in 0..count.div_ceil(ROUND) {
        let round: Vec<Record> = (0..ROUND).map(|_| crowd.announce(mix)).collect();
        writer.append(&round)?;
        bar.inc(ROUND as u64);
    }
    bar.finish_and_clear();
    writer.sync()?;
    Ok(log)
}

fn read(log: &Log) -> Result<f64> {
    let begun = Instant::now();
    let mut reader = log.reader(Position(0));
    let read = reader.read(usize::MAX, |_, record| {
        black_box(record);
    })?;
    Ok(read as f64 / begun.elapsed().as_secs_f64())
}

/// Records a second, and microseconds of CPU a record.
fn replay_all(log: &Log, tracker: &Tracker, now: UnixTime) -> Result<(f64, f64)> {
    let bar = bar("replay", log.end().0);
    let (begun, used) = (Instant::now(), cpu::of_this_thread()?);
    let mut done = 0;
    replay(log, Position(0), tracker, now, &mut |progress| {
        done = progress.done;
        bar.set_position(done);
    })?;
    let (wall, used) = (begun.elapsed(), cpu::of_this_thread()? - used);
    ensure!(done == log.end().0, "replayed {done} records");
    bar.finish_and_clear();
    let records = done as f64;
    Ok((
        records / wall.as_secs_f64(),
        used.as_secs_f64() * 1e6 / records,
    ))
}
