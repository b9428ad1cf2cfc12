//! `cognate.devices/1`: what this machine can compute on.

use serde::Serialize;

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
}
