//! An evaluation on a screen: how right, how sure, how fast.

use super::page::{Ink, Page, Style};
use crate::evaluate::{
    CONFIDENCE, Calibration, Confusion, Controls, Fitted, Label, MethodLine, NullRates, Roc, Summary,
};
use crate::report::quantity::{bytes, percent, seconds, three_digits};
use crate::report::words;
use crate::wording::counted;

/// The report, with its final newline.
#[must_use]
pub fn evaluation(manifest: &str, n_listed: usize, summary: &Summary, style: Style) -> String {
    let mut page = Page::new(style);
    let name = page.name(manifest);
    let n_failed = n_listed - summary.n_compared;
    page.heading("EVALUATION", &name, Ink::Bold, "");
    let text = format!(
        "{} of {} compared, {}, {} marked hard",
        summary.n_compared,
        n_listed,
        counted(summary.n_families, "family", "families"),
        summary.n_hard
    );
    page.row("pairs", &text);
    for ((exit_code, code), n) in &summary.faults {
        let code = page.name(code);
        page.row("", &format!("{n} not compared: {code} (exit code {exit_code})"));
    }
    if n_listed > summary.n_pairs {
        let n_lines = n_listed - summary.n_pairs;
        page.row(
            "",
            &format!(
                "{} no pair (exit code 2)",
                counted(n_lines, "line of the manifest holds", "lines of the manifest hold")
            ),
        );
    }
    if n_failed > 0 {
        page.row("", "nothing below counts pairs that were not compared");
    }
    page.blank();
    errors(&mut page, summary);
    curves(&mut page, summary);
    words_said(&mut page, &summary.confusion);
    for (title, found) in [("CALIBRATION", &summary.calibration), ("TEST SPLIT", &summary.calibration_test)] {
        if let Some(found) = found {
            calibration(&mut page, title, found);
        }
    }
    for (title, found) in [
        ("NULL          p of the trace test on independent pairs", &summary.null),
        ("SHUFFLED      p between models and themselves in a random order of units", &summary.null_shuffled),
    ] {
        if !found.is_empty() {
            null(&mut page, title, found);
        }
    }
    if !summary.methods.is_empty() {
        methods(&mut page, &summary.methods);
    }
    let cost = summary.cost;
    page.row(
        "cost",
        &format!(
            "{} a pair (median {}), {} read a pair",
            seconds(cost.mean_seconds),
            seconds(cost.median_seconds),
            bytes(cost.mean_bytes as u64)
        ),
    );
    page.finish()
}

fn errors(page: &mut Page, summary: &Summary) {
    let (rates, bound) = (summary.rates, summary.bound);
    let accused = format!("{} of {}", rates.n_accused, rates.n_independent);
    let ink = if rates.n_accused > 0 { Ink::Error } else { Ink::Bold };
    page.heading("ERRORS", &accused, ink, "independent pairs accused of sharing weights");
    page.row("one network", &format!("{} of {} accused", rates.n_same_config_accused, rates.n_same_config));
    page.row(
        "missed",
        &format!(
            "{} of {}",
            rates.n_missed,
            counted(rates.n_shared, "pair that shares weights", "pairs that share weights")
        ),
    );
    page.row(
        "inconclusive",
        &format!("{} independent, {} shared", rates.n_independent_inconclusive, rates.n_shared_inconclusive),
    );
    page.row(
        "bound",
        &format!(
            "{} of {} wrong: at most {} at {} confidence (Clopper-Pearson, by family)",
            bound.n_wrong,
            counted(bound.n_families, "family", "families"),
            percent(bound.bound),
            percent(CONFIDENCE)
        ),
    );
    page.blank();
}

fn curves(page: &mut Page, summary: &Summary) {
    let line = |roc: &Roc| {
        format!(
            "AUC {:.4}, {} found at 1 % false positives ({} shared, {} independent)",
            roc.auc,
            percent(roc.tpr_at_1_percent),
            roc.n_positive,
            roc.n_negative
        )
    };
    if let Some(roc) = &summary.roc {
        page.row("ROC", &line(roc));
    }
    if let Some(roc) = &summary.roc_same_config {
        page.row("one network", &line(roc));
    }
    page.blank();
}

fn words_said(page: &mut Page, confusion: &Confusion) {
    page.line("WORDS         what is true, and what was said how often");
    for label in Label::ALL {
        let said: Vec<String> = words::WEIGHTS_VERDICTS
            .map(words::weights_word)
            .into_iter()
            .filter_map(|word| Some(format!("{word} {}", confusion.words.get(&(label.word(), word))?)))
            .collect();
        if !said.is_empty() {
            page.line(&format!("  {:<18}{}", label.word(), said.join(", ")));
        }
    }
    for (what, n_checked, n_wrong) in [
        ("words", confusion.n_words_checked, confusion.n_words_wrong),
        ("directions", confusion.n_directions_checked, confusion.n_directions_wrong),
        ("graphs", confusion.n_architectures_checked, confusion.n_architectures_wrong),
    ] {
        if n_checked > 0 {
            page.row(what, &format!("{n_wrong} of {n_checked} wrong"));
        }
    }
    for ((truth, said), n) in &confusion.relations {
        let (truth, said) = (page.name(truth), page.name(said));
        page.line(&format!("  relation {truth:<22} said {said:<24} {n:>6}"));
    }
    page.blank();
}

fn calibration(page: &mut Page, title: &str, found: &Calibration) {
    let text = format!(
        "ECE {:.4}, Brier {:.4} over {} ({} shared, {} hard) at prior {:.2}",
        found.ece,
        found.brier,
        counted(found.n, "pair", "pairs"),
        found.n_positive,
        percent(found.n_hard as f64 / found.n.max(1) as f64),
        found.prior
    );
    page.heading(title, "", Ink::Bold, &text);
    page.line(&format!("  {:<20}{:>8}{:>12}{:>12}", "likelihood", "pairs", "predicted", "observed"));
    for bin in &found.bins {
        let range = format!("{:.4} to {:.4}", bin.low, bin.high);
        page.line(&format!("  {range:<20}{:>8}{:>12.4}{:>12.4}", bin.n, bin.predicted, bin.observed()));
    }
    page.blank();
}

/// One table for all methods.
fn methods(page: &mut Page, lines: &[MethodLine]) {
    page.line("METHODS       on the same pairs");
    page.line(&format!(
        "  {:<10}{:>8}{:>9}{:>11}{:>16}{:>10}  {}",
        "method", "scored", "AUC", "at 1 % FP", "accused, same", "a pair", "source"
    ));
    for line in lines {
        let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.4}"));
        let found = line.tpr_at_1_percent.map_or("-".to_owned(), percent);
        let accused = format!("{} of {}", line.n_accused_same_config, line.n_same_config);
        page.line(&format!(
            "  {:<10}{:>8}{:>9}{found:>11}{accused:>16}{:>10}  {}",
            line.name,
            line.n_scored,
            number(line.auc),
            seconds(line.mean_seconds),
            line.source
        ));
    }
    page.row(
        "accused",
        "independent pairs of one network that score as high as whoever wants to find 95 % of the related must accept",
    );
    page.blank();
}

/// A fitted map and its controls, with the final newline.
#[must_use]
pub fn fitted(fitted: &Fitted, controls: &Controls, style: Style) -> String {
    let mut page = Page::new(style);
    let map = &fitted.map;
    let version = page.name(&map.version);
    page.heading("FITTED MAP", &version, Ink::Bold, "");
    let provisional = if map.is_provisional() { ", provisional: too few families" } else { "" };
    let odds: Vec<String> = [0.0, 1.0, 3.0, 6.0, 10.0, 30.0, 100.0]
        .iter()
        .map(|strength| format!("{strength}: {:.3}", map.at(*strength, 0.5).value))
        .collect();
    page.row("map", &format!("likelihood at even prior by strength: {}", odds.join(", ")));
    page.row(
        "fitted on",
        &format!(
            "{}, {}, {}",
            counted(fitted.n_fit.0, "pair that shares weights", "pairs that share weights"),
            counted(fitted.n_fit.1, "independent one", "independent ones"),
            counted(fitted.n_fit_families, "family", "families")
        ),
    );
    let (low, high) = (three_digits(fitted.band.0), three_digits(fitted.band.1));
    page.row("strengths", &format!("independent up to {low}, shared from {high} on"));
    page.row(
        "cap",
        &format!(
            "{:.4}: {} of {} wrong, at most {} of others{provisional}",
            map.cap(),
            map.families_wrong,
            counted(map.families, "family", "families"),
            percent(map.false_positive_bound)
        ),
    );
    page.blank();
    for (title, found) in [("FIT SPLIT", &fitted.on_fit), ("TEST SPLIT", &fitted.on_test)] {
        if let Some(found) = found {
            calibration(&mut page, title, found);
        }
    }
    let pairs = counted(controls.n_pairs, "independent trained pair", "independent trained pairs");
    page.line(&format!("CONTROLS      {pairs} of the fit split"));
    for (cell, control) in &controls.cells {
        let name = format!("{} {}", cell.statistic, words::depth_word(cell.depth));
        page.line(&format!(
            "  {name:<22}{:>7} layer pairs, {:.3} % of units agree, most {} ({:.2} %)",
            control.n_cells,
            100.0 * control.n_agreeing as f64 / control.n_units.max(1) as f64,
            control.most_agreeing,
            100.0 * control.largest_share
        ));
    }
    if let Some((n, largest)) = controls.token_span {
        page.line(&format!("  {:<22}{n:>7} pairs, nearest {largest:.2}", "token span"));
    }
    page.finish()
}

fn null(page: &mut Page, title: &str, found: &[NullRates]) {
    page.line(title);
    page.line(&format!(
        "  {:<22}{:>7}{:>12}{:>12}{:>10}{:>9}{:>9}",
        "units", "tests", "p <= 1e-2", "p <= 1e-3", "KS tests", "D+", "KS p"
    ));
    for kind in found {
        let share = |n: usize| percent(n as f64 / kind.n.max(1) as f64);
        let (n, d, p) = kind.ks.map_or(("-".to_owned(), "-".to_owned(), "-".to_owned()), |ks| {
            (ks.n.to_string(), format!("{:.3}", ks.d_plus), three_digits(ks.p))
        });
        let rates = format!("{:>12}{:>12}", share(kind.n_below_2), share(kind.n_below_3));
        page.line(&format!("  {:<22}{:>7}{rates}{n:>10}{d:>9}{p:>9}", kind.kind, kind.n));
    }
    for kind in found {
        let counts = kind.histogram.map(|n| n.to_string()).join(" ");
        page.line(&format!("  {:<22}p in tenths: {counts}", kind.kind));
    }
    let n_pairs = found.iter().map(|kind| kind.n_disjoint_pairs).max().unwrap_or(0);
    page.row(
        "KS",
        &format!(
            "one-sided, on {} no model: small p means too many small p",
            counted(n_pairs, "pair that shares", "pairs that share")
        ),
    );
    page.blank();
}
