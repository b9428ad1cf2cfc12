//! An evaluation for comments and job summaries.

use super::push;
use crate::evaluate::{Calibration, Label, Summary};
use crate::report::escape::{markdown, markdown_code};
use crate::report::quantity::{bytes, percent, seconds};
use crate::report::words;
use crate::wording::counted;

/// The report of an evaluation.
#[must_use]
pub fn evaluation(manifest: &str, n_listed: usize, summary: &Summary) -> String {
    let mut text = String::new();
    let (rates, bound) = (summary.rates, summary.bound);
    push(&mut text, &format!("### Evaluation of weight lineage on {}\n", markdown_code(manifest)));
    push(&mut text, "| | |\n|---|---|");
    let mut row = |label: &str, value: String| push(&mut text, &format!("| {label} | {value} |"));
    row("pairs compared", format!("{} of {n_listed}", summary.n_compared));
    row("families", summary.n_families.to_string());
    row("false accusations", format!("**{}** of {}", rates.n_accused, rates.n_independent));
    row("of one network", format!("{} of {}", rates.n_same_config_accused, rates.n_same_config));
    row(
        "bound by family, 95 %",
        format!("{} ({} of {} wrong)", percent(bound.bound), bound.n_wrong, bound.n_families),
    );
    row("missed", format!("{} of {}", rates.n_missed, rates.n_shared));
    row(
        "inconclusive",
        format!("{} independent, {} shared", rates.n_independent_inconclusive, rates.n_shared_inconclusive),
    );
    for (label, roc) in [("all", &summary.roc), ("of one network", &summary.roc_same_config)] {
        if let Some(roc) = roc {
            row(&format!("AUC, {label}"), format!("{:.4}", roc.auc));
            row(&format!("found at 1 % false positives, {label}"), percent(roc.tpr_at_1_percent));
        }
    }
    row(
        "cost of a pair",
        format!("{}, {}", seconds(summary.cost.mean_seconds), bytes(summary.cost.mean_bytes as u64)),
    );
    for ((exit_code, code), n) in &summary.faults {
        row(&format!("not compared: {}", markdown(code)), format!("{n} (exit code {exit_code})"));
    }
    push(&mut text, "");
    words_said(&mut text, summary);
    for (title, found) in [("all pairs", &summary.calibration), ("test split", &summary.calibration_test)] {
        if let Some(found) = found {
            calibration(&mut text, title, found);
        }
    }
    if !summary.methods.is_empty() {
        push(
            &mut text,
            "| method | scored | AUC | found at 1 % FP | accused, one network | a pair | source |",
        );
        push(&mut text, "|---|---|---|---|---|---|---|");
        for line in &summary.methods {
            let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.4}"));
            push(
                &mut text,
                &format!(
                    "| {} | {} | {} | {} | {} of {} | {} | {} |",
                    markdown(&line.name),
                    line.n_scored,
                    number(line.auc),
                    line.tpr_at_1_percent.map_or("-".to_owned(), percent),
                    line.n_accused_same_config,
                    line.n_same_config,
                    seconds(line.mean_seconds),
                    markdown(&line.source)
                ),
            );
        }
    }
    text
}

fn words_said(text: &mut String, summary: &Summary) {
    let verdicts = words::WEIGHTS_VERDICTS.map(words::weights_word);
    push(text, &format!("| truth, said | {} |", verdicts.join(" | ")));
    push(text, &format!("|---|{}", "---|".repeat(verdicts.len())));
    for label in Label::ALL {
        let counts =
            verdicts.map(|word| summary.confusion.words.get(&(label.word(), word)).copied().unwrap_or(0));
        if counts.iter().any(|n| *n > 0) {
            let cells = counts.map(|n| n.to_string()).join(" | ");
            push(text, &format!("| {} | {cells} |", label.word()));
        }
    }
    push(text, "");
    if !summary.confusion.relations.is_empty() {
        push(text, "| relation | said | pairs |\n|---|---|---|");
        for ((truth, said), n) in &summary.confusion.relations {
            push(text, &format!("| {} | {} | {n} |", markdown(truth), markdown(said)));
        }
        push(text, "");
    }
}

fn calibration(text: &mut String, title: &str, found: &Calibration) {
    push(
        text,
        &format!(
            "Calibration, {title}: ECE {:.4}, Brier {:.4}, {} of which {} hard, prior {:.2}\n",
            found.ece,
            found.brier,
            counted(found.n, "pair", "pairs"),
            found.n_hard,
            found.prior
        ),
    );
    push(text, "| likelihood | pairs | predicted | observed |\n|---|---|---|---|");
    for bin in &found.bins {
        let range = format!("{:.4} to {:.4}", bin.low, bin.high);
        push(text, &format!("| {range} | {} | {:.4} | {:.4} |", bin.n, bin.predicted, bin.observed()));
    }
    push(text, "");
}
