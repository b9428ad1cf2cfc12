//! `cognate devices`.

use super::args::{Devices as Args, ShortFormat};
use super::exit;
use super::output::Sink;
use super::screen::Screen;
use crate::cpu::Cpu;
use crate::gpu::{self, DeviceInfo, DeviceType};
use crate::report::wire::{DEVICES_VERSION, Device, Devices, Failure};
use crate::report::{json, terminal};

/// Runs the verb.
pub(super) fn run(args: &Args, screen: &Screen) -> Result<u8, Box<Failure>> {
    let gpus = gpu::devices();
    let best = gpus.iter().find(|info| !info.is_software() && info.api != gpu::Api::Gl);
    let mut devices = vec![this_cpu()];
    devices.extend(gpus.iter().map(this_gpu));
    let auto = best.map_or("cpu".to_owned(), |info| {
        format!("the first real GPU that passes its self-test ({})", info.name)
    });
    let devices = Devices { schema_version: DEVICES_VERSION, auto, devices };
    let text = match args.format {
        ShortFormat::Json => json::document(&devices),
        ShortFormat::Table => terminal::devices(&devices, screen.style),
    };
    Sink::stdout().write(&text)?;
    Ok(exit::OK)
}

fn this_cpu() -> Device {
    let cpu = Cpu::detect();
    Device {
        backend: "cpu".to_owned(),
        name: format!("{} threads", cpu.n_threads),
        api: cpu.simd.to_owned(),
        kind: "cpu".to_owned(),
        ..Device::default()
    }
}

fn this_gpu(info: &DeviceInfo) -> Device {
    let pci = (!info.pci_bus_id.is_empty()).then(|| info.pci_bus_id.clone());
    let note = match (info.is_software(), &pci) {
        (true, _) => Some("software adapter: for correctness only, taken by name only"),
        (false, None) => Some("no PCI address known: the index may change when devices do"),
        (false, Some(_)) => None,
    };
    Device {
        select: Some(pci.as_ref().map_or_else(|| info.index.to_string(), |pci| format!("pci:{pci}"))),
        backend: "gpu".to_owned(),
        name: info.name.clone(),
        api: info.api.name().to_owned(),
        kind: kind(info).to_owned(),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        pci,
        note: note.map(str::to_owned),
    }
}

fn kind(info: &DeviceInfo) -> &'static str {
    match info.device_type {
        _ if info.is_software() => "software",
        DeviceType::Discrete => "discrete",
        DeviceType::Integrated => "integrated",
        DeviceType::Virtual => "virtual",
        DeviceType::Software => "software",
        DeviceType::Unknown => "unknown",
    }
}
