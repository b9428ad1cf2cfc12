//! What this hardware can do, and which share of it each kernel reaches.
//!
//! Peaks and kernels are measured in the same run on seeded noise; every answer is checked against an f64
//! definition on a sample before its speed is believed. Plain results: rendering is someone else's job.

pub mod checks;
mod conformance;
mod gpu_peaks;
mod io;
mod lines;
mod model;
pub mod noise;
mod peaks;
mod seeded_model;
mod timing;

pub use io::{IoLine, read_file};
pub use model::{ModelReport, ModelRun, ModelStage, ProcessFacts, run_model};
pub use seeded_model::{MODELS, ModelShape, checkpoint as seeded_checkpoint};

use std::time::Duration;

use crate::kernels::Backend;

pub use conformance::{Conformance, ConformanceLine, Rate, conformance};

/// A backend together with how it is to be called in the report.
#[derive(Debug)]
pub struct Device<'a> {
    /// Where the kernels run.
    pub backend: &'a Backend,
    /// `cpu`, or the adapter's own name.
    pub name: String,
    /// Driver and version; empty on the CPU.
    pub driver: String,
    /// `avx2+fma`, `tile`, `small`, ….
    pub tier: String,
    /// A software adapter: its speed says nothing, only its answers count.
    pub is_software: bool,
}

/// How long and with which data to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Shapes to measure, in this order.
    pub shapes: Vec<Shape>,
    /// Kernels to measure, of [`KERNELS`].
    pub kernels: Vec<&'static str>,
    /// Rows of all pairs, at most those of the shape; None: as many as take a moment on this device.
    pub paired_rows: Option<usize>,
    /// Seed of the noise.
    pub seed: u64,
    /// Fewest samples of each line.
    pub min_samples: usize,
    /// A line stops once it has its samples and this much time.
    pub time_per_line: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            shapes: SHAPES.to_vec(),
            kernels: KERNELS.to_vec(),
            paired_rows: None,
            seed: 1,
            min_samples: 20,
            time_per_line: Duration::from_millis(500),
        }
    }
}

/// What a rate counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// 10⁹ bytes a second.
    GigabytesPerSecond,
    /// 10¹² floating-point operations a second, a fused multiply-add being two.
    TeraflopPerSecond,
}

impl Unit {
    /// `GB/s` or `TFLOP/s`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Unit::GigabytesPerSecond => "GB/s",
            Unit::TeraflopPerSecond => "TFLOP/s",
        }
    }
}

/// Wall times of one line, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// Half of the samples took no longer.
    pub median_s: f64,
    /// The fastest sample.
    pub min_s: f64,
    /// Median of |sample − median|.
    pub mad_s: f64,
    /// Samples taken after warming up.
    pub n_samples: usize,
    /// The median of the last third is more than 5 % above that of the first.
    pub throttled: bool,
}

/// A limit of the device, measured in this run.
#[derive(Clone, Debug, PartialEq)]
pub struct Peak {
    /// `fma f32`, `dot bf16`, `memory read`, `memory copy`, `device copy`, `upload`.
    pub name: &'static str,
    /// Rate of the median sample.
    pub rate: f64,
    /// Unit of `rate`.
    pub unit: Unit,
    /// How it was timed.
    pub timing: Timing,
}

/// Shape of a matrix of a published model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// `llama_7b_mlp_up`, ….
    pub name: &'static str,
    /// Rows (outputs) of the model's matrix.
    pub n_rows: usize,
    /// Columns (inputs).
    pub n_cols: usize,
}

/// The shapes that there are, of the published configurations of Llama-2-7B, Llama-3.1-8B and Yi-34B.
pub const SHAPES: [Shape; 7] = [
    Shape { name: "llama_7b_mlp_up", n_rows: 11008, n_cols: 4096 },
    Shape { name: "llama_7b_embedding", n_rows: 32000, n_cols: 4096 },
    Shape { name: "llama_8b_attention_q", n_rows: 4096, n_cols: 4096 },
    Shape { name: "llama_8b_mlp_up", n_rows: 14336, n_cols: 4096 },
    Shape { name: "llama_8b_mlp_down", n_rows: 4096, n_cols: 14336 },
    Shape { name: "yi_34b_attention_q", n_rows: 7168, n_cols: 7168 },
    Shape { name: "yi_34b_mlp_up", n_rows: 20480, n_cols: 7168 },
];

/// The kernels that there are, in the order of the table.
pub const KERNELS: [&str; 5] = ["classify", "moments", "row_dots", "all_pairs", "permuted_traces"];

/// What a kernel did with one shape.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The answer was right; this is its speed.
    Measured {
        /// Rate of the median sample.
        rate: f64,
        /// Unit of `rate`.
        unit: Unit,
        /// The peak that `rate` is a share of, and the share (1 = the peak); None where no such peak was measured.
        peak: Option<(&'static str, f64)>,
        /// How it was timed.
        timing: Timing,
        /// Largest relative error found against the f64 definition.
        error: f64,
        /// The largest that the arithmetic allows.
        error_bound: f64,
    },
    /// The answer was wrong: no speed is given, and the run is a failure (exit code 6).
    Withheld {
        /// Largest relative error found.
        error: f64,
        /// The largest that the arithmetic allows.
        error_bound: f64,
    },
    /// The device failed.
    Failed {
        /// Its error.
        cause: String,
    },
}

/// One line of the table: kernel × shape × element type.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// `classify`, `moments`, `row_dots`, `all_pairs`, `permuted_traces`.
    pub kernel: &'static str,
    /// The model's matrix.
    pub shape: Shape,
    /// Rows that were really used, sampled where the whole would take minutes.
    pub n_rows_used: usize,
    /// Safetensors name of the element type, `BF16`, `F32`.
    pub dtype: &'static str,
    /// Speed, or why there is none.
    pub outcome: Outcome,
}

/// Everything measured on one device.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceReport {
    /// `cpu`, or the adapter's own name.
    pub name: String,
    /// Driver and version; empty on the CPU.
    pub driver: String,
    /// `avx2+fma`, `tile`, `small`, ….
    pub tier: String,
    /// To be labelled "software, correctness only".
    pub is_software: bool,
    /// Threads of the host that took part.
    pub n_threads: usize,
    /// Limits measured in this run.
    pub peaks: Vec<Peak>,
    /// Kernels × shapes.
    pub lines: Vec<Line>,
}

/// A whole run.
#[derive(Clone, Debug, PartialEq)]
pub struct BenchReport {
    /// Crate version.
    pub version: &'static str,
    /// Seed of the noise.
    pub seed: u64,
    /// In the order asked for.
    pub devices: Vec<DeviceReport>,
    /// Comparisons of whole models of noise.
    pub models: Vec<ModelReport>,
    /// Reading of a file.
    pub io: Vec<IoLine>,
}

impl BenchReport {
    /// Whether a value check failed or a device did: exit code 6.
    #[must_use]
    pub fn has_failures(&self) -> bool {
        self.devices
            .iter()
            .flat_map(|device| &device.lines)
            .any(|line| !matches!(line.outcome, Outcome::Measured { .. }))
            || self.models.iter().any(|model| !model.is_right)
            || self.io.iter().any(|line| !line.is_right())
    }
}

/// Measures peaks and kernels of every device; `progress` gets a word before each line.
#[must_use]
pub fn run(devices: &[Device<'_>], options: &Options, progress: &dyn Fn(&str)) -> BenchReport {
    let devices = devices
        .iter()
        .map(|device| {
            let peaks = peaks::peaks(device, options, progress);
            let lines = lines::lines(device, &peaks, options, progress);
            DeviceReport {
                name: device.name.clone(),
                driver: device.driver.clone(),
                tier: device.tier.clone(),
                is_software: device.is_software,
                n_threads: rayon::current_num_threads(),
                peaks,
                lines,
            }
        })
        .collect();
    BenchReport { devices, ..empty_report(options.seed) }
}

/// A run that has measured nothing yet.
#[must_use]
pub fn empty_report(seed: u64) -> BenchReport {
    BenchReport {
        version: env!("CARGO_PKG_VERSION"),
        seed,
        devices: Vec::new(),
        models: Vec::new(),
        io: Vec::new(),
    }
}
