//! Methods of others, from the formulas of their papers, as baselines of `cognate evaluate --methods all`: one file a method.
//!
//! Never used by `compare` (`tests/layers.rs`). Each gives a score that grows with relatedness, or None where it does not apply.

mod assignment;
mod awm;
mod correlation;
mod ics;
mod linear;
mod matching;
mod model;
mod mpk;
mod pcs;
mod pdf;
mod phi_u;
mod spectral;

pub use model::{Context, Model};

use crate::stream::Error;

/// A method of others.
#[derive(Clone, Copy, Debug)]
pub struct Rival {
    /// Short name.
    pub name: &'static str,
    /// Where its formula stands.
    pub source: &'static str,
    /// Score of a pair.
    pub score: fn(&Context<'_>) -> Result<Option<f64>, Error>,
}

/// Every rival.
pub const RIVALS: [Rival; 8] = [
    Rival { name: "PCS", source: "cosine of all parameters, common practice", score: pcs::score },
    Rival { name: "ICS", source: "HuRef, arXiv 2312.04828", score: ics::score },
    Rival { name: "PDF", source: "arXiv 2507.03014", score: pdf::score },
    Rival { name: "AWM", source: "arXiv 2510.06738", score: awm::score },
    Rival { name: "spectral", source: "GhostSpec, arXiv 2511.06390", score: spectral::score },
    Rival { name: "phi_U", source: "arXiv 2502.12292", score: phi_u::score },
    Rival { name: "match", source: "arXiv 2502.12292", score: matching::score },
    Rival { name: "MPK-like", source: "after Model Provenance Kit 1.0", score: mpk::score },
];
