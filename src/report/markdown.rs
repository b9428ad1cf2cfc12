//! Markdown for comments and job summaries: the same numbers as the JSON, headings from h3 on, details folded.

mod attacks;
mod evaluate;

pub use attacks::attacks;
pub use evaluate::evaluation;

use std::fmt::Write as _;

use super::baseline::Baseline;
use super::escape::{markdown, markdown_code, markdown_sentence};
use super::quantity::{bytes, count, percent, seconds, three_digits};
use super::wire::Failure;
use super::{rates, words};
use crate::bench::{BenchReport, Outcome};
use crate::compare::{Comparison, ModelFacts};
use crate::wording::counted;

/// Rows of a folded table before the rest is only counted; a job summary holds one megabyte.
const MOST_ROWS: usize = 400;

/// The report of one comparison.
#[must_use]
pub fn comparison(comparison: &Comparison) -> String {
    let mut text = String::new();
    let weights = &comparison.weights;
    let verdict = weights.verdict.map_or("no verdict (selective)", words::weights_word);
    let sentence = weights.verdict.map_or("only chosen statistics were computed", words::weights_sentence);
    let architecture = comparison.architecture.verdict;
    push(&mut text, &format!("### Weight lineage: {}", markdown(verdict)));
    push(&mut text, "");
    push(&mut text, &format!("**{}**: {}.", markdown(verdict), markdown_sentence(sentence)));
    push(&mut text, "");
    push(&mut text, "| | left | right |\n|---|---|---|");
    for (label, of) in MODEL_ROWS {
        push(&mut text, &format!("| {label} | {} | {} |", of(&comparison.left), of(&comparison.right)));
    }
    push(&mut text, "");
    push(&mut text, "| axis | result |\n|---|---|");
    let rows = [
        ("architecture", format!("**{}**", markdown(words::architecture_word(architecture)))),
        ("weights", format!("**{}**", markdown(verdict))),
        ("decided by", markdown(&weights.decided_by.join(", "))),
        (
            "likelihood",
            weights.likelihood.map_or(none(), |value| format!("{value:.4}, prior {}", weights.prior)),
        ),
        ("false accusations", markdown_sentence(&words::support_sentence(&weights.support))),
        ("log10 p (floor)", p_value(comparison)),
        (
            "direction",
            weights.direction.map_or(none(), |direction| markdown(words::direction_word(direction))),
        ),
        ("relations", relations(comparison)),
        (
            "inherited",
            format!("{} of right, {} of left", percent(weights.right_share), percent(weights.left_share)),
        ),
        ("compared", percent(weights.coverage_total)),
        ("throughput", throughput(comparison)),
    ];
    for (label, value) in rows {
        push(&mut text, &format!("| {label} | {value} |"));
    }
    push(&mut text, "");
    details(&mut text, comparison);
    push(&mut text, &format!("Tested: {}", markdown_sentence(words::QUESTION)));
    text
}

/// A table with a row per pair.
#[must_use]
pub fn pair_header() -> &'static str {
    "| left | right | architecture | weights | likelihood | log10 p |\n|---|---|---|---|---|---|\n"
}

/// The row of a pair.
#[must_use]
pub fn pair_row(comparison: &Comparison) -> String {
    format!(
        "| {} | {} | {} | {} | {} | {} |\n",
        markdown_code(&comparison.left.reference),
        markdown_code(&comparison.right.reference),
        markdown(words::architecture_word(comparison.architecture.verdict)),
        markdown(comparison.weights.verdict.map_or("selective", words::weights_word)),
        comparison.weights.likelihood.map_or(none(), |value| format!("{value:.4}")),
        p_value(comparison)
    )
}

/// The row of a pair that failed.
#[must_use]
pub fn pair_failed(failure: &Failure, left: &str, right: &str) -> String {
    let message = markdown_sentence(&failure.message);
    format!(
        "| {} | {} | error {} | {message} | | |\n",
        markdown_code(left),
        markdown_code(right),
        markdown(&failure.code)
    )
}

/// An error as a report.
#[must_use]
pub fn failure(failure: &Failure) -> String {
    let mut text = format!("### Weight lineage: error {}\n\n", markdown(&failure.code));
    push(&mut text, &markdown_sentence(&failure.message));
    let byte = failure.byte.map(|byte| byte.to_string());
    let fields = [
        ("file", &failure.file),
        ("tensor", &failure.tensor),
        ("byte", &byte),
        ("found", &failure.found),
        ("wanted", &failure.wanted),
        ("hint", &failure.hint),
    ];
    push(&mut text, "\n| | |\n|---|---|");
    for (label, value) in fields {
        if let Some(value) = value {
            push(&mut text, &format!("| {label} | {} |", markdown_sentence(value)));
        }
    }
    text
}

/// A row of the table of models: its label and its cell.
type ModelRow = (&'static str, fn(&ModelFacts) -> String);

const MODEL_ROWS: [ModelRow; 5] = [
    ("reference", |model| markdown_code(&model.reference)),
    ("family", |model| markdown(&model.family)),
    ("parameters", |model| count(model.n_parameters)),
    ("dtypes", |model| {
        let names: Vec<&str> = model.dtypes.iter().map(|(name, _)| name.as_str()).collect();
        markdown(&names.join(" + "))
    }),
    ("bytes", |model| bytes(model.size_bytes)),
];

fn details(text: &mut String, comparison: &Comparison) {
    let rows = comparison.architecture.renamed.iter();
    let rows =
        rows.map(|r| format!("| {} | {} | {} |", markdown_code(&r.from), markdown_code(&r.to), r.count));
    folded(text, "renamings", "| left | right | tensors |\n|---|---|---|", rows.collect());
    let rows =
        comparison.architecture.differences.iter().map(|says| format!("| {} |", markdown_sentence(says)));
    folded(text, "differences of architecture", "| what |\n|---|", rows.collect());
    let rows = comparison.weights.evidence.iter().map(|e| {
        let layer = e.layer.map_or(none(), |layer| layer.to_string());
        let speaks = if e.is_for { "for" } else { "against" };
        let numbers = format!("{} | {}", three_digits(e.value), three_digits(e.null));
        let says = markdown_sentence(&e.says);
        format!(
            "| {speaks} | {} | {} | {layer} | {numbers} | {says} |",
            markdown(&e.statistic),
            markdown(&e.component)
        )
    });
    let head = "| speaks | statistic | component | layer | value | independent | says |\n|---|---|---|---|---|---|---|";
    folded(text, "evidence", head, rows.collect());
    let rows = comparison.weights.reasons.iter().map(|says| format!("| {} |", markdown_sentence(says)));
    folded(text, "reasons", "| why |\n|---|", rows.collect());
    let rows = comparison.not_tested.iter().map(|tensor| {
        let why = markdown(words::why_word(tensor.why));
        let side = words::side_word(tensor.model);
        format!(
            "| {side} | {} | {why} | {} |",
            markdown_code(&tensor.tensor),
            markdown_sentence(&tensor.reason)
        )
    });
    folded(text, "not compared", "| model | tensor | why | reason |\n|---|---|---|---|", rows.collect());
}

fn folded(text: &mut String, title: &str, head: &str, rows: Vec<String>) {
    if rows.is_empty() {
        return;
    }
    push(text, &format!("<details><summary>{title}: {}</summary>\n\n{head}", rows.len()));
    for row in rows.iter().take(MOST_ROWS) {
        push(text, row);
    }
    if rows.len() > MOST_ROWS {
        push(
            text,
            &format!(
                "\n{} in the JSON report.",
                counted(rows.len() - MOST_ROWS, "more row is", "more rows are")
            ),
        );
    }
    push(text, "\n</details>\n");
}

fn p_value(comparison: &Comparison) -> String {
    let weights = &comparison.weights;
    let floor = weights.log10_p_floor.map_or(String::new(), |floor| format!(" ({floor:.2})"));
    let by_answers = weights
        .log10_p_by_answers
        .map_or(String::new(), |log10_p| format!("; {log10_p:.2} by answers to the shared tokens"));
    weights.log10_p.map_or(none(), |log10_p| format!("{log10_p:.2}{floor}{by_answers}"))
}

fn relations(comparison: &Comparison) -> String {
    let all = comparison.weights.relations.iter();
    let shown: Vec<String> = all
        .map(|relation| {
            let detail =
                if relation.detail.is_empty() { String::new() } else { format!(": {}", relation.detail) };
            markdown_sentence(&format!("{}{detail}", relation.kind))
        })
        .collect();
    if shown.is_empty() { none() } else { shown.join("; ") }
}

fn throughput(comparison: &Comparison) -> String {
    let throughput = &comparison.throughput;
    let device = format!("{}, {}, {}", throughput.backend, throughput.device, throughput.tier);
    let mut text =
        format!("{}: {} in {}", markdown(&device), bytes(throughput.bytes_read), seconds(throughput.seconds));
    if let Some(rate) = rates::read_gb_per_s(throughput) {
        let _ = write!(text, ", {} GB/s", three_digits(rate));
    }
    if let Some(rate) = rates::compute_tflop_per_s(throughput) {
        let _ = write!(text, ", {} TFLOP/s", three_digits(rate));
    }
    text
}

/// The report of a bench.
#[must_use]
pub fn bench(report: &BenchReport, baseline: Option<&Baseline>) -> String {
    let mut text = String::new();
    for device in &report.devices {
        push(&mut text, &format!("### {}, tier {}", markdown(&device.name), markdown(&device.tier)));
        push(&mut text, "");
        push(&mut text, "| what | rate |\n|---|---|");
        for peak in &device.peaks {
            let rate = format!("{} {}", three_digits(peak.rate), peak.unit.label());
            push(&mut text, &format!("| {} | {rate} |", peak.name));
        }
        push(&mut text, "");
        push(
            &mut text,
            "| kernel | shape | type | rows | rate | of peak | error |\n|---|---|---|---|---|---|---|",
        );
        for line in &device.lines {
            let (rate, share, error) = match &line.outcome {
                Outcome::Measured { rate, unit, peak, error, .. } => (
                    format!("{} {}", three_digits(*rate), unit.label()),
                    peak.map_or(none(), |(_, share)| percent(share)),
                    format!("{error:.0e}"),
                ),
                Outcome::Withheld { error, .. } => {
                    ("**wrong answer**".to_owned(), none(), format!("{error:.0e}"))
                }
                Outcome::Failed { cause } => {
                    (format!("**failed**: {}", markdown_sentence(cause)), none(), none())
                }
            };
            push(
                &mut text,
                &format!(
                    "| {} | {} | {} | {} | {rate} | {share} | {error} |",
                    line.kernel, line.shape.name, line.dtype, line.n_rows_used
                ),
            );
        }
        push(&mut text, "");
    }
    if !report.models.is_empty() {
        push(
            &mut text,
            "| model | effort | time | CPU time | memory | read | error |\n|---|---|---|---|---|---|---|",
        );
    }
    for model in &report.models {
        let time = if model.is_right { seconds(model.seconds) } else { "**wrong answer**".to_owned() };
        push(
            &mut text,
            &format!(
                "| 2 × {} | {} | {time} | {} | {} | {} | {:.0e} |",
                model.name,
                model.effort,
                model.cpu_seconds.map_or(none(), seconds),
                model.peak_resident_bytes.map_or(none(), bytes),
                bytes(model.bytes_read),
                model.error
            ),
        );
    }
    if !report.io.is_empty() {
        push(&mut text, "| bytes | cache | threads | rate | of read |\n|---|---|---|---|---|");
    }
    for line in &report.io {
        let rate = if line.is_right() {
            format!("{} GB/s", three_digits(line.rate))
        } else {
            "**wrong answer**".to_owned()
        };
        let cache = if line.is_warm { "warm" } else { "cold" };
        let share = line.share_of_read.map_or(none(), percent);
        push(&mut text, &format!("| {} | {cache} | {} | {rate} | {share} |", line.what, line.n_threads));
    }
    if let Some(baseline) = baseline {
        push(&mut text, "");
        push(&mut text, "| slower than the baseline | before | now |\n|---|---|---|");
        for change in baseline.slower() {
            let (before, now) = (three_digits(change.before), three_digits(change.now));
            push(&mut text, &format!("| {} | {before} | {now} |", markdown(&change.line)));
        }
    }
    text
}

fn none() -> String {
    "–".to_owned()
}

fn push(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}
