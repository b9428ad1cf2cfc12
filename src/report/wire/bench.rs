//! `cognate.bench/1`: what this hardware reaches.

use serde::Serialize;

use super::Rounded;
use crate::bench as core;

/// Version of the document.
pub const BENCH_VERSION: &str = "cognate.bench/1";

/// A whole run.
#[derive(Debug, Serialize)]
pub struct Bench<'a> {
    schema_version: &'static str,
    devices: Vec<Device<'a>>,
    tool: Tool<'a>,
    exit_code: u8,
}

impl<'a> Bench<'a> {
    /// The document of a run.
    #[must_use]
    pub fn new(report: &'a core::BenchReport, exit_code: u8) -> Bench<'a> {
        Bench {
            schema_version: BENCH_VERSION,
            devices: report.devices.iter().map(Device::new).collect(),
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
