//! What came of it, for people and for machines.

use std::fmt::Write;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::operations::FLOOR;
use crate::ledger::report::{median, number};

/// One operation in one round.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) latency: Histogram<u64>,
    pub(super) took: Duration,
    pub(super) body_bytes: u64,
    pub(super) failures: u64,
    /// In µs a request.
    pub(super) cpu: f64,
    /// In µs a request.
    pub(super) postgres_cpu: f64,
}

/// All of it.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<(&'static str, Vec<Window>)>,
    notes: Vec<String>,
}

/// Its name, and how it is read from a window.
type Figure = (&'static str, fn(&Window) -> f64);

const FIGURES: [Figure; 6] = [
    ("requests/s", |window| {
        window.latency.len() as f64 / window.took.as_secs_f64()
    }),
    ("p50 ms", |window| millis(window, 0.5)),
    ("p99 ms", |window| millis(window, 0.99)),
    ("CPU µs", |window| window.cpu),
    ("Postgres CPU µs", |window| window.postgres_cpu),
    ("bytes", |window| {
        window.body_bytes as f64 / window.latency.len().max(1) as f64
    }),
];

const CPU: usize = 3;

impl Report {
    pub(super) fn add(&mut self, operation: &'static str, window: Window) {
        match self.rows.iter_mut().find(|(name, _)| *name == operation) {
            Some((_, windows)) => windows.push(window),
            None => self.rows.push((operation, vec![window])),
        }
    }

    pub(super) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Replies that weren't 200.
    pub fn failures(&self) -> u64 {
        let windows = self.rows.iter().flat_map(|(_, windows)| windows);
        windows.map(|window| window.failures).sum()
    }

    /// A table: an operation a line, each figure the median of its rounds.
    pub fn markdown(&self) -> String {
        let mut text = "| |".to_owned();
        for (name, _) in FIGURES {
            let _ = write!(text, " {name} |");
        }
        let _ = writeln!(text, " CPU over the floor's |");
        let _ = writeln!(text, "|---|{}---|", "---|".repeat(FIGURES.len()));
        let floor = self.rows.iter().find(|(name, _)| *name == FLOOR);
        let floor = floor.map_or(f64::NAN, |(_, windows)| middle(windows, CPU));
        for (name, windows) in &self.rows {
            let _ = write!(text, "| {name} |");
            for figure in 0..FIGURES.len() {
                let _ = write!(text, " {} |", number(middle(windows, figure)));
            }
            let over = number(middle(windows, CPU) / floor);
            let _ = writeln!(text, " {over} |");
        }
        text.push('\n');
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        text
    }

    /// Every round, on one line.
    pub fn json(&self) -> Value {
        let rows = self.rows.iter().map(|(name, windows)| {
            let figures = FIGURES.iter().map(|(figure, read)| {
                let values: Vec<f64> = windows.iter().map(read).collect();
                ((*figure).to_owned(), json!(values))
            });
            let figures: serde_json::Map<_, _> = figures.collect();
            ((*name).to_owned(), Value::Object(figures))
        });
        let rows: serde_json::Map<_, _> = rows.collect();
        json!({ "operations": rows, "failures": self.failures(), "notes": self.notes })
    }
}

fn middle(windows: &[Window], figure: usize) -> f64 {
    let mut values: Vec<f64> = windows.iter().map(FIGURES[figure].1).collect();
    values.sort_by(f64::total_cmp);
    median(&values)
}

fn millis(window: &Window, quantile: f64) -> f64 {
    window.latency.value_at_quantile(quantile) as f64 / 1e6
}
