//! Where log lines go: stderr always, and a file when the config names one.

use std::io::{self, IsTerminal};
use std::path::Path;

use anyhow::{Context, Result};
use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::config::{Log, LogFormat};

/// Writes out what the file still lacks when it is dropped: keep it for as long as the program runs.
#[must_use = "dropped, it ends the log file"]
pub(crate) struct LogGuard {
    _file: Option<WorkerGuard>,
}

/// Called once in a process.
pub(crate) fn start(log: &Log) -> Result<LogGuard> {
    let filter =
        EnvFilter::try_new(&log.filter).with_context(|| format!("log.filter: {:?}", log.filter))?;
    let (file, guard) = open_file(log)?.unzip();
    tracing_subscriber::registry()
        .with(filter)
        .with(stderr_layer(log.format))
        .with(file.map(|file| fmt::layer().json().with_writer(file)))
        .try_init()
        .context("logs can be started once")?;
    Ok(LogGuard { _file: guard })
}

fn stderr_layer<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
{
    let terminal = io::stderr().is_terminal();
    let text = match format {
        LogFormat::Auto => terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let layer = fmt::layer().with_writer(io::stderr);
    if text {
        layer.with_ansi(terminal).boxed()
    } else {
        layer.json().boxed()
    }
}

/// A thread of its own writes the file, so that a slow disk doesn't hold up an announce. Its queue has a limit (128,000
/// lines); lines beyond it are dropped.
fn open_file(log: &Log) -> Result<Option<(NonBlocking, WorkerGuard)>> {
    if log.file.is_empty() {
        return Ok(None);
    }
    let path = Path::new(&log.file);
    let part =
        |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let mut builder = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix(part(path.file_stem()));
    if path.extension().is_some() {
        builder = builder.filename_suffix(part(path.extension()));
    }
    if log.keep_files > 0 {
        let with_today = usize::try_from(log.keep_files)?.saturating_add(1);
        builder = builder.max_log_files(with_today);
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let file = builder
        .build(folder.unwrap_or(Path::new(".")))
        .with_context(|| format!("log.file: can't write {}", log.file))?;
    Ok(Some(tracing_appender::non_blocking(file)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::io::Write;

    use super::*;

    #[test]
    fn the_file_carries_the_day_in_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let log = Log {
            file: dir.path().join("logs/purser.log").display().to_string(),
            ..Log::default()
        };
        let (mut file, guard) = open_file(&log).unwrap().unwrap();
        file.write_all(b"a line\n").unwrap();
        drop(guard);
        let mut files = std::fs::read_dir(dir.path().join("logs")).unwrap();
        let file = files.next().unwrap().unwrap();
        let name = file.file_name().into_string().unwrap();
        let day = name
            .strip_prefix("purser.")
            .and_then(|rest| rest.strip_suffix(".log"));
        assert!(day.unwrap().parse::<jiff::civil::Date>().is_ok(), "{name}");
        assert_eq!(std::fs::read_to_string(file.path()).unwrap(), "a line\n");
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let log = Log {
            file: "/dev/null/purser.log".to_owned(),
            ..Log::default()
        };
        let error = format!("{:#}", open_file(&log).map(drop).unwrap_err());
        assert!(
            error.starts_with("log.file: can't write /dev/null/purser.log: "),
            "{error}"
        );
    }
}
