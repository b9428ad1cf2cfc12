//! Evidence becomes the two verdicts, with reasons for and against.

mod architecture;
pub mod weights;

pub use architecture::{Architecture, ArchitectureVerdict, Described, Renaming, compare_architectures};
