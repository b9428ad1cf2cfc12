//! The measuring stages of a comparison, in the order in which they run.

mod plain;
mod trace;
mod requantised;
mod agreements;
mod block_search;
mod probes;
mod token_span;
mod unit_chain;
mod units;
mod heads;
mod token_basis;
mod deltas;

pub(super) use agreements::agreements;
pub(super) use block_search::BlockMatch;
pub(super) use deltas::{Change, deltas, is_in_place};
pub(super) use heads::{HeadStage, heads};
pub(super) use plain::{PlainStage, plain};
pub(super) use probes::{ProbeStage, probes};
pub(super) use requantised::requantised;
pub(super) use token_basis::token_basis;
pub(super) use token_span::token_span;
pub(super) use trace::{TraceStage, trace};
pub(super) use unit_chain::{ChainStage, follow_units};
pub(super) use units::{Placed, UnitStage, units};
