#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::report::Report;
use super::{economy, journal, persist, replay, start};
use crate::Size;

fn figure(report: &Report, name: &str) -> f64 {
    let values = report.values(name).unwrap_or_else(|| panic!("no {name}"));
    values[0]
}

fn sqlite(folder: &tempfile::TempDir) -> String {
    format!("sqlite:{}", folder.path().join("site.db").display())
}

/// It compares the members' totals with what was announced by itself.
#[test]
fn persisting_takes_every_record_in() {
    let folder = tempfile::tempdir().unwrap();
    let report = persist::run(Size::Small, &sqlite(&folder), folder.path()).unwrap();
    assert!(figure(&report, "records persisted in all") >= 4_000.0);
    assert!(figure(&report, "records/s over bare rows/s") > 0.0);
}

#[test]
fn journal_is_measured_in_every_mix() {
    let folder = tempfile::tempdir().unwrap();
    let report = journal::run(Size::Small, folder.path()).unwrap();
    for mix in ["mix", "regular alone", "mix, fsync_interval 0"] {
        assert!(figure(&report, &format!("{mix}: its writing thread, µs")) > 0.0);
    }
}

#[test]
fn economy_pays_and_settles() {
    let folder = tempfile::tempdir().unwrap();
    let report = economy::run(Size::Small, &sqlite(&folder)).unwrap();
    assert!(report.values("members paid").unwrap()[0] > 100.0);
    assert!(report.values("members with traffic").unwrap()[0] > 100.0);
}

#[test]
fn start_loads_everyone() {
    let folder = tempfile::tempdir().unwrap();
    let report = start::run(Size::Small, &sqlite(&folder)).unwrap();
    assert!(figure(&report, "peers") > 900.0);
    assert_eq!(report.values("in all, s").unwrap().len(), 3);
}

#[test]
fn replay_reads_all_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let report = replay::run(Size::Small, folder.path()).unwrap();
    assert_eq!(figure(&report, "records"), 5_000.0);
    assert!(report.json()["figures"]["replayed records/s"].is_array());
}
