//! `cognate bench`.

use std::time::Duration;

use super::args::{Bench as Args, ShortFormat};
use super::output::Sink;
use super::screen::Screen;
use super::{exit, failure};
use crate::bench::{self, KERNELS, Options, SHAPES};
use crate::cpu::Cpu;
use crate::gpu::{self, Api, Choice, Gpu};
use crate::kernels::Backend;
use crate::report::wire::{Bench, Failure};
use crate::report::{json, terminal};

/// A backend and its facts, owned for the length of the run.
struct Opened {
    backend: Backend,
    name: String,
    driver: String,
    tier: String,
    is_software: bool,
}

/// Runs the verb; a wrong answer or a lost device is exit code 6.
pub(super) fn run(args: &Args, screen: &Screen) -> Result<u8, Box<Failure>> {
    let opened = open(&args.device)?;
    let devices: Vec<bench::Device<'_>> = opened
        .iter()
        .map(|device| bench::Device {
            backend: &device.backend,
            name: device.name.clone(),
            driver: device.driver.clone(),
            tier: device.tier.clone(),
            is_software: device.is_software,
        })
        .collect();
    let options = Options {
        shapes: chosen(&SHAPES, &args.shapes, |shape| shape.name),
        kernels: chosen(&KERNELS, &args.kernels, |kernel| kernel),
        paired_rows: args.rows.map(|rows| rows as usize),
        time_per_line: Duration::from_secs_f64(args.seconds),
        ..Options::default()
    };
    let report = bench::run(&devices, &options, &|word| {
        if screen.has_progress {
            screen.tell(&format!("{word}\n"));
        }
    });
    let exit_code = if report.has_failures() { exit::BACKEND } else { exit::OK };
    let text = match args.format {
        ShortFormat::Json => json::document(&Bench::new(&report, exit_code)),
        ShortFormat::Table => terminal::bench(&report, screen.style),
    };
    Sink::stdout().write(&text)?;
    Ok(exit_code)
}

/// What was asked for by name; all where nothing was.
fn chosen<T: Copy>(all: &[T], names: &[String], name_of: impl Fn(&T) -> &'static str) -> Vec<T> {
    let is_chosen = |one: &T| names.is_empty() || names.iter().any(|name| name == name_of(one));
    all.iter().copied().filter(is_chosen).collect()
}

/// `bench` never falls back silently: what is named must open. `all` is the CPU and every real GPU.
fn open(device: &str) -> Result<Vec<Opened>, Box<Failure>> {
    match device {
        "cpu" => Ok(vec![this_cpu()]),
        "all" => {
            let mut all = vec![this_cpu()];
            for info in gpu::devices() {
                if !info.is_software() && info.api != Api::Gl {
                    all.push(named(&info.index.to_string())?);
                }
            }
            Ok(all)
        }
        name => Ok(vec![named(name)?]),
    }
}

fn this_cpu() -> Opened {
    let cpu = Cpu::detect();
    Opened {
        name: "cpu".to_owned(),
        driver: String::new(),
        tier: cpu.simd.to_owned(),
        is_software: false,
        backend: Backend::Cpu(cpu),
    }
}

fn named(name: &str) -> Result<Opened, Box<Failure>> {
    let gpu = Gpu::open(&Choice::Named(name.to_owned())).map_err(|error| failure::of_gpu(&error))?;
    let facts = gpu.facts();
    Ok(Opened {
        name: facts.name,
        driver: facts.driver,
        tier: facts.tier.to_owned(),
        is_software: facts.is_software,
        backend: Backend::Gpu(gpu),
    })
}
