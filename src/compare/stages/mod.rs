//! The measuring stages of a comparison, in the order in which they run.

mod plain;
mod trace;
mod requantised;
mod agreements;
mod probes;
mod token_span;

pub(super) use agreements::agreements;
pub(super) use plain::{PlainStage, plain};
pub(super) use probes::{BlockMatch, ProbeStage, probes};
pub(super) use requantised::requantised;
pub(super) use token_span::token_span;
pub(super) use trace::{TraceStage, trace};
