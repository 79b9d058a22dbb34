//! CPU time that the kernel has counted for threads, in nanoseconds: the first figure of `schedstat`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

/// The calling thread.
pub(super) fn of_this_thread() -> Result<Duration> {
    read(Path::new("/proc/thread-self"))
}

/// A process with one thread, as Postgres's are.
pub(super) fn of_process(pid: i32) -> Result<Duration> {
    read(Path::new(&format!("/proc/{pid}")))
}

/// All threads of this process whose name begins so, together.
pub(super) fn of_threads(prefix: &str) -> Result<Duration> {
    let mut total = Duration::ZERO;
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        // A thread may end between the two.
        let name = fs::read_to_string(task.join("comm")).unwrap_or_default();
        if name.starts_with(prefix) {
            total += read(&task).unwrap_or_default();
        }
    }
    Ok(total)
}

/// The machine's load over the last minute.
pub(super) fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}

fn read(process: &Path) -> Result<Duration> {
    let path = process.join("schedstat");
    let text = fs::read_to_string(&path).with_context(|| format!("can't read {path:?}"))?;
    let nanos = text.split(' ').next().context("empty schedstat")?;
    Ok(Duration::from_nanos(nanos.parse()?))
}
