//! GB/s and TFLOP/s from bytes, operations and seconds. One place, so that every format prints the same figure.

use crate::compare::{Stage, Throughput};

/// Bytes read per second over the stages that read, 10⁹ bytes; None where nothing was read.
#[must_use]
pub fn read_gb_per_s(throughput: &Throughput) -> Option<f64> {
    let reading = throughput.stages.iter().filter(|stage| stage.bytes > 0);
    let seconds = reading.map(|stage| stage.seconds).sum::<f64>();
    per_second(throughput.bytes_read, seconds, 1e9)
}

/// Operations per second over the stages that multiply, 10¹²; None where nothing was multiplied.
#[must_use]
pub fn compute_tflop_per_s(throughput: &Throughput) -> Option<f64> {
    let computing = || throughput.stages.iter().filter(|stage| stage.flop > 0);
    let seconds = computing().map(|stage| stage.seconds).sum::<f64>();
    per_second(computing().map(|stage| stage.flop).sum(), seconds, 1e12)
}

/// GB/s of one stage.
#[must_use]
pub fn stage_gb_per_s(stage: &Stage) -> Option<f64> {
    per_second(stage.bytes, stage.seconds, 1e9)
}

/// TFLOP/s of one stage.
#[must_use]
pub fn stage_tflop_per_s(stage: &Stage) -> Option<f64> {
    per_second(stage.flop, stage.seconds, 1e12)
}

#[expect(clippy::cast_precision_loss, reason = "a rate is printed with three digits")]
fn per_second(amount: u64, seconds: f64, unit: f64) -> Option<f64> {
    (amount > 0 && seconds > 0.0).then(|| amount as f64 / seconds / unit)
}
