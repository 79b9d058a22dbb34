//! Figures, for machines and for people.

use std::fmt::Write;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::cpu;

/// What a workload has measured.
#[derive(Debug)]
pub struct Report {
    title: String,
    figures: Vec<Figure>,
    notes: Vec<String>,
}

#[derive(Debug)]
struct Figure {
    name: String,
    /// One a round, in their order.
    values: Vec<f64>,
    aim: &'static str,
}

impl Report {
    /// Notes the machine's load as well: it is half of every figure's meaning.
    pub fn new(title: impl Into<String>) -> Self {
        let mut report = Self {
            title: title.into(),
            figures: Vec::new(),
            notes: Vec::new(),
        };
        report.note(format!("load at the beginning: {}", cpu::load()));
        report
    }

    /// A figure that nothing is asked of.
    pub fn figure(&mut self, name: impl Into<String>, values: Vec<f64>) {
        self.aim(name, values, "");
    }

    /// A figure, and what it should be.
    pub fn aim(&mut self, name: impl Into<String>, values: Vec<f64>, aim: &'static str) {
        self.figures.push(Figure {
            name: name.into(),
            values,
            aim,
        });
    }

    /// A line of words.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// The values of a figure, in the order of their rounds.
    pub fn values(&self, name: &str) -> Option<&[f64]> {
        let mut figures = self.figures.iter();
        let figure = figures.find(|figure| figure.name == name)?;
        Some(&figure.values)
    }

    /// A section with a table: median [least-most].
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "## {}\n\n| figure | median [least-most] | rounds | aim |\n|---|---|---|---|\n",
            self.title
        );
        for Figure { name, values, aim } in &self.figures {
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let shown = match &sorted[..] {
                [] => "none".to_owned(),
                [only] => number(*only),
                [least, .., most] => {
                    let median = number(median(&sorted));
                    format!("{median} [{}-{}]", number(*least), number(*most))
                }
            };
            let _ = writeln!(text, "| {name} | {shown} | {} | {aim} |", values.len());
        }
        text.push('\n');
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        let _ = writeln!(text, "- load at the end: {}", cpu::load());
        text
    }

    /// Everything, on one line.
    pub fn json(&self) -> Value {
        let figures = self.figures.iter();
        let figures: serde_json::Map<_, _> = figures
            .map(|figure| (figure.name.clone(), json!(figure.values)))
            .collect();
        json!({ "title": self.title, "figures": figures, "notes": self.notes })
    }
}

/// Of sorted values.
pub(crate) fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        0 => (sorted[middle - 1] + sorted[middle]) / 2.0,
        _ => sorted[middle],
    }
}

/// Three digits that matter, and thousands apart.
pub(crate) fn number(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    let mut out = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) && digit.is_ascii_digit() {
            out.push(',');
        }
        out.push(digit);
    }
    if !rest.is_empty() {
        out.push('.');
        out.push_str(rest);
    }
    out
}

/// How far something is; nothing is drawn where stderr isn't a terminal.
pub(crate) fn bar(what: &'static str, total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total).with_message(what);
    match ProgressStyle::with_template("{msg:>12} {wide_bar} {pos}/{len} {eta}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_shows_median_and_spread() {
        let mut report = Report::new("persist");
        report.aim("records/s", vec![30_000.0, 10_000.0, 21_234.5], "20,000");
        report.figure("ratio", vec![0.25, 0.2]);
        let text = report.markdown();
        assert!(
            text.contains("| records/s | 21,234 [10,000-30,000] | 3 | 20,000 |"),
            "{text}"
        );
        assert!(
            text.contains("| ratio | 0.225 [0.200-0.250] | 2 |  |"),
            "{text}"
        );
    }
}
