//! Measurements become p, effect, power and likelihood. Pure: no I/O, cannot fail.

mod agreement;
mod heads;
mod likelihood;
mod parts;
mod trace;
mod unit_chain;

pub use agreement::{AGREEING_UNITS, ShippedCell, ShippedControls, agrees, ln_weight};
pub use heads::{HeadEvidence, weigh_heads};
pub use likelihood::{ENOUGH_FAMILIES, Likelihood, LikelihoodMap, likelihood};
pub use parts::{PartTrace, own_parts, own_towers, parts};
pub use trace::{ALPHA, FamilyResult, GroupResult, SPREAD_ALPHA, TraceEvidence, combine, is_silent_in_place};
pub use unit_chain::{ChainEvidence, weigh_chain};
