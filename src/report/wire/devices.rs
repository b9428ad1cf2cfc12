//! `cognate.devices/1`: what this machine can compute on.

use serde::Serialize;

use super::Rounded;
use crate::bench::{Conformance, ConformanceLine};

/// Version of the document.
pub const DEVICES_VERSION: &str = "cognate.devices/1";

/// Every device, the CPU first.
#[derive(Clone, Debug, Serialize)]
pub struct Devices {
    /// [`DEVICES_VERSION`].
    pub schema_version: &'static str,
    /// What `--backend auto` takes here: `cpu`, or the `select` of a GPU.
    pub auto: String,
    /// The devices.
    pub devices: Vec<Device>,
}

/// One device.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Device {
    /// What to give to `--gpu`; None for the CPU.
    pub select: Option<String>,
    /// `cpu` or `gpu`.
    pub backend: String,
    /// The driver's or the processor's own name.
    pub name: String,
    /// `vulkan`, `metal`, `dx12`, `gl`; the SIMD tier on the CPU.
    pub api: String,
    /// `discrete`, `integrated`, `software`, `cpu`, ….
    pub kind: String,
    /// Driver and version.
    pub driver: String,
    /// PCI address, where the driver tells it.
    pub pci: Option<String>,
    /// What to know: "software adapter: correctness only", "name and index only: not stable".
    pub note: Option<String>,
    /// What `--check` found out; absent without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<Check>,
}

/// Whether a device computes correctly, and how fast.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// Every answer was right.
    pub passed: bool,
    /// Hash of the self-test's answers; None where it failed.
    pub self_test: Option<String>,
    /// The tier that is taken.
    pub tier: Option<String>,
    /// What failed, in sentences.
    pub failures: Vec<String>,
    /// What the driver says of the adapter: (name, value).
    pub properties: Vec<(String, String)>,
    /// Tiers that the properties allow, with the seconds of a product where it was timed.
    pub tiers: Vec<Tier>,
    /// Kernels × tiers × builds.
    pub lines: Vec<Line>,
    /// Peaks and upload paths.
    pub rates: Vec<Rate>,
}

/// One tier.
#[derive(Clone, Debug, Serialize)]
pub struct Tier {
    name: String,
    seconds: Rounded<9>,
    failure: Option<String>,
}

/// One kernel in one tier and build.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// Kernel and data.
    pub kernel: String,
    /// Tier of a product, else empty.
    pub tier: String,
    /// `checked` or `unchecked`.
    pub build: String,
    /// Whether the answer was right.
    pub passed: bool,
    /// Largest error found, relative to the sum of magnitudes.
    pub error: Rounded<12>,
    /// Largest allowed.
    pub error_bound: Rounded<12>,
    /// Fastest call, upload and read-back included.
    pub seconds: Rounded<9>,
    /// Of these on the device, where it has time stamps.
    pub device_seconds: Rounded<9>,
    /// GB/s or TFLOP/s of `device_seconds`, else of `seconds`.
    pub rate: Rounded<4>,
    /// `GB/s` or `TFLOP/s`.
    pub unit: String,
}

/// A rate.
#[derive(Clone, Debug, Serialize)]
pub struct Rate {
    /// What was measured.
    pub name: String,
    /// Its value; None where it failed.
    pub value: Rounded<4>,
    /// `GB/s` or `TFLOP/s`.
    pub unit: String,
}

impl Check {
    /// The wire form of what was found.
    #[must_use]
    pub fn new(found: &Conformance, properties: Vec<(String, String)>) -> Check {
        let mut failures = Vec::new();
        failures.extend(found.self_test.as_ref().err().map(|error| format!("self-test: {error}")));
        failures.extend(found.tier.as_ref().err().map(|error| format!("tiers: {error}")));
        for line in found.lines.iter().filter(|line| !line.is_right()) {
            let why = match &line.outcome {
                Ok(checked) => format!("error {:.1e}, at most {:.1e} allowed", checked.error, checked.bound),
                Err(error) => error.clone(),
            };
            failures.push(format!("{} {} {}: {why}", line.what, line.tier, line.build));
        }
        for rate in &found.rates {
            failures.extend(rate.per_second.as_ref().err().map(|error| format!("{}: {error}", rate.name)));
        }
        Check {
            passed: found.is_right(),
            self_test: found.self_test.as_ref().ok().map(|(hash, _)| hash.clone()),
            tier: found.tier.as_ref().ok().map(|tier| (*tier).to_owned()),
            failures,
            properties,
            tiers: (found.tried.iter())
                .map(|tried| Tier {
                    name: tried.tier.name().to_owned(),
                    seconds: Rounded(tried.outcome.as_ref().ok().copied().filter(|seconds| *seconds > 0.0)),
                    failure: tried.outcome.as_ref().err().cloned(),
                })
                .collect(),
            lines: found.lines.iter().map(Line::new).collect(),
            rates: (found.rates.iter())
                .map(|rate| {
                    let (scale, unit) = unit(is_arithmetic(rate.name));
                    Rate {
                        name: rate.name.to_owned(),
                        value: Rounded(rate.per_second.as_ref().ok().map(|rate| rate / scale)),
                        unit: unit.to_owned(),
                    }
                })
                .collect(),
        }
    }
}

impl Line {
    fn new(line: &ConformanceLine) -> Line {
        let checked = line.outcome.as_ref().ok();
        let (scale, unit) = unit(is_arithmetic(line.what));
        let seconds = line.device_seconds.filter(|seconds| *seconds > 0.0).unwrap_or(line.seconds);
        Line {
            kernel: line.what.to_owned(),
            tier: line.tier.to_owned(),
            build: line.build.to_owned(),
            passed: line.is_right(),
            error: Rounded(checked.map(|checked| checked.error)),
            error_bound: Rounded(checked.map(|checked| checked.bound)),
            seconds: Rounded::from(line.seconds),
            device_seconds: Rounded(line.device_seconds),
            rate: Rounded::from(line.work / seconds / scale),
            unit: unit.to_owned(),
        }
    }
}

fn is_arithmetic(name: &str) -> bool {
    ["fma", "matrix units", "all_pairs", "energy"].iter().any(|known| name.starts_with(known))
}

fn unit(is_arithmetic: bool) -> (f64, &'static str) {
    if is_arithmetic { (1e12, "TFLOP/s") } else { (1e9, "GB/s") }
}
