//! Evidence becomes the two verdicts, with reasons for and against.

mod architecture;
mod parts;
pub mod weights;

pub use architecture::{Architecture, ArchitectureVerdict, Described, Renaming, compare_architectures};
