//! Measurements become p, effect, power and likelihood. Pure: no I/O, cannot fail.

mod agreement;
mod likelihood;
mod trace;

pub use agreement::{AGREEING_UNITS, ShippedCell, ShippedControls, agrees, ln_weight};
pub use likelihood::{ENOUGH_FAMILIES, Likelihood, LikelihoodMap, likelihood};
pub use trace::{ALPHA, FamilyResult, GroupResult, SPREAD_ALPHA, TraceEvidence, combine};
