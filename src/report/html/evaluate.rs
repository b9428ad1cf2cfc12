//! An evaluation as one page: errors, ROC, reliability, scores, p-values, and every pair that went wrong.

use super::chart::Chart;
use super::{name, page, sentence};
use crate::evaluate::{Calibration, Label, NullRates, Row, Summary, scale};
use crate::report::quantity::{bytes, percent, seconds, three_digits};
use crate::report::words;
use crate::wording::counted;

/// Rows of the table of wrong pairs.
const MOST_ROWS: usize = 200;

/// The page.
#[must_use]
pub fn evaluation(manifest: &str, n_listed: usize, summary: &Summary, rows: &[Row]) -> String {
    let mut body = format!("<h1>Evaluation of weight lineage on {}</h1>\n", name(manifest));
    facts(&mut body, n_listed, summary);
    body.push_str("<div class=\"charts\">\n");
    body.push_str(&roc(summary));
    for (title, found) in [("all pairs", &summary.calibration), ("test split", &summary.calibration_test)] {
        if let Some(found) = found {
            body.push_str(&reliability(title, found));
        }
    }
    body.push_str(&strengths(rows));
    for (title, kinds) in [("independent pairs", &summary.null), ("shuffled models", &summary.null_shuffled)]
    {
        for kind in kinds {
            body.push_str(&p_values(title, kind));
        }
    }
    body.push_str("</div>\n");
    words_said(&mut body, summary);
    wrong(&mut body, rows);
    page("Evaluation of weight lineage", &body)
}

fn facts(body: &mut String, n_listed: usize, summary: &Summary) {
    let (rates, bound) = (summary.rates, summary.bound);
    let class = if rates.n_accused > 0 { " class=\"bad\"" } else { "" };
    body.push_str("<table>\n");
    let mut row = |label: &str, value: &str| {
        body.push_str(&format!("<tr><th>{label}</th><td>{value}</td></tr>\n"));
    };
    row(
        "pairs",
        &format!(
            "{} of {n_listed} compared, {}, {} hard",
            summary.n_compared,
            counted(summary.n_families, "family", "families"),
            summary.n_hard
        ),
    );
    row(
        "false accusations",
        &format!(
            "<span{class}>{} of {}</span>; of one network {} of {}",
            rates.n_accused, rates.n_independent, rates.n_same_config_accused, rates.n_same_config
        ),
    );
    row(
        "bound",
        &format!(
            "{} of {} wrong: at most {} of others at 95 % (Clopper–Pearson, by family)",
            bound.n_wrong,
            counted(bound.n_families, "family", "families"),
            percent(bound.bound)
        ),
    );
    row(
        "missed",
        &format!(
            "{} of {}",
            rates.n_missed,
            counted(rates.n_shared, "pair that shares weights", "pairs that share weights")
        ),
    );
    row(
        "inconclusive",
        &format!("{} independent, {} shared", rates.n_independent_inconclusive, rates.n_shared_inconclusive),
    );
    let cost = summary.cost;
    row(
        "cost of a pair",
        &format!(
            "{} (median {}), {}",
            seconds(cost.mean_seconds),
            seconds(cost.median_seconds),
            bytes(cost.mean_bytes as u64)
        ),
    );
    for ((exit_code, code), n) in &summary.faults {
        row("not compared", &format!("{n}: {} (exit code {exit_code})", name(code)));
    }
    body.push_str("</table>\n");
}

fn roc(summary: &Summary) -> String {
    let Some(all) = &summary.roc else { return String::new() };
    let mut chart = Chart::unit("false positive rate", "true positive rate");
    chart.line("ideal", &[(0.0, 0.0), (1.0, 1.0)]);
    chart.line("a", &all.curve);
    let mut caption =
        format!("ROC: AUC {:.4}, {} found at 1 % false positives", all.auc, percent(all.tpr_at_1_percent));
    if let Some(same) = &summary.roc_same_config {
        chart.line("b", &same.curve);
        caption.push_str(&format!("; pairs of one network (second line) AUC {:.4}", same.auc));
    }
    chart.finish("receiver operating characteristic", &caption)
}

fn reliability(title: &str, found: &Calibration) -> String {
    let mut chart = Chart::unit("likelihood", "share that shares weights");
    chart.line("ideal", &[(0.0, 0.0), (1.0, 1.0)]);
    let points: Vec<(f64, f64)> = found.bins.iter().map(|bin| (bin.predicted, bin.observed())).collect();
    chart.line("a", &points);
    for (bin, at) in found.bins.iter().zip(points) {
        let radius = 3.0 + 9.0 * (bin.n as f64 / found.n as f64).sqrt();
        let label = format!(
            "{}, {} weights, mean likelihood {:.4}",
            counted(bin.n, "pair", "pairs"),
            counted(bin.n_positive, "shares", "share"),
            bin.predicted
        );
        chart.dot("fa", at, radius, &label);
    }
    let caption = format!(
        "Reliability, {title}: ECE {:.4}, Brier {:.4}, {} of which {} hard, prior {:.2}; area of a dot: pairs",
        found.ece,
        found.brier,
        counted(found.n, "pair", "pairs"),
        found.n_hard,
        found.prior
    );
    chart.finish(&format!("reliability, {title}"), &caption)
}

/// Histograms of the scale of strength, each class of its own height.
fn strengths(rows: &[Row]) -> String {
    const N_BINS: usize = 30;
    let scored: Vec<(f64, bool)> = rows
        .iter()
        .filter_map(|row| {
            let strength = row.outcome.as_ref().ok()?.strength?;
            Some((scale(strength), row.pair.label.is_shared()))
        })
        .collect();
    let most = scored.iter().map(|(x, _)| *x).fold(1.0, f64::max);
    let ticks: Vec<(f64, String)> = [0.0, 1.0, 6.0, 30.0, 300.0, 3000.0, 30_000.0]
        .iter()
        .map(|strength| (scale(*strength) / most, format!("{strength}")))
        .filter(|(at, _)| *at <= 1.0)
        .collect();
    let mut chart = Chart::new("strength, −log10 of the strongest p or weight", "pairs", &ticks, &[]);
    for (class, is_shared, what) in [("fb", false, "independent"), ("fa", true, "share weights")] {
        let mut counts = [0usize; N_BINS];
        for (x, _) in scored.iter().filter(|(_, shared)| *shared == is_shared) {
            counts[((x / most * N_BINS as f64) as usize).min(N_BINS - 1)] += 1;
        }
        let highest = counts.iter().copied().max().unwrap_or(0).max(1);
        for (k, n) in counts.iter().enumerate().filter(|(_, n)| **n > 0) {
            let place = (k as f64 / N_BINS as f64, (k + 1) as f64 / N_BINS as f64);
            chart.bar(class, place, *n as f64 / highest as f64 * 0.95, &format!("{n} {what}"));
        }
    }
    let n_shared = scored.iter().filter(|(_, shared)| *shared).count();
    let caption = format!(
        "Strengths of {} and {} weights, each class to its own height",
        counted(scored.len() - n_shared, "independent pair", "independent pairs"),
        counted(n_shared, "that shares", "that share")
    );
    chart.finish("histogram of strengths", &caption)
}

fn p_values(title: &str, kind: &NullRates) -> String {
    let ticks: Vec<(f64, String)> = [0.0, 0.5, 1.0].iter().map(|at| (*at, format!("{at}"))).collect();
    let mut chart = Chart::new(&format!("p on {title}"), "tests", &ticks, &[]);
    let highest = kind.histogram.iter().copied().max().unwrap_or(0).max(1);
    for (k, n) in kind.histogram.iter().enumerate() {
        let place = (k as f64 / 10.0, (k + 1) as f64 / 10.0);
        chart.bar("fa", place, *n as f64 / highest as f64 * 0.95, &format!("{n}"));
    }
    let ks = kind.ks.map_or(String::new(), |ks| {
        format!(
            "; one-sided KS on {} no model: D+ {:.3}, p {}",
            counted(ks.n, "test that shares", "tests that share"),
            ks.d_plus,
            three_digits(ks.p)
        )
    });
    let caption = format!(
        "{}, {title}: {}, {} at 1e-2, {} at 1e-3{ks}",
        name(&kind.kind),
        counted(kind.n, "test", "tests"),
        kind.n_below_2,
        kind.n_below_3
    );
    chart.finish("histogram of p", &caption)
}

fn words_said(body: &mut String, summary: &Summary) {
    let verdicts = words::WEIGHTS_VERDICTS.map(words::weights_word);
    let head: String = verdicts.iter().map(|word| format!("<th class=\"n\">{word}</th>")).collect();
    body.push_str(&format!("<h2>What is true, and what was said</h2>\n<table>\n<tr><th></th>{head}</tr>\n"));
    for label in Label::ALL {
        let counts =
            verdicts.map(|word| summary.confusion.words.get(&(label.word(), word)).copied().unwrap_or(0));
        if counts.iter().any(|n| *n > 0) {
            let cells: String = counts.iter().map(|n| format!("<td class=\"n\">{n}</td>")).collect();
            body.push_str(&format!("<tr><th>{}</th>{cells}</tr>\n", label.word()));
        }
    }
    body.push_str("</table>\n");
}

/// Pairs that were accused, missed, left open or not compared.
fn wrong(body: &mut String, rows: &[Row]) {
    let mut cells = Vec::new();
    for row in rows {
        let pair = &row.pair;
        let says = match &row.outcome {
            Err(fault) => sentence(&fault.message),
            Ok(outcome) if outcome.claims() == pair.label.is_shared() => continue,
            Ok(outcome) => {
                let likelihood = outcome.likelihood.map_or("-".to_owned(), |l| format!("{l:.4}"));
                format!("{}, likelihood {likelihood}", words::weights_word(outcome.verdict))
            }
        };
        // silence about independent pairs is right
        let is_silent =
            row.outcome.as_ref().is_ok_and(|o| o.verdict == crate::compare::WeightsVerdict::NoEvidence);
        if pair.label.is_shared() || !is_silent {
            cells.push(format!(
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{says}</td></tr>\n",
                name(&pair.left),
                name(&pair.right),
                pair.label.word()
            ));
        }
    }
    if cells.is_empty() {
        return;
    }
    body.push_str(&format!(
        "<details><summary>{} accused, missed, left open or not compared</summary>\n<table>\n\
         <tr><th>left</th><th>right</th><th>truth</th><th>said</th></tr>\n",
        counted(cells.len(), "pair", "pairs")
    ));
    for cell in cells.iter().take(MOST_ROWS) {
        body.push_str(cell);
    }
    body.push_str("</table>\n");
    if cells.len() > MOST_ROWS {
        body.push_str(&format!(
            "<p>{} in the JSON report.</p>\n",
            counted(cells.len() - MOST_ROWS, "more is", "more are")
        ));
    }
    body.push_str("</details>\n");
}
