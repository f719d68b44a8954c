//! Progress bars, on standard error, only if that is a terminal.

use cml_scheme::{Progress, Stage};
use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// A bar with elapsed time and time left.
pub(crate) fn bar(total: u64, what: &str) -> ProgressBar {
    let bar = ProgressBar::new(total);
    if let Ok(style) =
        ProgressStyle::with_template("{msg:<22} [{bar:30}] {pos}/{len}  {elapsed} gone, {eta} left")
    {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(what.to_owned());
    bar
}

/// A sign of life with elapsed time, for work of unknown length.
pub(crate) fn waiting(what: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{msg:<22} {spinner} {elapsed} gone") {
        bar.set_style(style);
    }
    bar.set_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// Callback for work on keys: one bar for each stage.
pub(crate) fn key_bars(verb: &'static str) -> impl FnMut(Progress) {
    let mut current: Option<(Stage, ProgressBar)> = None;
    move |progress| {
        let same = current
            .as_ref()
            .is_some_and(|(stage, _)| *stage == progress.stage);
        if !same {
            let name = match progress.stage {
                Stage::Keyswitch => "keyswitching key",
                Stage::Bootstrap => "bootstrapping key",
            };
            current = Some((
                progress.stage,
                bar(progress.total as u64, &format!("{verb} {name}")),
            ));
        }
        if let Some((_, bar)) = &current {
            bar.set_position(progress.done as u64);
            if progress.done >= progress.total {
                bar.finish_and_clear();
            }
        }
    }
}
