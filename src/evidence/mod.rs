//! Measurements become p, effect, power and likelihood. Pure: no I/O, cannot fail.

mod likelihood;
mod trace;

pub use likelihood::{Likelihood, MAP_VERSION, likelihood};
pub use trace::{ALPHA, FamilyResult, GroupResult, SPREAD_ALPHA, TraceEvidence, combine};
