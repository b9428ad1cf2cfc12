//! The bar on stderr.

use indicatif::{ProgressBar, ProgressStyle};

use super::screen::Screen;
use crate::compare::Progress;

/// A bar, or nothing where none may be drawn.
#[derive(Debug)]
pub(super) struct Bar(Option<ProgressBar>);

impl Bar {
    /// A bar if the screen has one.
    pub(super) fn new(screen: &Screen) -> Bar {
        if !screen.has_progress {
            return Bar(None);
        }
        let style = ProgressStyle::with_template("{msg:10} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        Bar(Some(ProgressBar::new(0).with_style(style)))
    }

    /// Shows where a stage stands.
    pub(super) fn show(&self, progress: &Progress<'_>) {
        if let Some(bar) = &self.0 {
            bar.set_message(progress.stage.to_owned());
            bar.set_length(progress.total_bytes);
            bar.set_position(progress.done_bytes);
        }
    }
}

/// A bar that counts pairs, or nothing where none may be drawn.
#[derive(Debug)]
pub(super) struct Count(Option<ProgressBar>);

impl Count {
    /// A count up to `n` if the screen has one.
    pub(super) fn new(screen: &Screen, what: &'static str, n: usize) -> Count {
        if !screen.has_progress {
            return Count(None);
        }
        let style = ProgressStyle::with_template("{msg:10} {wide_bar} {pos}/{len} {eta}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        Count(Some(ProgressBar::new(n as u64).with_style(style).with_message(what)))
    }

    /// One more.
    pub(super) fn advance(&self) {
        if let Some(bar) = &self.0 {
            bar.inc(1);
        }
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
