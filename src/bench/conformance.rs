//! Does this GPU compute correctly, and how fast is each way? Every kernel in every tier, with and without run-time checks,
//! against definitions in f64; then peaks and upload paths.

use std::time::{Duration, Instant};

use super::checks::{self, Checked};
use super::noise;
use crate::gpu::{self, Checks, Gpu, UploadPath};
use crate::kernels::{self, Backend, probes, tiers};
use crate::reductions::{Elements, Keep, Ranking};
use crate::tensor::{Dtype, Matrix, Values};

/// One kernel in one tier and one build.
#[derive(Clone, Debug)]
pub struct ConformanceLine {
    /// `moments`, `all_pairs partners`, ….
    pub what: &'static str,
    /// `coop16`, … for products, else empty.
    pub tier: &'static str,
    /// `checked` or `unchecked`: whether the shader has run-time checks.
    pub build: &'static str,
    /// Errors of the answer, or why there is none.
    pub outcome: Result<Checked, String>,
    /// Seconds of the fastest of three calls, with upload and read-back.
    pub seconds: f64,
    /// Of these the device's own, where it has time stamps.
    pub device_seconds: Option<f64>,
    /// Floating-point operations of a product, bytes of everything else.
    pub work: f64,
}

impl ConformanceLine {
    /// Whether the answer was right.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.outcome.as_ref().is_ok_and(|checked| checked.is_right())
    }
}

/// A rate measured beside the checks.
#[derive(Clone, Debug)]
pub struct Rate {
    /// `fma f32`, `matrix units f16`, `device copy`, `upload ring`, `upload write_buffer`.
    pub name: &'static str,
    /// Operations or bytes a second, or why there is none.
    pub per_second: Result<f64, String>,
}

/// Everything found out about a device.
#[derive(Clone, Debug)]
pub struct Conformance {
    /// Hash of the self-test's answers and its seconds, or what failed.
    pub self_test: Result<(String, f64), String>,
    /// The tier that is taken, and all that were tried.
    pub tier: Result<&'static str, String>,
    /// Tiers tried, with the seconds of a product where it was timed.
    pub tried: Vec<tiers::Tried>,
    /// Kernels.
    pub lines: Vec<ConformanceLine>,
    /// Peaks and upload paths.
    pub rates: Vec<Rate>,
}

impl Conformance {
    /// Whether every answer was right.
    #[must_use]
    pub fn is_right(&self) -> bool {
        let lines = self.lines.iter().all(ConformanceLine::is_right);
        let rates = self.rates.iter().all(|rate| rate.per_second.is_ok());
        self.self_test.is_ok() && self.tier.is_ok() && lines && rates
    }
}

/// Calls of which the fastest counts.
const N_CALLS: usize = 3;
/// Bytes of an upload that is timed.
const UPLOAD_BYTES: usize = 32 << 20;

/// Rows and columns of the data: enough to keep a card busy for some milliseconds, little on a software adapter.
fn shape(gpu: &Gpu) -> (usize, usize) {
    if gpu.info().is_software() { (130, 300) } else { (4096, 4096) }
}

/// Checks a device that has been opened; `progress` gets a word before each part.
#[must_use]
pub fn conformance(gpu: &Gpu, progress: &dyn Fn(&str)) -> Conformance {
    progress("self-test");
    let start = Instant::now();
    let self_test = match gpu.check() {
        Ok(passed) => Ok((passed.hash, start.elapsed().as_secs_f64())),
        Err(error) => Err(error.to_string()),
    };
    progress("tiers");
    let (tier, tried) = match tiers::settle(gpu) {
        Ok((settled, tried)) => (Ok(settled.tier().name()), tried),
        Err(error) => (Err(error.to_string()), Vec::new()),
    };
    let mut lines = Vec::new();
    for checks in [Checks::On, Checks::Off] {
        lines.extend(plain_kernels(&gpu.with_checks(checks), progress));
        for tier in gpu.info().tiers() {
            lines.extend(products(&gpu.with_tier(tier).with_checks(checks), progress));
        }
    }
    progress("rates");
    Conformance { self_test, tier, tried, lines, rates: rates(gpu) }
}

fn plain_kernels(gpu: &Gpu, progress: &dyn Fn(&str)) -> Vec<ConformanceLine> {
    let (n_rows, n_cols) = shape(gpu);
    let (a, b) = (noise::matrix(1, n_rows, n_cols, true), noise::matrix(2, n_rows, n_cols, true));
    let elements = |matrix| Elements { dtype: Dtype::Bf16, bytes: bytes_of(matrix) };
    let backend = backend(gpu);
    let n_bytes = (n_rows * n_cols * 2) as f64;
    let n_scored = n_rows.min(1024);
    let scores = noise::weights(3, n_scored * n_scored);
    let permutations = noise::permutations(4, n_scored, 100);
    vec![
        line(
            gpu,
            progress,
            "classify",
            n_bytes,
            || kernels::classify::classify(&backend, elements(&a)),
            |found| checks::classify(found, &a),
        ),
        line(
            gpu,
            progress,
            "moments",
            2.0 * n_bytes,
            || kernels::moments::moments(&backend, elements(&a), elements(&b)),
            |found| checks::moments(found, &a, &b),
        ),
        line(
            gpu,
            progress,
            "row_dots",
            2.0 * n_bytes,
            || kernels::row_dots::row_dots(&backend, &a, &b),
            |found| checks::row_dots(found, &a, &b),
        ),
        line(
            gpu,
            progress,
            "permuted_traces",
            (permutations.len() * 8) as f64,
            || kernels::permuted_traces::permuted_traces(&backend, &scores, n_scored, &permutations),
            |found| checks::permuted_traces(found, &scores, n_scored, &permutations),
        ),
    ]
}

/// The all-pairs product in the tier of `gpu`: from bf16, which f16 holds exactly, and from f32, which it does not.
fn products(gpu: &Gpu, progress: &dyn Fn(&str)) -> Vec<ConformanceLine> {
    let (n_rows, n_cols) = shape(gpu);
    let backend = backend(gpu);
    let flop = 2.0 * (n_rows * n_rows * n_cols) as f64;
    let mut lines = Vec::new();
    for (is_packed, partners, energy) in
        [(true, "all_pairs bf16", "energy bf16"), (false, "all_pairs f32", "energy f32")]
    {
        let (a, b) =
            (noise::matrix(5, n_rows, n_cols, is_packed), noise::matrix(6, n_rows, n_cols, is_packed));
        let tier = gpu.tier();
        let bound = |checked: Checked| Checked {
            bound: checked.bound.max(2.0 * kernels::all_pairs::error_bound(tier, n_cols)),
            ..checked
        };
        let mut sum_squares = None;
        lines.push(line(
            gpu,
            progress,
            partners,
            flop,
            || kernels::all_pairs::all_pairs(&backend, &a, &b, Ranking::Signed, Keep::Partners),
            |found| {
                sum_squares = Some(found.sum_squares);
                bound(checks::all_pairs(found, &a, &b))
            },
        ));
        // two epilogues of one product must agree: each score is off by the bound at most, both times
        lines.push(line(
            gpu,
            progress,
            energy,
            flop,
            || kernels::all_pairs::energy(&backend, &a, &b),
            |found| Checked {
                error: (found - sum_squares.unwrap_or(f64::NAN)).abs() / (n_rows * n_rows) as f64,
                bound: 6.0 * kernels::all_pairs::error_bound(tier, n_cols) + 768.0 * 2_f64.powi(-24),
            },
        ));
    }
    lines
}

fn backend(gpu: &Gpu) -> Backend {
    Backend::Gpu(gpu.with_tier(gpu.tier()))
}

fn line<T>(
    gpu: &Gpu,
    progress: &dyn Fn(&str),
    what: &'static str,
    work: f64,
    call: impl Fn() -> Result<T, gpu::Error>,
    check: impl FnOnce(&T) -> Checked,
) -> ConformanceLine {
    let is_product = what.starts_with("all_pairs") || what.starts_with("energy");
    let tier = if is_product { gpu.tier().name() } else { "" };
    progress(&format!("{what} {tier} {}", gpu.checks().name()));
    let mut fastest = (f64::INFINITY, None);
    let mut last = Err("not run".to_owned());
    for _ in 0..N_CALLS {
        let (before, start) = (gpu.busy_time(), Instant::now());
        last = call().map_err(|error| error.to_string());
        let wall = start.elapsed().as_secs_f64();
        let busy = gpu
            .busy_time()
            .zip(before)
            .map(|(after, before): (Duration, Duration)| after.saturating_sub(before).as_secs_f64());
        if last.is_err() {
            break;
        }
        if wall < fastest.0 {
            fastest = (wall, busy);
        }
    }
    let outcome = last.map(|answer| check(&answer));
    ConformanceLine {
        what,
        tier,
        build: gpu.checks().name(),
        outcome,
        seconds: fastest.0,
        device_seconds: fastest.1,
        work,
    }
}

fn rates(gpu: &Gpu) -> Vec<Rate> {
    let (fma_rounds, coop_rounds) = if gpu.info().is_software() { (64, 64) } else { (4096, 4096) };
    let bytes: Vec<u8> =
        (0..UPLOAD_BYTES / 8).flat_map(|at| noise::word(7, at as u64).to_le_bytes()).collect();
    let best = |probe: &dyn Fn() -> Result<probes::Probed, gpu::Error>| {
        let mut fastest: f64 = 0.0;
        for _ in 0..N_CALLS {
            fastest = fastest.max(probe().map_err(|error| error.to_string())?.rate());
        }
        Ok(fastest)
    };
    let mut rates = vec![
        Rate { name: "fma f32", per_second: best(&|| probes::fma(gpu, fma_rounds)) },
        Rate { name: "device copy", per_second: best(&|| probes::copy(gpu, UPLOAD_BYTES)) },
        Rate { name: "upload ring", per_second: best(&|| probes::upload(gpu, UploadPath::Ring, &bytes)) },
        Rate {
            name: "upload write_buffer",
            per_second: best(&|| probes::upload(gpu, UploadPath::WriteBuffer, &bytes)),
        },
    ];
    match probes::coop(gpu, coop_rounds) {
        Ok(None) => {}
        Ok(Some(probed)) => rates.push(Rate { name: "matrix units f16", per_second: Ok(probed.rate()) }),
        Err(error) => rates.push(Rate { name: "matrix units f16", per_second: Err(error.to_string()) }),
    }
    rates
}

fn bytes_of(matrix: &Matrix) -> &[u8] {
    match &matrix.values {
        Values::Bf16(bits) | Values::F16(bits) => bytemuck::cast_slice(bits),
        Values::F32(values) => bytemuck::cast_slice(values),
    }
}
