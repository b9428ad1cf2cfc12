//! `cognate bench`.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::args::{Bench as Args, BenchFormat};
use super::output::Sink;
use super::progress::Bar;
use super::screen::Screen;
use super::{backend, exit, failure, process, text_file};
use crate::bench::{self, BenchReport, KERNELS, MODELS, ModelRun, Options, ProcessFacts, SHAPES};
use crate::cpu::Cpu;
use crate::gpu::{self, Api};
use crate::kernels::Backend;
use crate::report::baseline::{self, Baseline};
use crate::report::wire::{Bench, Failure};
use crate::report::{json, markdown, svg, terminal};

/// A backend and its facts, owned for the length of the run.
struct Opened {
    backend: Backend,
    name: String,
    driver: String,
    tier: String,
    is_software: bool,
}

/// Runs the verb; a wrong answer or a lost device is exit code 6, a line slower than the baseline allows 1.
pub(super) fn run(args: &Args, screen: &Screen) -> Result<u8, Box<Failure>> {
    let earlier = args.baseline.as_deref().map(earlier_run).transpose()?;
    let mut picture = args.svg.as_deref().map(|path| Sink::open(Some(path), &[])).transpose()?;
    let report = match (&args.io, &args.model) {
        (Some(path), _) => of_file(path, screen)?,
        (None, Some(model)) => of_model(model, args, screen)?,
        (None, None) => of_kernels(args, screen)?,
    };
    let held = match (&earlier, &args.baseline) {
        (Some(earlier), Some(path)) => Some(hold(&report, earlier, args.tolerance, path)?),
        _ => None,
    };
    let is_slower = held.as_ref().is_some_and(|held| held.slower().next().is_some());
    let exit_code = exit::first_of([
        if report.has_failures() { exit::BACKEND } else { exit::OK },
        if is_slower { exit::GATE } else { exit::OK },
    ]);
    let text = match args.format {
        BenchFormat::Json => json::document(&Bench::new(&report, held.as_ref(), exit_code)),
        BenchFormat::Table => terminal::bench(&report, held.as_ref(), screen.style),
        BenchFormat::Markdown => markdown::bench(&report, held.as_ref()),
    };
    Sink::stdout().write(&text)?;
    if let Some(mut picture) = picture.take() {
        picture.write(&svg::roofline(&report))?;
        picture.finish()?;
    }
    Ok(exit_code)
}

/// Peaks and kernels.
fn of_kernels(args: &Args, screen: &Screen) -> Result<BenchReport, Box<Failure>> {
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
    Ok(bench::run(&devices, &options, &|word| tell(screen, word)))
}

/// A whole comparison of two models of noise, on the named device or the CPU.
fn of_model(name: &str, args: &Args, screen: &Screen) -> Result<BenchReport, Box<Failure>> {
    let device = if args.device == "all" { this_cpu() } else { open(&args.device)?.swap_remove(0) };
    let mut report = bench::empty_report(Options::default().seed);
    for shape in MODELS.into_iter().filter(|shape| shape.name == name) {
        let run = ModelRun {
            shape,
            effort: if args.plain { crate::compare::Effort::Full } else { args.effort.into() },
            is_plain: args.plain,
            bytes_per_s: args.source_gb_per_s.map(|rate| rate * 1e9),
            seed: report.seed,
        };
        let bar = Bar::new(screen);
        let facts = ProcessFacts {
            cpu_seconds: process::cpu_seconds,
            peak_resident_bytes: process::peak_resident_bytes,
        };
        let found = bench::run_model(&device.backend, &run, facts, &|progress| bar.show(&progress));
        report.models.push(found.map_err(|error| failure::of_compare(&error))?);
    }
    Ok(report)
}

/// Reading of one file.
fn of_file(path: &Path, screen: &Screen) -> Result<BenchReport, Box<Failure>> {
    let io =
        bench::read_file(path, &|word| tell(screen, word)).map_err(|error| failure::of_stream(&error))?;
    Ok(BenchReport { io, ..bench::empty_report(Options::default().seed) })
}

fn tell(screen: &Screen, word: &str) {
    if screen.has_progress {
        screen.tell(&format!("{word}\n"));
    }
}

/// Most bytes of an earlier run's document.
const MAX_BASELINE_BYTES: u64 = 16 << 20;

/// The document of an earlier run.
fn earlier_run(path: &Path) -> Result<Value, Box<Failure>> {
    let refuse = |why: String| refused(path, why);
    let text = text_file::read(path, MAX_BASELINE_BYTES).map_err(|error| refuse(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| refuse(error.to_string()))
}

fn refused(path: &Path, why: String) -> Box<Failure> {
    Box::new(Failure {
        code: "BASELINE".to_owned(),
        exit_code: exit::INPUT,
        message: format!("the baseline '{}' cannot be used: {why}", failure::shown_path(path)),
        hint: Some("make one with `cognate bench --format json`".to_owned()),
        ..Failure::default()
    })
}

/// Both runs as documents, so that one reading serves both.
fn hold(
    report: &BenchReport,
    earlier: &Value,
    tolerance: f64,
    path: &Path,
) -> Result<Baseline, Box<Failure>> {
    let now = serde_json::to_value(Bench::new(report, None, exit::OK))
        .map_err(|error| refused(path, error.to_string()))?;
    baseline::compare(earlier, &now, tolerance).map_err(|why| refused(path, why))
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
    let gpu = backend::opened(&backend::named(name)).map_err(|error| failure::of_gpu(&error))?;
    let facts = gpu.facts();
    Ok(Opened {
        name: facts.name,
        driver: facts.driver,
        tier: facts.tier.to_owned(),
        is_software: facts.is_software,
        backend: Backend::Gpu(gpu),
    })
}
