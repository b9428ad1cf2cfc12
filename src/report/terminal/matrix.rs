//! All pairs on a screen: a grid of likelihoods for few models, who goes with whom for many.

use super::page::{Ink, Page, Style};
use crate::matrix::{Entry, Matrix};
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
    let (n_failed, n_left_out) = (matrix.count(Entry::Failed), matrix.count(Entry::LeftOut));
    let n_pairs = counted(matrix.entries.len(), "pair", "pairs");
    let n_compared = match n_left_out {
        0 => n_pairs,
        n => format!("{} of {n_pairs}", matrix.entries.len() - n),
    };
    let text = format!("{n} models, {n_compared} in {}", seconds(took_seconds));
    page.heading("MATRIX", &text, Ink::Bold, "");
    if n_failed > 0 {
        page.row("", &format!("{} could not be compared", counted(n_failed, "pair", "pairs")));
    }
    if let Some(n_nearest) = matrix.n_nearest.filter(|_| n_left_out > 0) {
        let says = format!(
            "{} not compared: neither model is among the other's {n_nearest} nearest by spectral profile, which is no evidence; relatives can \
             be among them",
            counted(n_left_out, "pair was", "pairs were")
        );
        page.row("", &says);
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
            .map(|b| match matrix.entry(a, b) {
                None => "     .".to_owned(),
                Some(Entry::Compared(cell)) => {
                    cell.likelihood.map_or("     -".to_owned(), |likelihood| format!("{likelihood:>6.2}"))
                }
                Some(Entry::LeftOut) => "     ~".to_owned(),
                Some(Entry::Failed) => "     !".to_owned(),
            })
            .collect();
        page.line(&format!("  {:>10}{cells}", a + 1));
    }
    page.blank();
    for (k, model) in matrix.models.iter().enumerate() {
        let name = page.name(model);
        page.line(&format!("  {:>10}  {name}", k + 1));
    }
    page.line("  . itself, - nothing to test, ! failed, ~ not compared");
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
