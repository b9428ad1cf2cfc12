//! Counts NaN, Inf, zero and subnormal elements by integer tests on the raw words.

use super::Backend;
use crate::gpu;
use crate::reductions::{ClassCounts, Elements};

/// Counts NaN, Inf, zero and subnormal elements by integer tests on the raw words.
///
/// # Errors
/// The GPU failed or returned a wrong canary.
pub fn classify(backend: &Backend, elements: Elements<'_>) -> Result<ClassCounts, gpu::Error> {
    match backend {
        Backend::Cpu(cpu) => Ok(cpu.classify(elements)),
        Backend::Gpu(_) => todo!(),
    }
}
