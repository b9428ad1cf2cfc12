//! `cognate.bench/1`: what this hardware reaches.

use serde::Serialize;

use super::Rounded;
use crate::bench as core;
use crate::report::baseline::Baseline;

/// Version of the document.
pub const BENCH_VERSION: &str = "cognate.bench/1";

/// A whole run.
#[derive(Debug, Serialize)]
pub struct Bench<'a> {
    schema_version: &'static str,
    devices: Vec<Device<'a>>,
    models: Vec<Model<'a>>,
    io: Vec<Io>,
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline: Option<BaselineOf<'a>>,
    tool: Tool<'a>,
    exit_code: u8,
}

impl<'a> Bench<'a> {
    /// The document of a run.
    #[must_use]
    pub fn new(report: &'a core::BenchReport, baseline: Option<&'a Baseline>, exit_code: u8) -> Bench<'a> {
        Bench {
            schema_version: BENCH_VERSION,
            devices: report.devices.iter().map(Device::new).collect(),
            models: report.models.iter().map(Model::new).collect(),
            io: report.io.iter().map(Io::new).collect(),
            baseline: baseline.map(BaselineOf::new),
            tool: Tool { version: report.version, seed: report.seed },
            exit_code,
        }
    }
}

#[derive(Debug, Serialize)]
struct Tool<'a> {
    version: &'a str,
    seed: u64,
}

#[derive(Debug, Serialize)]
struct Model<'a> {
    model: &'a str,
    effort: &'a str,
    parameters: u64,
    size_bytes: u64,
    source_bytes_per_s: Rounded<0>,
    outcome: &'static str,
    seconds: Rounded<4>,
    cpu_seconds: Rounded<2>,
    peak_resident_bytes: Option<u64>,
    bytes_read: u64,
    cells_examined: u64,
    flop: u64,
    stages: Vec<ModelStage<'a>>,
    error: Rounded<12>,
    error_bound: Rounded<12>,
}

impl<'a> Model<'a> {
    fn new(model: &'a core::ModelReport) -> Model<'a> {
        // a wrong answer has no speed
        let seconds = |value: f64| Rounded(model.is_right.then_some(value));
        let stages = model.stages.iter().filter(|_| model.is_right).map(|stage| ModelStage {
            name: &stage.name,
            seconds: Rounded::from(stage.seconds),
            bytes: stage.size_bytes,
            flop: stage.flop,
        });
        Model {
            model: model.name,
            effort: model.effort,
            parameters: model.n_parameters,
            size_bytes: model.size_bytes,
            source_bytes_per_s: Rounded(model.bytes_per_s),
            outcome: if model.is_right { "measured" } else { "withheld" },
            seconds: seconds(model.seconds),
            cpu_seconds: Rounded(model.cpu_seconds.filter(|_| model.is_right)),
            peak_resident_bytes: model.peak_resident_bytes,
            bytes_read: model.bytes_read,
            cells_examined: model.cells_examined,
            flop: model.flop,
            stages: stages.collect(),
            error: Rounded::from(model.error),
            error_bound: Rounded::from(model.error_bound),
        }
    }
}

#[derive(Debug, Serialize)]
struct ModelStage<'a> {
    name: &'a str,
    seconds: Rounded<4>,
    bytes: u64,
    flop: u64,
}

#[derive(Debug, Serialize)]
struct Io {
    what: &'static str,
    cache: &'static str,
    threads: usize,
    outcome: &'static str,
    rate: Rounded<4>,
    unit: &'static str,
    share_of_read: Rounded<4>,
    timing: Option<Timing>,
    error: Rounded<12>,
    error_bound: Rounded<12>,
}

impl Io {
    fn new(line: &core::IoLine) -> Io {
        let is_right = line.is_right();
        Io {
            what: line.what,
            cache: if line.is_warm { "warm" } else { "cold" },
            threads: line.n_threads,
            outcome: if is_right { "measured" } else { "withheld" },
            rate: Rounded(is_right.then_some(line.rate)),
            unit: core::Unit::GigabytesPerSecond.label(),
            share_of_read: Rounded(line.share_of_read.filter(|_| is_right)),
            timing: is_right.then(|| Timing::new(&line.timing)),
            error: Rounded::from(line.error),
            error_bound: Rounded::from(line.error_bound),
        }
    }
}

#[derive(Debug, Serialize)]
struct BaselineOf<'a> {
    tolerance: Rounded<4>,
    within: bool,
    changes: Vec<Change<'a>>,
    missing: &'a [String],
}

#[derive(Debug, Serialize)]
struct Change<'a> {
    line: &'a str,
    before: Rounded<6>,
    now: Rounded<6>,
    ratio: Rounded<4>,
}

impl<'a> BaselineOf<'a> {
    fn new(baseline: &'a Baseline) -> BaselineOf<'a> {
        let changes = baseline.changes.iter().map(|change| Change {
            line: &change.line,
            before: Rounded::from(change.before),
            now: Rounded::from(change.now),
            ratio: Rounded::from(change.ratio()),
        });
        BaselineOf {
            tolerance: Rounded::from(baseline.tolerance),
            within: baseline.slower().next().is_none(),
            changes: changes.collect(),
            missing: &baseline.missing,
        }
    }
}

#[derive(Debug, Serialize)]
struct Device<'a> {
    name: &'a str,
    driver: &'a str,
    tier: &'a str,
    software: bool,
    threads: usize,
    peaks: Vec<Peak<'a>>,
    lines: Vec<Line<'a>>,
}

impl<'a> Device<'a> {
    fn new(device: &'a core::DeviceReport) -> Device<'a> {
        Device {
            name: &device.name,
            driver: &device.driver,
            tier: &device.tier,
            software: device.is_software,
            threads: device.n_threads,
            peaks: device
                .peaks
                .iter()
                .map(|peak| Peak {
                    name: peak.name,
                    rate: Rounded::from(peak.rate),
                    unit: peak.unit.label(),
                    timing: Timing::new(&peak.timing),
                })
                .collect(),
            lines: device.lines.iter().map(Line::new).collect(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Peak<'a> {
    name: &'a str,
    rate: Rounded<4>,
    unit: &'static str,
    timing: Timing,
}

#[derive(Debug, Serialize)]
struct Timing {
    median_s: Rounded<9>,
    min_s: Rounded<9>,
    mad_s: Rounded<9>,
    samples: usize,
    throttled: bool,
}

impl Timing {
    fn new(timing: &core::Timing) -> Timing {
        Timing {
            median_s: Rounded::from(timing.median_s),
            min_s: Rounded::from(timing.min_s),
            mad_s: Rounded::from(timing.mad_s),
            samples: timing.n_samples,
            throttled: timing.throttled,
        }
    }
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    kernel: &'a str,
    shape: &'a str,
    rows: usize,
    cols: usize,
    rows_used: usize,
    dtype: &'a str,
    outcome: &'static str,
    rate: Rounded<4>,
    unit: Option<&'static str>,
    peak: Option<&'a str>,
    share_of_peak: Rounded<4>,
    timing: Option<Timing>,
    error: Rounded<12>,
    error_bound: Rounded<12>,
    cause: Option<&'a str>,
}

impl<'a> Line<'a> {
    fn new(line: &'a core::Line) -> Line<'a> {
        let silent = Line {
            kernel: line.kernel,
            shape: line.shape.name,
            rows: line.shape.n_rows,
            cols: line.shape.n_cols,
            rows_used: line.n_rows_used,
            dtype: line.dtype,
            outcome: "failed",
            rate: Rounded(None),
            unit: None,
            peak: None,
            share_of_peak: Rounded(None),
            timing: None,
            error: Rounded(None),
            error_bound: Rounded(None),
            cause: None,
        };
        match &line.outcome {
            core::Outcome::Measured { rate, unit, peak, timing, error, error_bound } => Line {
                outcome: "measured",
                rate: Rounded::from(*rate),
                unit: Some(unit.label()),
                peak: peak.map(|(name, _)| name),
                share_of_peak: Rounded(peak.map(|(_, share)| share)),
                timing: Some(Timing::new(timing)),
                error: Rounded::from(*error),
                error_bound: Rounded::from(*error_bound),
                ..silent
            },
            core::Outcome::Withheld { error, error_bound } => Line {
                outcome: "withheld",
                error: Rounded::from(*error),
                error_bound: Rounded::from(*error_bound),
                ..silent
            },
            core::Outcome::Failed { cause } => Line { cause: Some(cause), ..silent },
        }
    }
}
