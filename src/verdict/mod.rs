//! Evidence becomes the two verdicts, with reasons for and against.

pub mod architecture;
pub mod weights;
