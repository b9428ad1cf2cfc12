//! How fast it was, and on what.

use super::page::{Ink, Page};
use crate::compare::Comparison;
use crate::report::quantity::{bytes, percent, seconds, three_digits};
use crate::report::rates;
use crate::wording::counted;

/// The block: device in a line, total in a line, a row per stage.
pub(super) fn block(page: &mut Page, comparison: &Comparison) {
    let throughput = &comparison.throughput;
    let mut device = vec![
        page.name(&throughput.backend),
        page.name(&throughput.device),
        format!("tier {}", page.name(&throughput.tier)),
    ];
    if !throughput.driver.is_empty() {
        device.push(page.name(&throughput.driver));
    }
    page.heading("THROUGHPUT", "", Ink::Bold, &device.join(", "));
    if !throughput.chosen.is_empty() {
        let chosen = page.sentence(&throughput.chosen);
        page.row("", &chosen);
    }
    page.line(&format!("  {:<12}{:>10}{:>12}{:>10}{:>10}", "stage", "time", "read", "GB/s", "TFLOP/s"));
    for stage in &throughput.stages {
        let line = columns(
            &page.name(&stage.name),
            stage.seconds,
            stage.bytes,
            rates::stage_gb_per_s(stage),
            rates::stage_tflop_per_s(stage),
        );
        page.line(&line);
    }
    let total = columns(
        "all",
        throughput.seconds,
        throughput.bytes_read,
        rates::read_gb_per_s(throughput),
        rates::compute_tflop_per_s(throughput),
    );
    let of_both = comparison.left.size_bytes.saturating_add(comparison.right.size_bytes);
    page.line(&format!("{total}   {} of both models' bytes", share(throughput.bytes_read, of_both)));
    let cells = counted(throughput.cells_examined, "pair", "pairs");
    page.row("cells", &format!("{cells} of layers, MLPs and attentions held against each other"));
}

fn columns(
    name: &str,
    elapsed_s: f64,
    size_bytes: u64,
    gb_per_s: Option<f64>,
    tflop_per_s: Option<f64>,
) -> String {
    let rate = |value: Option<f64>| value.map_or("-".to_owned(), three_digits);
    let read = if size_bytes == 0 { "-".to_owned() } else { bytes(size_bytes) };
    format!("  {name:<12}{:>10}{read:>12}{:>10}{:>10}", seconds(elapsed_s), rate(gb_per_s), rate(tflop_per_s))
}

#[expect(clippy::cast_precision_loss, reason = "a share is printed with three digits")]
fn share(part: u64, whole: u64) -> String {
    if whole == 0 { "-".to_owned() } else { percent(part as f64 / whole as f64) }
}
