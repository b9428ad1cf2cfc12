//! One pass over two equally long runs of elements of any two decodable dtypes: everything S0 and S1 need.

use super::Backend;
use crate::gpu;
use crate::reductions::{Elements, PairMoments};

/// One pass over two equally long runs of elements of any two decodable dtypes: everything S0 and S1 need.
///
/// # Errors
/// The GPU failed or returned a wrong canary.
pub fn moments(backend: &Backend, a: Elements<'_>, b: Elements<'_>) -> Result<PairMoments, gpu::Error> {
    match backend {
        Backend::Cpu(cpu) => Ok(cpu.moments(a, b)),
        Backend::Gpu(_) => todo!(),
    }
}
