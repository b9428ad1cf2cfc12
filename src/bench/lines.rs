//! Each kernel at each shape: data, one checked answer, then the clock.

use super::checks::{self, Checked};
use super::timing::measure;
use super::{Device, Line, Options, Outcome, Peak, Shape, Unit, noise};
use crate::gpu;
use crate::kernels;
use crate::reductions::{Elements, Keep, Ranking};
use crate::tensor::{Dtype, Matrix, Values};

/// Most bytes of one matrix: more would only take longer, no cache holds this.
const MAX_MATRIX_BYTES: usize = 256 << 20;

/// Permutations of one call, as a trace test of full effort draws them.
const N_PERMUTATIONS: usize = 1000;

/// Rows taken from the shapes, per kind of device.
struct Rows {
    /// For the kernels that read each element once.
    streamed: usize,
    /// For all pairs, whose work grows with the square.
    paired: usize,
    /// Side of the score matrix that is permuted.
    scored: usize,
}

impl Rows {
    fn of(device: &Device<'_>) -> Rows {
        if device.is_software {
            Rows { streamed: 64, paired: 64, scored: 128 }
        } else if matches!(device.backend, kernels::Backend::Cpu(_)) {
            Rows { streamed: usize::MAX, paired: 1024, scored: 2048 }
        } else {
            Rows { streamed: usize::MAX, paired: 4096, scored: 2048 }
        }
    }
}

/// All lines of a device, in the order of the table.
pub(super) fn lines(
    device: &Device<'_>,
    peaks: &[Peak],
    options: &Options,
    progress: &dyn Fn(&str),
) -> Vec<Line> {
    let bench = Bench { device, peaks, options, progress };
    let mut lines = Vec::new();
    for &shape in &options.shapes {
        lines.extend(bench.of_shape(shape, true));
        lines.extend(bench.of_shape(shape, false));
    }
    lines
}

struct Bench<'a> {
    device: &'a Device<'a>,
    peaks: &'a [Peak],
    options: &'a Options,
    progress: &'a dyn Fn(&str),
}

/// Work of one call.
#[derive(Clone, Copy)]
enum Work {
    Bytes(usize),
    Flop(f64),
}

impl Bench<'_> {
    /// `is_packed`: bf16, for every kernel; otherwise f32, for the two that matter most.
    fn of_shape(&self, shape: Shape, is_packed: bool) -> Vec<Line> {
        let backend = self.device.backend;
        let rows = Rows::of(self.device);
        let (dtype, size) = if is_packed { (Dtype::Bf16, 2) } else { (Dtype::F32, 4) };
        let streamed = rows.streamed.min(shape.n_rows).min(MAX_MATRIX_BYTES / (shape.n_cols * size));
        let paired = rows.paired.min(shape.n_rows);
        let scored = rows.scored.min(shape.n_rows);
        let matrix =
            |seed: u64, n_rows| noise::matrix(self.options.seed + seed, n_rows, shape.n_cols, is_packed);
        let mut lines = Vec::new();
        {
            let (a, b) = (matrix(0, streamed), matrix(1, streamed));
            let elements = |matrix| Elements { dtype, bytes: bytes_of(matrix) };
            let one = Work::Bytes(elements(&a).bytes.len());
            let both = Work::Bytes(2 * elements(&a).bytes.len());
            if is_packed {
                let call = || kernels::classify::classify(backend, elements(&a));
                lines.push(self.line("classify", shape, streamed, dtype, one, call, |found| {
                    checks::classify(found, &a)
                }));
            }
            let call = || kernels::moments::moments(backend, elements(&a), elements(&b));
            lines.push(
                self.line("moments", shape, streamed, dtype, both, call, |found| {
                    checks::moments(found, &a, &b)
                }),
            );
            if is_packed {
                let call = || kernels::row_dots::row_dots(backend, &a, &b);
                lines.push(self.line("row_dots", shape, streamed, dtype, both, call, |found| {
                    checks::row_dots(found, &a, &b)
                }));
            }
        }
        let (a, b) = (matrix(0, paired), matrix(1, paired));
        let flop = Work::Flop(2.0 * (paired * paired * shape.n_cols) as f64);
        let call = || kernels::all_pairs::all_pairs(backend, &a, &b, Ranking::Signed, Keep::Partners);
        lines.push(
            self.line("all_pairs", shape, paired, dtype, flop, call, |found| {
                checks::all_pairs(found, &a, &b)
            }),
        );
        if is_packed {
            let scores = noise::weights(self.options.seed + 2, scored * scored);
            let permutations = noise::permutations(self.options.seed + 3, scored, N_PERMUTATIONS);
            // a score and an index each
            let bytes = Work::Bytes(permutations.len() * 8);
            let call = || kernels::permuted_traces::permuted_traces(backend, &scores, scored, &permutations);
            lines.push(self.line("permuted_traces", shape, scored, Dtype::F32, bytes, call, |found| {
                checks::permuted_traces(found, &scores, scored, &permutations)
            }));
        }
        lines
    }

    #[expect(clippy::too_many_arguments, reason = "the columns of a line, its call and its check")]
    fn line<T>(
        &self,
        kernel: &'static str,
        shape: Shape,
        n_rows_used: usize,
        dtype: Dtype,
        work: Work,
        call: impl Fn() -> Result<T, gpu::Error>,
        check: impl Fn(&T) -> Checked,
    ) -> Line {
        (self.progress)(&format!("{} {kernel} {} {}", self.device.name, shape.name, dtype.name()));
        let outcome = self.outcome(work, call, check);
        Line { kernel, shape, n_rows_used, dtype: dtype.name(), outcome }
    }

    /// The answer is checked before the clock starts and again after it stopped.
    fn outcome<T>(
        &self,
        work: Work,
        call: impl Fn() -> Result<T, gpu::Error>,
        check: impl Fn(&T) -> Checked,
    ) -> Outcome {
        let failed = |error: gpu::Error| Outcome::Failed { cause: error.to_string() };
        let first = match call() {
            Ok(answer) => check(&answer),
            Err(error) => return failed(error),
        };
        if !first.is_right() {
            return Outcome::Withheld { error: first.error, error_bound: first.bound };
        }
        let mut last = None;
        let timing = match measure(self.options, || {
            last = Some(call()?);
            Ok(())
        }) {
            Ok(timing) => timing,
            Err(error) => return failed(error),
        };
        let checked = last.as_ref().map_or(first, check);
        if !checked.is_right() {
            return Outcome::Withheld { error: checked.error, error_bound: checked.bound };
        }
        let (rate, unit) = match work {
            Work::Bytes(n_bytes) => (n_bytes as f64 / timing.median_s / 1e9, Unit::GigabytesPerSecond),
            Work::Flop(flop) => (flop / timing.median_s / 1e12, Unit::TeraflopPerSecond),
        };
        let peak = self.peaks.iter().find(|peak| peak.unit == unit).map(|peak| (peak.name, rate / peak.rate));
        Outcome::Measured { rate, unit, peak, timing, error: checked.error, error_bound: checked.bound }
    }
}

/// The elements as they would be stored; on a big-endian machine the bytes of each are swapped, and noise stays noise.
fn bytes_of(matrix: &Matrix) -> &[u8] {
    match &matrix.values {
        Values::Bf16(bits) | Values::F16(bits) => bytemuck::cast_slice(bits),
        Values::F32(values) => bytemuck::cast_slice(values),
    }
}
