//! What one labelled pair leaves behind.

use super::manifest::LabelledPair;
use crate::compare::{
    Architecture, ArchitectureVerdict, Comparison, Direction, Measures, WeightsVerdict, Why,
};
use crate::evidence::LikelihoodMap;

/// A pair and what came of it.
#[derive(Clone, Debug)]
pub struct Row {
    /// What the manifest says.
    pub pair: LabelledPair,
    /// What the comparison says, or why there is none.
    pub outcome: Result<Outcome, RowFault>,
}

/// Why a pair was not compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFault {
    /// Rule or class.
    pub code: String,
    /// As of the process.
    pub exit_code: u8,
    /// One sentence, names escaped.
    pub message: String,
}

/// The scale of strengths on which the likelihood map is a line.
#[must_use]
pub fn scale(strength: f64) -> f64 {
    LikelihoodMap::scale(strength)
}

/// What is kept of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Weights axis.
    pub verdict: WeightsVerdict,
    /// Architecture axis.
    pub architecture: ArchitectureVerdict,
    /// Direction.
    pub direction: Direction,
    /// Kinds of relations.
    pub relations: Vec<String>,
    /// Posterior at the prior; None where nothing could be tested.
    pub likelihood: Option<f64>,
    /// −log10 of the strongest statistic, uncapped: what the curves are drawn from.
    pub strength: Option<f64>,
    /// Combined p of the trace tests.
    pub log10_p: Option<f64>,
    /// What the statistics measured.
    pub measures: Measures,
    /// Tensors that could not be read as numbers.
    pub n_skipped: usize,
    /// Bytes asked of the files.
    pub bytes_read: u64,
    /// Wall time of the comparison, without opening.
    pub seconds: f64,
}

impl Outcome {
    /// What is kept of a comparison; None without a verdict (`--only`).
    #[must_use]
    pub fn of(comparison: &Comparison) -> Option<Outcome> {
        let weights = &comparison.weights;
        let Architecture { verdict: architecture, .. } = comparison.architecture;
        Some(Outcome {
            verdict: weights.verdict?,
            architecture,
            direction: weights.direction.unwrap_or(Direction::Undetermined),
            relations: weights.relations.iter().map(|relation| relation.kind.clone()).collect(),
            likelihood: weights.likelihood,
            strength: weights.strength,
            log10_p: weights.log10_p,
            measures: comparison.measures.clone(),
            n_skipped: comparison.not_tested.iter().filter(|tensor| tensor.why == Why::Skipped).count(),
            bytes_read: comparison.throughput.bytes_read,
            seconds: comparison.throughput.seconds,
        })
    }

    /// The verdict claims shared weights.
    #[must_use]
    pub fn claims(&self) -> bool {
        !matches!(self.verdict, WeightsVerdict::NoEvidence | WeightsVerdict::Inconclusive)
    }

    /// Both have one network, under whatever names: the pairs on which tools that mix the axes fail.
    #[must_use]
    pub fn same_config(&self) -> bool {
        matches!(self.architecture, ArchitectureVerdict::Same | ArchitectureVerdict::SameRenamed)
    }

    /// What a curve ranks by. A pair in which nothing could be tested ranks with those in which nothing was found.
    #[must_use]
    pub fn score(&self) -> f64 {
        self.strength.unwrap_or(0.0)
    }
}
