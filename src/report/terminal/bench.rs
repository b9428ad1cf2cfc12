//! What this hardware reaches: peaks, then a row per kernel, shape and element type.

use super::page::{Page, Style};
use crate::bench::{BenchReport, DeviceReport, Line, Outcome};
use crate::report::quantity::{percent, seconds, three_digits};

/// The tables of a run, with the final newline.
#[must_use]
pub fn bench(report: &BenchReport, style: Style) -> String {
    let mut page = Page::new(style);
    for (idx, device) in report.devices.iter().enumerate() {
        if idx > 0 {
            page.blank();
        }
        one(&mut page, device);
    }
    if report.devices.is_empty() {
        page.line("no device to measure");
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
        "  {:<16}{:<22}{:<6}{:>7}{:>18}{:>12}{:>10}",
        "kernel", "shape", "dtype", "rows", "rate", "of peak", "time"
    ));
    for line in &device.lines {
        row(page, line);
    }
}

fn row(page: &mut Page, line: &Line) {
    let lead =
        format!("  {:<16}{:<22}{:<6}{:>7}", line.kernel, line.shape.name, line.dtype, line.n_rows_used);
    match &line.outcome {
        Outcome::Measured { rate, unit, peak, timing, .. } => {
            let rate = format!("{} {}", three_digits(*rate), unit.label());
            let share = peak.map_or("-".to_owned(), |(_, share)| percent(share));
            let throttled = if timing.throttled { "  throttled" } else { "" };
            let time = seconds(timing.median_s);
            page.line(&format!("{lead}{rate:>18}{share:>12}{time:>10}{throttled}"));
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
