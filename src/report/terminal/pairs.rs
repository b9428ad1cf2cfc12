//! One line per pair of a batch.

use super::page::{Page, Style};
use crate::compare::Comparison;
use crate::report::wire::Failure;
use crate::report::words;

/// `architecture  weights  left  right`.
#[must_use]
pub fn pair_line(comparison: &Comparison, style: Style) -> String {
    let weights = comparison.weights.verdict.map_or("selective", words::weights_word);
    let architecture = words::architecture_word(comparison.architecture.verdict);
    line(architecture, weights, &comparison.left.reference, &comparison.right.reference, style)
}

/// The same for a pair that failed; the message itself goes to stderr.
#[must_use]
pub fn pair_failed(failure: &Failure, left: &str, right: &str, style: Style) -> String {
    line("error", &failure.code, left, right, style)
}

fn line(first: &str, second: &str, left: &str, right: &str, style: Style) -> String {
    let page = Page::new(style);
    format!("{first:<14}{:<18}{}  {}\n", page.name(second), page.name(left), page.name(right))
}
