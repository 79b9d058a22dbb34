//! Many runs' figures side by side: medians and spreads, and ratios within each round.
//!
//! A run's label is `SCENARIO/SUBJECT/ROUND`. What is compared takes turns, so that a ratio is of two runs that were
//! neighbours in time: absolute figures drift on shared machines, ratios less.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::ledger::report::{median, number};

/// One run.
#[derive(Clone, Debug)]
struct Run {
    scenario: String,
    subject: String,
    round: String,
    figures: BTreeMap<String, f64>,
    failures: u64,
}

/// Figures that have a row, in this order, with what they are called. The rest stays in the JSON. The kernel cuts
/// threads' names after 15 characters.
const ROWS: [(&str, &str); 21] = [
    ("requests_a_second", "requests/s"),
    ("server_cpu_per_request.all.us", "CPU µs a request"),
    (
        "server_cpu_per_request.all.of_that_kernel_us",
        "of that in the kernel",
    ),
    ("server_cpu_per_request.announce.us", "announce threads"),
    ("server_cpu_per_request.udp.us", "UDP threads"),
    ("server_cpu_per_request.journal.us", "journal thread"),
    (
        "server_cpu_per_request.journal-sync.us",
        "journal's fsync thread",
    ),
    (
        "server_cpu_per_request.tokio-rt-worker.us",
        "ledger and API threads",
    ),
    (
        "server_cpu_per_request.sqlx-sqlite-wor.us",
        "SQLite threads",
    ),
    ("generator_cpu_us", "generator's own CPU µs"),
    ("latency_us.p50", "p50 µs"),
    ("latency_us.p99", "p99 µs"),
    ("latency_us.p99.9", "p99.9 µs"),
    ("latency_us.max", "max µs"),
    ("service_us.p99", "p99 µs from the sending"),
    ("peers_per_announce", "peers a reply"),
    ("body_bytes_per_reply", "bytes of bencode a reply"),
    ("fill.a_second", "fill, `started`/s"),
    ("idle.rss_bytes_each", "bytes an idle connection"),
    ("lost_packets", "packets lost and sent again"),
    (
        "junk.reached_a_second",
        "junk packets/s that reached the server",
    ),
];

/// In a table of ratios.
const RATIOS: [(&str, &str); 4] = [
    ("server_cpu_per_request.all.us", "CPU a request"),
    (
        "server_cpu_per_request.announce.us",
        "its announce threads alone",
    ),
    ("requests_a_second", "requests/s"),
    ("latency_us.p99", "p99"),
];

/// A markdown section for each scenario. `lines`: what runs printed, each with a label.
pub fn markdown(lines: &str) -> Result<String> {
    let runs: Result<Vec<_>> = lines.lines().map(read).collect();
    let runs = runs?;
    let mut text = String::new();
    for scenario in in_order(&runs, |run| &run.scenario) {
        let runs: Vec<_> = runs.iter().filter(|run| run.scenario == scenario).collect();
        section(&mut text, scenario, &runs);
    }
    Ok(text)
}

fn read(line: &str) -> Result<Run> {
    let value: Value = serde_json::from_str(line)?;
    let label = value["label"].as_str().context("a run without a label")?;
    let [scenario, subject, round] = label.split('/').collect::<Vec<_>>()[..] else {
        bail!("{label:?} isn't SCENARIO/SUBJECT/ROUND");
    };
    let mut figures = BTreeMap::new();
    flatten(&mut figures, String::new(), &value["figures"]);
    let failures = value["failures"].as_object().into_iter().flatten();
    Ok(Run {
        scenario: scenario.to_owned(),
        subject: subject.to_owned(),
        round: round.to_owned(),
        figures,
        failures: failures.filter_map(|(_, count)| count.as_u64()).sum(),
    })
}

fn flatten(figures: &mut BTreeMap<String, f64>, name: String, value: &Value) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                let dot = if name.is_empty() { "" } else { "." };
                flatten(figures, format!("{name}{dot}{field}"), value);
            }
        }
        value => {
            if let Some(number) = value.as_f64() {
                figures.insert(name, number);
            }
        }
    }
}

fn in_order<'a, T>(runs: &'a [T], of: impl Fn(&'a T) -> &'a String) -> Vec<&'a str> {
    let mut seen: Vec<&str> = Vec::new();
    for run in runs {
        let name = of(run).as_str();
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

fn section(text: &mut String, scenario: &str, runs: &[&Run]) {
    let subjects = in_order(runs, |run| &run.subject);
    let of = |subject: &str, figure: &str| -> Vec<f64> {
        let runs = runs.iter().filter(|run| run.subject == subject);
        runs.filter_map(|run| run.figures.get(figure).copied())
            .collect()
    };
    let _ = writeln!(text, "## {scenario}\n");
    head(text, "", &subjects);
    // Figures of one scenario alone have names of their own, and come as they are.
    let own = runs.iter().flat_map(|run| run.figures.keys());
    let mut own: Vec<_> = own.filter(|name| name.starts_with("own.")).collect();
    own.sort();
    own.dedup();
    let own = own.iter().map(|name| (name.as_str(), &name[4..]));
    for (figure, name) in ROWS.into_iter().chain(own) {
        let cells: Vec<_> = subjects.iter().map(|s| show(of(s, figure))).collect();
        if cells.iter().any(|cell| !cell.is_empty()) {
            let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
        }
    }
    let failed: Vec<_> = subjects
        .iter()
        .map(|subject| {
            let runs = runs.iter().filter(|run| run.subject == *subject);
            runs.map(|run| run.failures).sum::<u64>().to_string()
        })
        .collect();
    let _ = writeln!(text, "| failures | {} |\n", failed.join(" | "));
    if let [base, others @ ..] = &subjects[..]
        && !others.is_empty()
    {
        ratios(text, runs, base, others);
    }
}

/// Each round's, then the median of these.
fn ratios(text: &mut String, runs: &[&Run], base: &str, others: &[&str]) {
    let find = |subject: &str, round: &str| {
        let mut runs = runs.iter();
        runs.find(|run| run.subject == subject && run.round == round)
    };
    let mut rows = String::new();
    for (figure, name) in RATIOS {
        let ratio = |run: &&Run, subject: &str| {
            let bare = find(base, &run.round)?;
            // A floor has no announce threads: what it has is all of it.
            let below = bare.figures.get(figure);
            let below = below.or_else(|| {
                let all = bare.figures.get("server_cpu_per_request.all.us");
                all.filter(|_| figure.starts_with("server_cpu"))
            })?;
            (run.subject == subject).then_some(run.figures.get(figure)? / below)
        };
        let cells: Vec<_> = others
            .iter()
            .map(|subject| show(runs.iter().filter_map(|run| ratio(run, subject)).collect()))
            .collect();
        if cells.iter().any(|cell| !cell.is_empty()) {
            let _ = writeln!(rows, "| {name} | {} |", cells.join(" | "));
        }
    }
    if !rows.is_empty() {
        head(text, &format!("over {base}, in the same round"), others);
        let _ = writeln!(text, "{rows}");
    }
}

fn head(text: &mut String, corner: &str, subjects: &[&str]) {
    let _ = writeln!(text, "| {corner} | {} |", subjects.join(" | "));
    let _ = writeln!(text, "|---|{}", "---|".repeat(subjects.len()));
}

fn show(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    match &values[..] {
        [] => String::new(),
        [only] => number(*only),
        [least, .., most] => {
            let median = number(median(&values));
            format!("{median} [{}-{}]", number(*least), number(*most))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use serde_json::json;

    fn line(label: &str, micros: f64) -> String {
        let cpu = json!({ "all": { "us": micros } });
        let figures = json!({ "server_cpu_per_request": cpu, "own": { "peers": 3 } });
        json!({ "label": label, "figures": figures, "failures": { "slow": 2 } }).to_string()
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let lines = [
            line("http/floor/1", 10.0),
            line("http/purser/1", 12.0),
            line("http/floor/2", 20.0),
            line("http/purser/2", 26.0),
        ];
        let text = markdown(&lines.join("\n")).unwrap();
        for row in [
            "## http",
            "| CPU µs a request | 15.0 [10.0-20.0] | 19.0 [12.0-26.0] |",
            "| CPU a request | 1.25 [1.20-1.30] |",
            "| peers | 3.00 [3.00-3.00] | 3.00 [3.00-3.00] |",
            "| failures | 4 | 4 |",
        ] {
            assert!(text.contains(row), "{row}\n{text}");
        }
    }

    #[test]
    fn run_without_a_label_is_refused() {
        assert!(markdown(r#"{"figures":{}}"#).is_err());
        assert!(markdown(&line("http", 1.0)).is_err());
    }
}
