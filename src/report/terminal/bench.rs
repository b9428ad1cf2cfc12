//! What this hardware reaches: peaks, then a row per kernel, shape and element type; whole models; reading; a baseline.

use super::page::{Page, Style};
use crate::bench::{BenchReport, DeviceReport, IoLine, Line, ModelReport, Outcome};
use crate::report::baseline::Baseline;
use crate::report::quantity::{bytes, count, percent, seconds, three_digits};
use crate::wording::counted;

/// The tables of a run, with the final newline.
#[must_use]
pub fn bench(report: &BenchReport, baseline: Option<&Baseline>, style: Style) -> String {
    let mut page = Page::new(style);
    for (idx, device) in report.devices.iter().enumerate() {
        if idx > 0 {
            page.blank();
        }
        one(&mut page, device);
    }
    for of_model in &report.models {
        model(&mut page, of_model);
    }
    if !report.io.is_empty() {
        io(&mut page, &report.io);
    }
    if report.devices.is_empty() && report.models.is_empty() && report.io.is_empty() {
        page.line("no device to measure");
    }
    if let Some(baseline) = baseline {
        changes(&mut page, baseline);
    }
    page.finish()
}

fn one(page: &mut Page, device: &DeviceReport) {
    let mut facts = vec![page.name(&device.name), format!("tier {}", page.name(&device.tier))];
    if !device.driver.is_empty() {
        facts.push(page.name(&device.driver));
    }
    facts.push(format!("{} host threads", device.n_threads));
    if device.is_software {
        facts.push("software: correctness only".to_owned());
    }
    page.row("device", &facts.join(", "));
    let peaks: Vec<String> = device
        .peaks
        .iter()
        .map(|peak| format!("{} {} {}", peak.name, three_digits(peak.rate), peak.unit.label()))
        .collect();
    page.rows("peaks", &peaks);
    page.line(&format!(
        "  {:<16}{:<21}{:<5}{:>6}{:>15}{:>8}{:>9}{:>8}",
        "kernel", "shape", "dtype", "rows", "rate", "of peak", "time", "error"
    ));
    for line in &device.lines {
        row(page, line);
    }
}

fn row(page: &mut Page, line: &Line) {
    let lead =
        format!("  {:<16}{:<21}{:<5}{:>6}", line.kernel, line.shape.name, line.dtype, line.n_rows_used);
    match &line.outcome {
        Outcome::Measured { rate, unit, peak, timing, error, .. } => {
            let rate = format!("{} {}", three_digits(*rate), unit.label());
            let share = peak.map_or("-".to_owned(), |(_, share)| percent(share));
            let throttled = if timing.throttled { " throttled" } else { "" };
            let (time, error) = (seconds(timing.median_s), error_word(*error));
            page.line(&format!("{lead}{rate:>15}{share:>8}{time:>9}{error:>8}{throttled}"));
        }
        Outcome::Withheld { error, error_bound } => {
            page.line(&lead);
            let text = format!(
                "WRONG ANSWER, speed withheld: relative error {error:.1e}, at most {error_bound:.1e} allowed"
            );
            page.row("", &text);
        }
        Outcome::Failed { cause } => {
            page.line(&lead);
            let cause = format!("FAILED: {}", page.sentence(cause));
            page.row("", &cause);
        }
    }
}

fn error_word(error: f64) -> String {
    if error == 0.0 { "0".to_owned() } else { format!("{error:.0e}") }
}

fn model(page: &mut Page, model: &ModelReport) {
    let facts = format!(
        "2 × {} of {} parameters, {} together, effort {}",
        model.name,
        count(model.n_parameters),
        bytes(model.size_bytes),
        model.effort
    );
    page.row("model", &facts);
    if !model.is_right {
        let text = format!(
            "WRONG ANSWER, speed withheld: error {:.1e}, at most {:.1e} allowed, or another verdict than no-evidence",
            model.error, model.error_bound
        );
        page.row("", &text);
        return;
    }
    let source = model
        .bytes_per_s
        .map_or("as fast as noise is made".to_owned(), |rate| format!("{} GB/s", three_digits(rate / 1e9)));
    page.row("source", &format!("seeded noise, {source}"));
    page.line(&format!("  {:<14}{:>10}{:>12}{:>9}{:>10}", "stage", "time", "read", "GB/s", "TFLOP/s"));
    for stage in &model.stages {
        let per_second = |amount: u64, unit: f64| {
            if amount == 0 { "-".to_owned() } else { three_digits(amount as f64 / stage.seconds / unit) }
        };
        let read = if stage.size_bytes == 0 { "-".to_owned() } else { bytes(stage.size_bytes) };
        page.line(&format!(
            "  {:<14}{:>10}{read:>12}{:>9}{:>10}",
            stage.name,
            seconds(stage.seconds),
            per_second(stage.size_bytes, 1e9),
            per_second(stage.flop, 1e12)
        ));
    }
    let cpu = model.cpu_seconds.map_or("-".to_owned(), seconds);
    let peak = model.peak_resident_bytes.map_or("-".to_owned(), bytes);
    let read = percent(model.bytes_read as f64 / model.size_bytes.max(1) as f64);
    page.row(
        "all",
        &format!(
            "{}, {cpu} of all threads, {read} of the bytes, {:.3e} FLOP",
            seconds(model.seconds),
            model.flop as f64
        ),
    );
    let cells = counted(model.cells_examined, "pair", "pairs");
    page.row("cells", &format!("{cells} of layers, MLPs and attentions held against each other"));
    page.row("memory", &format!("{peak} at most"));
    page.row(
        "error",
        &format!("{} of a cosine, at most {:.0e} allowed", error_word(model.error), model.error_bound),
    );
}

fn io(page: &mut Page, lines: &[IoLine]) {
    page.line(&format!(
        "  {:<10}{:<7}{:>8}{:>12}{:>10}{:>10}{:>8}",
        "bytes", "cache", "threads", "rate", "of read", "time", "error"
    ));
    for line in lines {
        let cache = if line.is_warm { "warm" } else { "cold" };
        let lead = format!("  {:<10}{cache:<7}{:>8}", line.what, line.n_threads);
        if line.is_right() {
            let rate = format!("{} GB/s", three_digits(line.rate));
            let share = line.share_of_read.map_or("-".to_owned(), percent);
            let (time, error) = (seconds(line.timing.median_s), error_word(line.error));
            page.line(&format!("{lead}{rate:>12}{share:>10}{time:>10}{error:>8}"));
        } else {
            page.line(&lead);
            page.row("", "WRONG ANSWER, speed withheld");
        }
    }
}

fn changes(page: &mut Page, baseline: &Baseline) {
    page.blank();
    page.row("baseline", &format!("{} of both runs", counted(baseline.changes.len(), "line", "lines")));
    let slower: Vec<String> = baseline
        .slower()
        .map(|change| {
            let now = three_digits(change.now);
            format!("SLOWER: {}: {} of {}", change.line, now, three_digits(change.before))
        })
        .collect();
    if slower.is_empty() {
        page.row("", &format!("none lost more than {}", percent(baseline.tolerance)));
    }
    page.rows("", &slower);
    if !baseline.missing.is_empty() {
        let were =
            counted(baseline.missing.len(), "line of the earlier run was", "lines of the earlier run were");
        page.row("", &format!("{were} not measured now"));
    }
}
