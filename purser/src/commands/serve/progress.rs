//! A bar for each stage of loading, on a terminal; elsewhere a line of log for each.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};
use persister::load::{Progress, Stage};

#[derive(Default)]
pub(super) struct Bars {
    stage: Option<(Stage, ProgressBar)>,
}

impl Bars {
    pub(super) fn show(&mut self, progress: Progress) {
        let is_new = self
            .stage
            .as_ref()
            .is_none_or(|(stage, _)| *stage != progress.stage);
        if is_new {
            self.finish();
            tracing::info!(rows = progress.total, "loading {}", name(progress.stage));
            self.stage = Some((progress.stage, bar(progress)));
        }
        if let Some((_, bar)) = &self.stage {
            bar.set_position(progress.done);
        }
    }

    pub(super) fn finish(&mut self) {
        if let Some((_, bar)) = self.stage.take() {
            bar.finish_and_clear();
        }
    }
}

fn bar(progress: Progress) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(progress.total).with_message(name(progress.stage));
    match ProgressStyle::with_template("{msg:>9} {wide_bar} {pos}/{len} {eta}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Members => "members",
        Stage::Torrents => "torrents",
        Stage::Sessions => "sessions",
        Stage::Journal => "journal",
    }
}
