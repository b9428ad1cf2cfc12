//! Each kernel at each shape: data, one checked answer, then the clock.

use super::checks::{self, Checked};
use super::peaks::DOT_BF16;
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
        let mut lines = self.streamed(shape, is_packed);
        lines.extend(self.paired(shape, is_packed));
        if is_packed {
            lines.extend(self.permuted(shape));
        }
        lines
    }

    fn wants(&self, kernel: &str) -> bool {
        self.options.kernels.contains(&kernel)
    }

    fn matrix(&self, seed: u64, n_rows: usize, shape: Shape, is_packed: bool) -> Matrix {
        noise::matrix(self.options.seed + seed, n_rows, shape.n_cols, is_packed)
    }

    /// The kernels that read each element once.
    fn streamed(&self, shape: Shape, is_packed: bool) -> Vec<Line> {
        if !["classify", "moments", "row_dots"].iter().any(|kernel| self.wants(kernel)) {
            return Vec::new();
        }
        let backend = self.device.backend;
        let (dtype, size) = dtype_of(is_packed);
        let most = Rows::of(self.device).streamed;
        let n_rows = most.min(shape.n_rows).min(MAX_MATRIX_BYTES / (shape.n_cols * size));
        let (a, b) = (self.matrix(0, n_rows, shape, is_packed), self.matrix(1, n_rows, shape, is_packed));
        let elements = |matrix| Elements { dtype, bytes: bytes_of(matrix) };
        let one = Work::Bytes(elements(&a).bytes.len());
        let both = Work::Bytes(2 * elements(&a).bytes.len());
        let mut lines = Vec::new();
        if is_packed && self.wants("classify") {
            let call = || kernels::classify::classify(backend, elements(&a));
            lines.push(
                self.line("classify", shape, n_rows, dtype, one, call, |found| checks::classify(found, &a)),
            );
        }
        if self.wants("moments") {
            let call = || kernels::moments::moments(backend, elements(&a), elements(&b));
            lines.push(
                self.line("moments", shape, n_rows, dtype, both, call, |found| {
                    checks::moments(found, &a, &b)
                }),
            );
        }
        if is_packed && self.wants("row_dots") {
            let call = || kernels::row_dots::row_dots(backend, &a, &b);
            lines.push(
                self.line("row_dots", shape, n_rows, dtype, both, call, |found| {
                    checks::row_dots(found, &a, &b)
                }),
            );
        }
        lines
    }

    fn paired(&self, shape: Shape, is_packed: bool) -> Option<Line> {
        if !self.wants("all_pairs") {
            return None;
        }
        let n_rows = self.options.paired_rows.unwrap_or(Rows::of(self.device).paired).min(shape.n_rows);
        let (a, b) = (self.matrix(0, n_rows, shape, is_packed), self.matrix(1, n_rows, shape, is_packed));
        let flop = Work::Flop(2.0 * (n_rows * n_rows * shape.n_cols) as f64);
        let backend = self.device.backend;
        let call = || kernels::all_pairs::all_pairs(backend, &a, &b, Ranking::Signed, Keep::Partners);
        let dtype = dtype_of(is_packed).0;
        Some(
            self.line("all_pairs", shape, n_rows, dtype, flop, call, |found| {
                checks::all_pairs(found, &a, &b)
            }),
        )
    }

    fn permuted(&self, shape: Shape) -> Option<Line> {
        if !self.wants("permuted_traces") {
            return None;
        }
        let n = Rows::of(self.device).scored.min(shape.n_rows);
        let scores = noise::weights(self.options.seed + 2, n * n);
        let permutations = noise::permutations(self.options.seed + 3, n, N_PERMUTATIONS);
        // a score and an index each
        let bytes = Work::Bytes(permutations.len() * 8);
        let backend = self.device.backend;
        let call = || kernels::permuted_traces::permuted_traces(backend, &scores, n, &permutations);
        Some(self.line("permuted_traces", shape, n, Dtype::F32, bytes, call, |found| {
            checks::permuted_traces(found, &scores, n, &permutations)
        }))
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
        let outcome = self.outcome(work, dtype, call, check);
        Line { kernel, shape, n_rows_used, dtype: dtype.name(), outcome }
    }

    /// The limit that a line is held against: the first of its unit, of products of bf16 the one for bf16 where there is one.
    fn peak(&self, unit: Unit, dtype: Dtype) -> Option<&Peak> {
        let of_unit = || self.peaks.iter().filter(|peak| peak.unit == unit);
        let of_dtype = of_unit().find(|peak| dtype == Dtype::Bf16 && peak.name == DOT_BF16);
        of_dtype.or_else(|| of_unit().find(|peak| peak.name != DOT_BF16))
    }

    /// The answer is checked before the clock starts and again after it stopped.
    fn outcome<T>(
        &self,
        work: Work,
        dtype: Dtype,
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
        let peak = self.peak(unit, dtype).map(|peak| (peak.name, rate / peak.rate));
        Outcome::Measured { rate, unit, peak, timing, error: checked.error, error_bound: checked.bound }
    }
}

fn dtype_of(is_packed: bool) -> (Dtype, usize) {
    if is_packed { (Dtype::Bf16, 2) } else { (Dtype::F32, 4) }
}

/// The elements as they would be stored; on a big-endian machine the bytes of each are swapped, and noise stays noise.
fn bytes_of(matrix: &Matrix) -> &[u8] {
    match &matrix.values {
        Values::Bf16(bits) | Values::F16(bits) => bytemuck::cast_slice(bits),
        Values::F32(values) => bytemuck::cast_slice(values),
    }
}
