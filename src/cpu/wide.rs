//! Loops of other modules in plain Rust, compiled with the widest vectors of this machine.

pub use super::simd::Loop;
use super::simd::{Level, vectorised};

/// Runs a loop with the instructions of this machine. Rounding stays that of the source: nothing is fused.
pub fn run<L: Loop>(body: L) -> L::Output {
    vectorised(Level::detect(), body)
}
