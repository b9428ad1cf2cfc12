//! `cognate devices`.

use super::args::{Devices as Args, ShortFormat};
use super::output::Sink;
use super::screen::Screen;
use super::{backend, exit, failure};
use crate::bench;
use crate::cpu::Cpu;
use crate::gpu::{self, DeviceInfo, DeviceType, Gpu};
use crate::report::wire::{Check, DEVICES_VERSION, Device, Devices, Failure};
use crate::report::{json, terminal};
use crate::wording::counted;

/// Runs the verb; a device that computes wrongly is exit code 6.
pub(super) fn run(args: &Args, screen: &Screen) -> Result<u8, Box<Failure>> {
    let gpus = gpu::devices();
    let best = gpus.iter().find(|info| !info.is_software() && info.api != gpu::Api::Gl);
    let mut devices = vec![this_cpu()];
    devices.extend(gpus.iter().map(this_gpu));
    if args.check {
        let checked = checked(args, &gpus, screen)?;
        if args.gpu.is_some() {
            // the named one alone
            devices.clear();
        }
        for (info, check) in checked {
            let select = this_gpu(&info).select;
            match devices.iter_mut().find(|device| device.select == select) {
                Some(device) => device.check = Some(check),
                None => devices.push(Device { check: Some(check), ..this_gpu(&info) }),
            }
        }
    }
    let auto = best.map_or("cpu".to_owned(), |info| {
        format!("the first real GPU that passes its self-test ({})", info.name)
    });
    let is_right = devices.iter().filter_map(|device| device.check.as_ref()).all(|check| check.passed);
    let devices = Devices { schema_version: DEVICES_VERSION, auto, devices };
    let text = match args.format {
        ShortFormat::Json => json::document(&devices),
        ShortFormat::Table => terminal::devices(&devices, screen.style),
    };
    Sink::stdout().write(&text)?;
    Ok(if is_right { exit::OK } else { exit::BACKEND })
}

/// The device that was named, or every real one.
fn checked(
    args: &Args,
    gpus: &[DeviceInfo],
    screen: &Screen,
) -> Result<Vec<(DeviceInfo, Check)>, Box<Failure>> {
    let choices: Vec<gpu::Choice> = match &args.gpu {
        Some(name) => vec![backend::named(name)],
        None => (gpus.iter())
            .filter(|info| !info.is_software() && info.api != gpu::Api::Gl)
            .map(|info| gpu::Choice::Named(info.index.to_string()))
            .collect(),
    };
    let check = |choice: &gpu::Choice| {
        let gpu = Gpu::open(choice).map_err(|error| failure::of_gpu(&error))?;
        let found = bench::conformance(&gpu, &|word| {
            if screen.has_progress {
                screen.tell(&format!("{}: {word}\n", gpu.info().name));
            }
        });
        Ok((gpu.info().clone(), Check::new(&found, properties(gpu.info()))))
    };
    choices.iter().map(check).collect()
}

/// What the choice of a tier rests on.
fn properties(info: &DeviceInfo) -> Vec<(String, String)> {
    let units = info
        .matrix_units
        .iter()
        .map(|unit| format!("{0}x{0}x{0} {1} to {2}", unit.size, unit.operand, unit.accumulator));
    let subgroups =
        info.subgroup_sizes.map_or("none".to_owned(), |(small, large)| format!("{small} to {large}"));
    let tiers = info.tiers().into_iter().map(|tier| tier.name()).collect::<Vec<_>>();
    let version = format!("{} {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    [
        ("driver", format!("{} {}", info.driver, info.driver_info)),
        ("binding", format!("{} bytes", info.max_binding_bytes)),
        ("buffer", format!("{} bytes", info.max_buffer_bytes)),
        ("workgroup memory", format!("{} bytes", info.workgroup_memory_bytes)),
        ("workgroup threads", info.max_workgroup_threads.to_string()),
        ("workgroups a dimension", info.max_workgroups.to_string()),
        ("subgroup sizes", subgroups),
        ("f16 in shaders", info.has_f16.to_string()),
        ("time stamps", info.has_timestamps.to_string()),
        ("matrix units", units.collect::<Vec<_>>().join(", ")),
        ("tiers by properties", tiers.join(", ")),
        ("program", version),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

fn this_cpu() -> Device {
    let cpu = Cpu::detect();
    Device {
        backend: "cpu".to_owned(),
        name: counted(cpu.n_threads, "thread", "threads"),
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
        check: None,
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
