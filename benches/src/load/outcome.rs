//! Figures of a run: for machines on one line, for people as a table.

use std::fmt::Write;
use std::fs;
use std::process::Command;

use serde_json::{Map, Value, json};

use super::tally::Failures;

/// What a run has found.
#[derive(Debug)]
pub struct Outcome {
    /// Figures, and groups of figures.
    pub figures: Value,
    /// What went wrong.
    pub failures: Failures,
}

impl Outcome {
    /// All of it, with the parameters and the machine.
    pub fn json(&self, label: Option<&str>, parameters: &Value) -> Value {
        json!({
            "label": label,
            "parameters": parameters,
            "machine": machine(),
            "commit": commit(),
            "figures": self.figures,
            "failures": self.failures.by_reason(),
        })
    }

    /// A figure a line.
    pub fn table(&self) -> String {
        let mut text = String::new();
        rows(&mut text, "", &self.figures);
        for (reason, count) in self.failures.by_reason() {
            let _ = writeln!(text, "FAILED {count:>10}  {reason}");
        }
        text
    }
}

fn rows(text: &mut String, prefix: &str, value: &Value) {
    let Value::Object(fields) = value else {
        let _ = writeln!(text, "{prefix:<44} {value:>14}");
        return;
    };
    for (name, value) in fields {
        let name = match prefix {
            "" => name.clone(),
            prefix => format!("{prefix} {name}"),
        };
        rows(text, &name, value);
    }
}

/// Where it ran.
pub fn machine() -> Value {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| Some(line.split_once(':')?.1.trim().to_owned()))
    };
    json!({
        "cpu": field(&read("/proc/cpuinfo"), "model name"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory": field(&read("/proc/meminfo"), "MemTotal"),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load": read("/proc/loadavg").split(' ').next(),
    })
}

/// Which commit, if this is run in a checkout.
fn commit() -> Option<String> {
    let git = Command::new("git")
        .args(["describe", "--always", "--dirty", "--exclude=*"])
        .output()
        .ok()?;
    let name = String::from_utf8(git.stdout).ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Puts groups of figures side by side.
pub fn merge(groups: impl IntoIterator<Item = Value>) -> Value {
    let fields = groups.into_iter().filter_map(|group| match group {
        Value::Object(fields) => Some(fields),
        _ => None,
    });
    Value::Object(fields.flatten().collect::<Map<_, _>>())
}
