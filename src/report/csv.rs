//! Comma-separated values for spreadsheets, in which no name becomes a formula.

use super::escape;
use super::words;
use crate::matrix::{Entry, Matrix};

/// A row per pair: left, right, architecture, weights, likelihood.
#[must_use]
pub fn matrix(matrix: &Matrix) -> String {
    let mut text = String::from("left,right,architecture,weights,likelihood\n");
    for (left, right) in Matrix::pairs(matrix.models.len()) {
        let cell = matrix.cell(left, right);
        let likelihood = cell.and_then(|cell| cell.likelihood).map_or(String::new(), |l| format!("{l:.4}"));
        text.push_str(&format!(
            "{},{},{},{},{likelihood}\n",
            name(&matrix.models[left]),
            name(&matrix.models[right]),
            cell.map_or("", |cell| words::architecture_word(cell.architecture)),
            match matrix.entry(left, right) {
                Some(Entry::Compared(cell)) => words::weights_word(cell.verdict),
                Some(Entry::LeftOut) => "not-compared",
                _ => "error",
            },
        ));
    }
    text
}

/// A quoted field. What a spreadsheet would take for a formula starts with an apostrophe.
fn name(text: &str) -> String {
    let shown = escape::name(text);
    let guard = if shown.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    format!("\"{guard}{}\"", shown.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_becomes_a_formula_or_ends_its_field() {
        let models = ["=HYPERLINK(\"x\")", "a,b\n"].map(str::to_owned).to_vec();
        let text = matrix(&Matrix { models, entries: vec![Entry::Failed], n_nearest: None });
        assert_eq!(text.lines().nth(1), Some("\"'=HYPERLINK(\"\"x\"\")\",\"a,b\\u{a}\",,error,"),);
    }
}
