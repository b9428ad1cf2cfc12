//! What the benches share: the devices to measure.

use cognate::cpu::Cpu;
use cognate::gpu::{self, Api, Gpu};
use cognate::kernels::Backend;

/// The CPU and every real adapter, each under its own name; with `COGNATE_BENCH_SOFTWARE=1` software and OpenGL
/// adapters too, whose speed says nothing.
pub(crate) fn devices() -> Vec<(String, Backend)> {
    let mut devices = vec![("cpu".to_owned(), Backend::Cpu(Cpu::detect()))];
    let with_software = std::env::var("COGNATE_BENCH_SOFTWARE").is_ok_and(|value| value == "1");
    for info in gpu::devices() {
        let is_real = !info.is_software() && info.api != Api::Gl;
        if !is_real && !with_software {
            continue;
        }
        let label =
            if is_real { info.name.clone() } else { format!("{} (software, correctness only)", info.name) };
        match Gpu::open_index(info.index) {
            Ok(gpu) => devices.push((label, Backend::Gpu(gpu))),
            Err(error) => eprintln!("{label} is left out: {error}"),
        }
    }
    devices
}
