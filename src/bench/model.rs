//! A whole comparison of two independent models of noise: every stage runs, and no disk is needed.

use std::sync::Arc;
use std::time::Instant;

use rayon::prelude::*;

use super::checks::Checked;
use super::seeded_model::{ModelShape, checkpoint};
use crate::checkpoint::Checkpoint;
use crate::compare::{self, Comparison, Effort, WeightsVerdict};
use crate::kernels::Backend;
use crate::source::Line;
use crate::tensor::Dtype;

/// What to run.
#[derive(Clone, Debug)]
pub struct ModelRun {
    /// Shapes of both models.
    pub shape: ModelShape,
    /// Depth of the comparison.
    pub effort: Effort,
    /// Only S0 and S1.
    pub is_plain: bool,
    /// Speed of the source in bytes a second; None: as fast as noise is made.
    pub bytes_per_s: Option<f64>,
    /// Seed of the noise and of all draws.
    pub seed: u64,
}

/// A stage of the comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelStage {
    /// Its name.
    pub name: String,
    /// Wall time.
    pub seconds: f64,
    /// Bytes asked of the sources.
    pub size_bytes: u64,
    /// Floating-point operations of products.
    pub flop: u64,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelReport {
    /// `7b`, ….
    pub name: &'static str,
    /// `quick`, `standard`, `full`, or `plain`.
    pub effort: &'static str,
    /// Parameters of one model.
    pub n_parameters: u64,
    /// Bytes of both models.
    pub size_bytes: u64,
    /// Speed of the source in bytes a second, where it was limited.
    pub bytes_per_s: Option<f64>,
    /// Wall time.
    pub seconds: f64,
    /// Time of all threads in this process; None where the system does not tell.
    pub cpu_seconds: Option<f64>,
    /// Largest resident set of this process; None where the system does not tell.
    pub peak_resident_bytes: Option<u64>,
    /// Bytes asked of the sources.
    pub bytes_read: u64,
    /// Pairs of layers, MLPs and attentions that were held against each other.
    pub cells_examined: u64,
    /// Floating-point operations of products.
    pub flop: u64,
    /// Stages in order.
    pub stages: Vec<ModelStage>,
    /// Error of a reported cosine against the definition in f64, and the largest that the arithmetic allows.
    pub error: f64,
    /// See `error`.
    pub error_bound: f64,
    /// The answer was right: noise of two seeds is no evidence, and the cosine is that of the definition.
    pub is_right: bool,
}

/// Facts that only the program's edge may ask the system for.
#[derive(Clone, Copy, Debug)]
pub struct ProcessFacts {
    /// Time of all threads so far.
    pub cpu_seconds: fn() -> Option<f64>,
    /// Largest resident set so far.
    pub peak_resident_bytes: fn() -> Option<u64>,
}

/// Compares two models of other seeds.
///
/// # Errors
/// The device failed; noise cannot.
pub fn run_model(
    backend: &Backend,
    run: &ModelRun,
    process: ProcessFacts,
    progress: &(dyn Fn(compare::Progress<'_>) + Sync),
) -> Result<ModelReport, compare::Error> {
    let line = run.bytes_per_s.map(|rate| Arc::new(Line::new(rate)));
    let model = |side: u64| checkpoint(&run.shape, 2 * run.seed + side, line.as_ref());
    let (left, right) = (model(0), model(1));
    let options = compare::Options {
        effort: run.effort,
        seed: run.seed,
        prior: 0.5,
        only: run.is_plain.then(|| vec![compare::Statistic::Plain]),
        digest: false,
    };
    let (cpu_before, start) = ((process.cpu_seconds)(), Instant::now());
    let comparison = compare::compare(backend, &left, &right, &options, progress)?;
    let seconds = start.elapsed().as_secs_f64();
    let cpu_seconds = (process.cpu_seconds)().zip(cpu_before).map(|(after, before)| after - before);
    let checked = check(&comparison, &left, &right, run);
    let verdict = if run.is_plain { None } else { Some(WeightsVerdict::NoEvidence) };
    let stages = comparison.throughput.stages.iter().map(|stage| ModelStage {
        name: stage.name.clone(),
        seconds: stage.seconds,
        size_bytes: stage.bytes,
        flop: stage.flop,
    });
    Ok(ModelReport {
        name: run.shape.name,
        effort: if run.is_plain { "plain" } else { run.effort.name() },
        n_parameters: comparison.left.n_parameters,
        size_bytes: left.size_bytes() + right.size_bytes(),
        bytes_per_s: run.bytes_per_s,
        seconds,
        cpu_seconds,
        peak_resident_bytes: (process.peak_resident_bytes)(),
        bytes_read: comparison.throughput.bytes_read,
        cells_examined: comparison.throughput.cells_examined,
        flop: comparison.throughput.stages.iter().map(|stage| stage.flop).sum(),
        stages: stages.collect(),
        error: checked.error,
        error_bound: checked.bound,
        is_right: checked.is_right() && comparison.weights.verdict == verdict,
    })
}

/// Centred cosine of the norm gains of the last layer, and where everything was read the cosine of its attention, against f64.
fn check(comparison: &Comparison, left: &Checkpoint, right: &Checkpoint, run: &ModelRun) -> Checked {
    let Some(layer) = comparison.left.n_layers.and_then(|n| n.checked_sub(1)) else {
        return Checked { error: f64::NAN, bound: 0.0 };
    };
    let reported = |component: &str| {
        let rows = comparison.layers.iter();
        rows.filter(|row| row.right == Some(layer)).find(|row| row.component == component)
    };
    let mut errors = Vec::new();
    let of_norms = definition(left, right, layer, "layernorm");
    errors.push(distance(reported("norms").and_then(|row| row.cosine), of_norms));
    if run.effort != Effort::Quick {
        let of_attention = definition(left, right, layer, "self_attn");
        errors.push(distance(reported("attention").and_then(|row| row.cosine), of_attention));
    }
    let error = errors.into_iter().fold(0.0, |largest, error| if error <= largest { largest } else { error });
    // f32 sums run over at most 4,096 terms, each rounded at most three times
    Checked { error, bound: 4099.0 * super::checks::ROUNDOFF }
}

fn distance(found: Option<f64>, wanted: f64) -> f64 {
    found.map_or(f64::NAN, |found| (found - wanted).abs())
}

/// Cosine in f64 over the tensors of a layer whose name holds `part`.
fn definition(left: &Checkpoint, right: &Checkpoint, layer: u32, part: &str) -> f64 {
    let prefix = format!("model.layers.{layer}.");
    let mut total = [0.0; 3];
    for (a, b) in left.tensors.iter().zip(&right.tensors) {
        if a.name.starts_with(&prefix) && a.name.contains(part) {
            let (sources, first) = ([left.elements_of(a).0, right.elements_of(b).0], a.offset);
            let sums: Vec<[f64; 3]> = (0..a.size_bytes.div_ceil(PIECE_BYTES))
                .into_par_iter()
                .map(|piece| {
                    let start = piece * PIECE_BYTES;
                    let n_bytes = PIECE_BYTES.min(a.size_bytes - start);
                    let [a, b] = [0, 1].map(|side| values(sources[side].as_ref(), first + start, n_bytes));
                    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                    [dot(&a, &b), dot(&a, &a), dot(&b, &b)]
                })
                .collect();
            for sums in sums {
                total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
            }
        }
    }
    let [ab, aa, bb] = total;
    ab / (aa * bb).sqrt()
}

const PIECE_BYTES: u64 = 1 << 20;

/// Elements of noise; NaN where they do not come.
fn values(source: &dyn crate::source::Source, offset: u64, n_bytes: u64) -> Vec<f64> {
    let mut bytes = vec![0xff; usize::try_from(n_bytes).unwrap_or(0)];
    debug_assert_eq!(Dtype::Bf16.size_bits(), 16, "two bytes an element");
    if source.read_at(offset, &mut bytes).is_err() {
        return vec![f64::NAN];
    }
    bytes.as_chunks::<2>().0.iter().map(|element| half::bf16::from_le_bytes(*element).to_f64()).collect()
}
