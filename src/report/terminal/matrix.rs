//! All pairs on a screen: a grid of likelihoods for few models, who goes with whom for many.

use super::page::{Ink, Page, Style};
use crate::matrix::Matrix;
use crate::report::quantity::seconds;
use crate::report::words;
use crate::wording::counted;

/// Models in a grid of 100 columns: six a cell behind the name.
const MOST_IN_A_GRID: usize = 12;

/// The table, with its final newline.
#[must_use]
pub fn matrix(matrix: &Matrix, took_seconds: f64, style: Style) -> String {
    let mut page = Page::new(style);
    let n = matrix.models.len();
    let n_failed = matrix.cells.iter().filter(|cell| cell.is_none()).count();
    let n_pairs = counted(matrix.cells.len(), "pair", "pairs");
    let text = format!("{n} models, {n_pairs} in {}", seconds(took_seconds));
    page.heading("MATRIX", &text, Ink::Bold, "");
    if n_failed > 0 {
        page.row("", &format!("{} could not be compared", counted(n_failed, "pair", "pairs")));
    }
    page.blank();
    if n <= MOST_IN_A_GRID || style.verbose {
        grid(&mut page, matrix);
    }
    relatives(&mut page, matrix);
    page.finish()
}

/// Likelihoods; columns are numbered as rows are.
fn grid(page: &mut Page, matrix: &Matrix) {
    let n = matrix.models.len();
    let head: String = (1..=n).map(|k| format!("{k:>6}")).collect();
    page.line(&format!("  likelihood{head}"));
    for a in 0..n {
        let cells: String = (0..n)
            .map(|b| match matrix.cell(a, b) {
                _ if a == b => "     .".to_owned(),
                Some(cell) => cell.likelihood.map_or("     -".to_owned(), |l| format!("{l:>6.2}")),
                None => "     !".to_owned(),
            })
            .collect();
        page.line(&format!("  {:>10}{cells}", a + 1));
    }
    page.blank();
    for (k, model) in matrix.models.iter().enumerate() {
        let name = page.name(model);
        page.line(&format!("  {:>10}  {name}", k + 1));
    }
    page.line("  . itself, - nothing to test, ! failed");
    page.blank();
}

/// For each model its relatives, nearest first.
fn relatives(page: &mut Page, matrix: &Matrix) {
    page.line("RELATIVES     pairs with more than no evidence of shared weights");
    let n = matrix.models.len();
    for a in 0..n {
        let mut kin: Vec<(f64, String)> = (0..n)
            .filter_map(|b| {
                let cell = matrix.cell(a, b)?;
                let says = cell.verdict != crate::compare::WeightsVerdict::NoEvidence;
                let word = words::weights_word(cell.verdict);
                let name = page.name(&matrix.models[b]);
                says.then(|| (cell.likelihood.unwrap_or(0.0), format!("{name} ({word})")))
            })
            .collect();
        kin.sort_by(|a, b| b.0.total_cmp(&a.0));
        let names: Vec<String> = kin.into_iter().map(|(_, name)| name).collect();
        let model = page.name(&matrix.models[a]);
        page.line(&format!("  {model}"));
        page.row("", &if names.is_empty() { "none".to_owned() } else { names.join(", ") });
    }
}
