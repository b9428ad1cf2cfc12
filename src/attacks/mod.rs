//! Every transform × seeds × models, on related and on unrelated pairs: which verdicts flip.
//!
//! The models given are taken as independent of each other; a pair whose untouched models are related already is left out
//! and listed.

mod matrix;
mod run;

pub use matrix::{Case, Kind, Matrix, NotApplied, Outcome, Row, Tally};
pub use run::{Error, Settings, run};
