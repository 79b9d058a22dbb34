//! The server as the kernel sees it: CPU time by groups of threads, and memory.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::tally::round;

/// Fewer ticks than this, and how they divide into user and kernel time says nothing.
const TICKS_MIN: u64 = 20;

/// A process that is measured.
#[derive(Clone, Copy, Debug)]
pub struct Server {
    /// Its number.
    pub pid: u32,
}

/// What its threads have used up to a moment.
#[derive(Clone, Debug)]
pub struct Moment {
    threads: BTreeMap<u32, Thread>,
    /// Resident memory, in bytes.
    pub rss: u64,
}

#[derive(Clone, Debug)]
struct Thread {
    group: String,
    cpu: Duration,
    user_ticks: u64,
    kernel_ticks: u64,
}

impl Server {
    /// Now.
    pub fn look(self) -> Result<Moment> {
        let process = format!("/proc/{}", self.pid);
        let mut threads = BTreeMap::new();
        let tasks = fs::read_dir(format!("{process}/task"));
        for task in tasks.with_context(|| format!("no process {}", self.pid))? {
            let task = task?;
            let number = task.file_name().to_string_lossy().parse();
            // A thread may end between the two.
            if let (Ok(number), Some(thread)) = (number, read_thread(&task.path())) {
                threads.insert(number, thread);
            }
        }
        let status = fs::read_to_string(format!("{process}/status"))?;
        Ok(Moment {
            threads,
            rss: resident(&status).context("no VmRSS")?,
        })
    }
}

impl Moment {
    /// What has been used since an earlier moment, in µs a request, by group and in all.
    pub fn cpu_per_request(&self, since: &Self, requests: u64) -> Value {
        let mut groups: BTreeMap<&str, [f64; 3]> = BTreeMap::new();
        for (number, thread) in &self.threads {
            let before = since.threads.get(number);
            let cpu = thread.cpu - before.map_or(Duration::ZERO, |before| before.cpu);
            let user = thread.user_ticks - before.map_or(0, |before| before.user_ticks);
            let kernel = thread.kernel_ticks - before.map_or(0, |before| before.kernel_ticks);
            let used = [cpu.as_secs_f64(), user as f64, kernel as f64];
            for group in [thread.group.as_str(), "all"] {
                let sums = groups.entry(group).or_default();
                sums.iter_mut()
                    .zip(used)
                    .for_each(|(sum, more)| *sum += more);
            }
        }
        let show = |(name, [cpu, user, kernel]): (&str, [f64; 3])| {
            let micros = cpu * 1e6 / requests.max(1) as f64;
            let ticks = user + kernel;
            let share = (ticks >= TICKS_MIN as f64).then(|| round(micros * kernel / ticks));
            let value = json!({ "us": round(micros), "of_that_kernel_us": share });
            (name.to_owned(), value)
        };
        Value::Object(groups.into_iter().map(show).collect::<Map<_, _>>())
    }
}

fn read_thread(task: &Path) -> Option<Thread> {
    let name = fs::read_to_string(task.join("comm")).ok()?;
    let schedstat = fs::read_to_string(task.join("schedstat")).ok()?;
    let stat = fs::read_to_string(task.join("stat")).ok()?;
    let nanos = schedstat.split(' ').next()?.parse().ok()?;
    // The name is in parentheses and may have some itself. Then come the state, which is field 3, and numbers.
    let mut fields = stat[stat.rfind(')')? + 2..].split(' ').skip(14 - 3);
    Some(Thread {
        group: group(name.trim_end()).to_owned(),
        cpu: Duration::from_nanos(nanos),
        user_ticks: fields.next()?.parse().ok()?,
        kernel_ticks: fields.next()?.parse().ok()?,
    })
}

/// A thread's name without its number: `announce-0` and `announce-1` are one group.
fn group(name: &str) -> &str {
    name.trim_end_matches(|c: char| c.is_ascii_digit())
        .trim_end_matches('-')
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: u64 = line.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn threads_are_grouped_by_name() {
        for (name, expected) in [
            ("announce-0", "announce"),
            ("announce-12", "announce"),
            ("journal-sync", "journal-sync"),
            ("purser", "purser"),
        ] {
            assert_eq!(group(name), expected);
        }
    }

    #[test]
    fn own_work_is_seen() {
        let server = Server {
            pid: std::process::id(),
        };
        let before = server.look().unwrap();
        let mut sum = 0_u64;
        (0..30_000_000_u64).for_each(|n| sum = std::hint::black_box(sum ^ n));
        let used = server.look().unwrap().cpu_per_request(&before, 1);
        assert!(used["all"]["us"].as_f64().unwrap() > 1_000.0, "{used}");
        assert!(before.rss > 100_000);
    }
}
