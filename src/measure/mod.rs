//! One file per statistic. Formula, null and failure modes of each: docs/methods.md.

pub mod agreement;
mod answer_trace;
pub mod blocks;
mod cholesky;
pub mod common_slope;
pub mod constants;
pub mod delta;
pub mod families;
pub mod family_test;
pub mod fixed_patterns;
pub mod head_map;
pub mod identify;
pub mod identify_by_answers;
pub mod lattice;
pub mod layers;
pub mod merge;
pub mod plain;
pub mod probes;
pub mod several;
pub mod spectral_profile;
mod spectrum;
pub mod token_basis;
pub mod token_span;
pub mod trace;
pub mod unit_chain;
pub mod unit_map;
pub mod units;
