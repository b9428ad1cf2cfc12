//! The attack matrix for documents and job summaries.

use super::push;
use crate::attacks::{Matrix, Tally};
use crate::report::escape::{markdown, markdown_code};
use crate::report::words;
use crate::transforms::VARIANTS;

/// The table and what did not hold.
#[must_use]
pub fn attacks(matrix: &Matrix) -> String {
    let mut text = String::new();
    let models: Vec<String> = matrix.models.iter().map(|model| markdown_code(model)).collect();
    push(&mut text, &format!("### Attack matrix: {}, {} seeds\n", models.join(", "), matrix.n_seeds));
    push(
        &mut text,
        "| | transform | related: held | named | common origin | inconclusive | unrelated: false hits | inconclusive | as before | not applicable |",
    );
    push(&mut text, "|---|---|---|---|---|---|---|---|---|---|");
    let of = |n: u64, total: u64| if total == 0 { "–".to_owned() } else { format!("{n} of {total}") };
    let line = |code: &str, name: &str, related: Tally, named: (u64, u64), unrelated: Tally, n_apart: u64| {
        format!(
            "| {code} | {name} | {} | {} | {} | {} | {} | {} | {} | {n_apart} |",
            of(related.held, related.total()),
            of(named.0, named.1),
            related.common_origin,
            related.inconclusive,
            of(unrelated.flipped, unrelated.total()),
            unrelated.inconclusive,
            unrelated.undecided_before
        )
    };
    for row in matrix.rows() {
        push(
            &mut text,
            &line(
                row.variant.code,
                row.variant.name,
                row.related,
                row.named,
                row.unrelated,
                row.n_not_applicable,
            ),
        );
    }
    let (related, unrelated) = matrix.totals();
    push(&mut text, &line("", "all", related, matrix.named(), unrelated, matrix.not_applied.len() as u64));
    let mut failures = matrix.failures().peekable();
    if failures.peek().is_some() {
        push(&mut text, "\nDid not hold:\n");
    }
    for case in failures {
        let variant = VARIANTS[case.variant];
        let verdict = case.verdict.map_or("failed", words::weights_word);
        push(
            &mut text,
            &format!(
                "- {} {}, {} ~ {} with seed {}: {} pair **{verdict}**: {}",
                variant.code,
                variant.name,
                markdown_code(&case.other),
                markdown_code(&case.model),
                case.seed,
                words::pair_kind_word(case.kind),
                markdown(&case.reasons.join("; "))
            ),
        );
    }
    for item in &matrix.not_applied {
        let variant = VARIANTS[item.variant];
        push(
            &mut text,
            &format!(
                "- not applicable: {} {} to {}: {}",
                variant.code,
                variant.name,
                markdown_code(&item.model),
                item.reason
            ),
        );
    }
    text
}
