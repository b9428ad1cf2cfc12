//! The attack matrix on a terminal.

use crate::attacks::{Case, Matrix, Tally};
use crate::report::escape;
use crate::report::words;
use crate::transforms::VARIANTS;
use crate::wording::counted;

/// The table, what did not hold, and what was not made.
#[must_use]
pub fn attacks(matrix: &Matrix) -> String {
    let mut text = format!(
        "{}, {} a transform; related: the model against its transformed self, unrelated: another model against it;\nnamed: the relations of the model and its transformed self say what was done\n\n",
        counted(matrix.models.len(), "model", "models"),
        counted(matrix.n_seeds, "seed", "seeds")
    );
    let mut line = |columns: [&str; 10]| {
        let [code, name, hits, named, common, undecided, false_hits, undecided_strangers, before, apart] =
            columns;
        text.push_str(&format!(
            "{code:<4} {name:<24} {hits:>11} {named:>9} {common:>7} {undecided:>7} {false_hits:>12} {undecided_strangers:>7} {before:>7} {apart:>4}\n"
        ));
    };
    line(["", "transform", "related", "named", "origin", "incon.", "false hits", "incon.", "before", "n/a"]);
    let of = |n: u64, total: u64| if total == 0 { "-".to_owned() } else { format!("{n}/{total}") };
    for row in matrix.rows() {
        let Tally { held, common_origin, inconclusive, .. } = row.related;
        line([
            row.variant.code,
            row.variant.name,
            &of(held, row.related.total()),
            &of(row.named.0, row.named.1),
            &common_origin.to_string(),
            &inconclusive.to_string(),
            &of(row.unrelated.flipped, row.unrelated.total()),
            &row.unrelated.inconclusive.to_string(),
            &row.unrelated.undecided_before.to_string(),
            &row.n_not_applicable.to_string(),
        ]);
    }
    let (related, unrelated) = matrix.totals();
    line([
        "",
        "all",
        &of(related.held, related.total()),
        &of(matrix.named().0, matrix.named().1),
        &related.common_origin.to_string(),
        &related.inconclusive.to_string(),
        &of(unrelated.flipped, unrelated.total()),
        &unrelated.inconclusive.to_string(),
        &unrelated.undecided_before.to_string(),
        &matrix.not_applied.len().to_string(),
    ]);
    let failures: Vec<String> = matrix.failures().map(failure).collect();
    section(&mut text, "did not hold", failures);
    let apart = matrix.not_applied.iter().map(|item| {
        let variant = VARIANTS[item.variant];
        format!("{} {}, {}: {}", variant.code, variant.name, escape::name(&item.model), item.reason)
    });
    section(&mut text, "not applicable", apart.collect());
    let before = matrix.related_before.iter();
    let before = before.map(|(a, b)| format!("{} ~ {}", escape::name(a), escape::name(b))).collect();
    section(&mut text, "related as given, hence not used as unrelated", before);
    text
}

fn section(text: &mut String, title: &str, lines: Vec<String>) {
    if lines.is_empty() {
        return;
    }
    text.push_str(&format!("\n{title}\n"));
    lines.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
}

fn failure(case: &Case) -> String {
    let variant = VARIANTS[case.variant];
    let verdict = case.verdict.map_or("failed", words::weights_word);
    let reasons = case.reasons.iter().map(|reason| escape::sentence(reason)).collect::<Vec<_>>().join("; ");
    format!(
        "{} {}, {} ~ {} with seed {}: {} pair {verdict}: {reasons}",
        variant.code,
        variant.name,
        escape::name(&case.other),
        escape::name(&case.model),
        case.seed,
        words::pair_kind_word(case.kind)
    )
}
