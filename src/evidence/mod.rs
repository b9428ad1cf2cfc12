//! Measurements become p, effect, power and likelihood. Pure: no I/O, cannot fail.

mod agreement;
mod likelihood;
mod trace;

pub use agreement::{CONTROL_SHARE, agrees, ln_weight};
pub use likelihood::{Likelihood, MAP_VERSION, likelihood};
pub use trace::{ALPHA, FamilyResult, GroupResult, SPREAD_ALPHA, TraceEvidence, combine};
