//! An empty working directory, and the program in it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Gone when it is dropped.
pub(crate) struct Sandbox {
    dir: TempDir,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    /// The names in a folder, sorted.
    pub(crate) fn files(&self, folder: &str) -> Vec<String> {
        let name =
            |file: std::io::Result<fs::DirEntry>| file.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<_> = fs::read_dir(self.path(folder)).unwrap().map(name).collect();
        names.sort();
        names
    }

    /// `purser` with these arguments, divided by blanks.
    pub(crate) fn run(&self, args: &str) -> Run {
        self.run_with(args, &[], "")
    }

    /// The same with these variables, and this on stdin.
    pub(crate) fn run_with(&self, args: &str, env: &[(&str, &str)], stdin: &str) -> Run {
        let mut child = program(self.dir.path())
            .args(args.split_whitespace())
            .envs(env.iter().copied())
            .spawn()
            .unwrap();
        // A program that doesn't read its stdin may be gone before we have written.
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).ok();
        let output = child.wait_with_output().unwrap();
        Run {
            status: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// What a run that must go well prints.
    pub(crate) fn good(&self, args: &str) -> String {
        self.good_with(args, "")
    }

    pub(crate) fn good_with(&self, args: &str, stdin: &str) -> String {
        let run = self.run_with(args, &[], stdin);
        assert_eq!(run.status, Some(0), "{args}: {run:?}");
        run.stdout
    }

    /// The one line that a run gives that must fail with this status.
    pub(crate) fn bad(&self, args: &str, status: i32) -> String {
        self.bad_with(args, &[], "", status)
    }

    pub(crate) fn bad_with(
        &self,
        args: &str,
        env: &[(&str, &str)],
        stdin: &str,
        status: i32,
    ) -> String {
        let run = self.run_with(args, env, stdin);
        assert_eq!(run.status, Some(status), "{args}: {run:?}");
        assert_eq!(run.stdout, "", "{args}: {run:?}");
        let line = run.stderr.strip_suffix('\n').unwrap();
        assert_eq!(line.lines().count(), 1, "{args}: {run:?}");
        line.strip_prefix("purser: ").unwrap().to_owned()
    }
}

fn program(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_purser"));
    command
        .current_dir(dir)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}
