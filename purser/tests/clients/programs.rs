//! Programs that run while a test does, and end with it.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// For a program that was told to end.
const TO_END: Duration = Duration::from_secs(60);

/// Looks again and again until it is so, or too much time has passed.
pub(crate) fn until(what: &str, patience: Duration, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < patience, "waited {patience:?} for {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// A child process with its log. Killed when dropped; a failing test shows the log.
pub(crate) struct Program {
    pub(crate) child: Child,
    log: PathBuf,
}

impl Program {
    /// stderr goes to the log, and stdout too unless the command has a place for it.
    pub(crate) fn start(mut command: Command, log: PathBuf, stdout: Option<Stdio>) -> Self {
        let file = File::create(&log).unwrap();
        let stdout = stdout.unwrap_or_else(|| file.try_clone().unwrap().into());
        let child = command
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(file)
            .spawn();
        let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child, log }
    }

    /// Tells it to end, and waits until it has.
    pub(crate) fn end(&mut self, signal: Signal) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        let mut status = None;
        until("the end of a program", TO_END, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails when it has ended by itself, which is just as well.
        self.child.kill().ok();
        self.child.wait().ok();
        if thread::panicking() {
            let log = fs::read(&self.log).unwrap_or_default();
            eprintln!(
                "== {}\n{}",
                self.log.display(),
                String::from_utf8_lossy(&log)
            );
        }
    }
}

/// A command without what in our environment could make a client use a proxy, or somebody's settings.
pub(crate) fn clean(program: &str, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("HOME", home).current_dir(home);
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}

/// A port below those that the kernel gives out by itself, so that no connection takes it before the client does.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % 10_000) as u16;
    let ports = || 20_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
    std::iter::repeat_with(ports)
        .take(1000)
        .find(|&port| TcpListener::bind(("::", port)).is_ok())
        .expect("a free port")
}
