//! The words of the report: one spelling per verdict for machines, one sentence per verdict for people.

use crate::attacks::{Kind, Outcome};
use crate::compare::{ArchitectureVerdict, Depth, Direction, Side, WeightsVerdict, Why};
use crate::wording::counted;

/// What is tested, in one sentence; printed in every report.
pub const QUESTION: &str = "are the two models' weights statistically independent, given architecture, tokenizer, data \
     and recipe? A model that learned from another's answers leaves no trace in weights.";

/// Every weights verdict, from the most to the least that is shared.
pub const WEIGHTS_VERDICTS: [WeightsVerdict; 7] = [
    WeightsVerdict::Identical,
    WeightsVerdict::Requantised,
    WeightsVerdict::Derived,
    WeightsVerdict::PartlyDerived,
    WeightsVerdict::CommonOrigin,
    WeightsVerdict::NoEvidence,
    WeightsVerdict::Inconclusive,
];

/// The word of the architecture axis.
#[must_use]
pub fn architecture_word(verdict: ArchitectureVerdict) -> &'static str {
    match verdict {
        ArchitectureVerdict::Same => "same",
        ArchitectureVerdict::SameRenamed => "same-renamed",
        ArchitectureVerdict::Compatible => "compatible",
        ArchitectureVerdict::Different => "different",
    }
}

/// What the word of the architecture axis means.
#[must_use]
pub fn architecture_sentence(verdict: ArchitectureVerdict) -> &'static str {
    match verdict {
        ArchitectureVerdict::Same => "the same network: equal block graph, shapes and tensor names",
        ArchitectureVerdict::SameRenamed => "the same network under other tensor names",
        ArchitectureVerdict::Compatible => "the same kind of block, but sizes or layer counts differ",
        ArchitectureVerdict::Different => "two different networks",
    }
}

/// The word of the weights axis.
#[must_use]
pub fn weights_word(verdict: WeightsVerdict) -> &'static str {
    match verdict {
        WeightsVerdict::Identical => "identical",
        WeightsVerdict::Requantised => "requantised",
        WeightsVerdict::Derived => "derived",
        WeightsVerdict::PartlyDerived => "partly-derived",
        WeightsVerdict::CommonOrigin => "common-origin",
        WeightsVerdict::NoEvidence => "no-evidence",
        WeightsVerdict::Inconclusive => "inconclusive",
    }
}

/// What a pair of the attack matrix is in truth.
#[must_use]
pub fn pair_kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Related => "related",
        Kind::Unrelated => "unrelated",
    }
}

/// What became of a verdict in the attack matrix.
#[must_use]
pub fn attack_outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Held => "held",
        Outcome::CommonOrigin => "common-origin",
        Outcome::Inconclusive => "inconclusive",
        Outcome::UndecidedBefore => "undecided-before",
        Outcome::Flipped => "flipped",
    }
}

/// What the word of the weights axis claims, worded as evidence.
#[must_use]
pub fn weights_sentence(verdict: WeightsVerdict) -> &'static str {
    match verdict {
        WeightsVerdict::Identical => {
            "the trained weights of both are the same numbers, bit for bit or after a lossless cast"
        }
        WeightsVerdict::Requantised => "one model's weights are the other's, rounded to fewer bits",
        WeightsVerdict::Derived => {
            "they share trained weights beyond what independent training explains: one descends from the other, \
             or both from a common trained ancestor"
        }
        WeightsVerdict::PartlyDerived => {
            "some components share trained weights beyond what independent training explains; see the table below"
        }
        WeightsVerdict::CommonOrigin => {
            "they share weights beyond what independent training explains, but only an initialisation is shown to be \
             common; descent is not excluded"
        }
        WeightsVerdict::NoEvidence => {
            "nothing found that independent training does not explain; this does not show the opposite"
        }
        WeightsVerdict::Inconclusive => "the tests could not decide; see the reasons below",
    }
}

/// The word of the direction.
#[must_use]
pub fn direction_word(direction: Direction) -> &'static str {
    match direction {
        Direction::LeftToRight => "left-to-right",
        Direction::RightToLeft => "right-to-left",
        Direction::Undetermined => "undetermined",
    }
}

/// Where in the stack.
#[must_use]
pub fn depth_word(depth: Depth) -> &'static str {
    match depth {
        Depth::First => "first",
        Depth::Middle => "middle",
        Depth::Last => "last",
    }
}

/// `left` or `right`.
#[must_use]
pub fn side_word(side: Side) -> &'static str {
    match side {
        Side::Left => "left",
        Side::Right => "right",
    }
}

/// Every reason for leaving a tensor out, the one with an exit code first.
pub const WHYS: [Why; 4] = [Why::Skipped, Why::Unpaired, Why::SampledOut, Why::FixedByArchitecture];

/// What stands behind the likelihood.
#[must_use]
pub fn support_sentence(support: &crate::compare::Support) -> String {
    let provisional = if support.is_provisional { "provisional: " } else { "" };
    format!(
        "{provisional}{} of {} accused, so at most {:.1} % of others (95 %)",
        support.n_wrong,
        counted(support.n_families, "independent family was", "independent families were"),
        100.0 * support.bound
    )
}

/// The word for leaving a tensor out.
#[must_use]
pub fn why_word(why: Why) -> &'static str {
    match why {
        Why::Skipped => "skipped",
        Why::Unpaired => "unpaired",
        Why::SampledOut => "sampled-out",
        Why::FixedByArchitecture => "fixed-by-architecture",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_evidence_is_never_worded_as_independence() {
        let sentence = weights_sentence(WeightsVerdict::NoEvidence);
        for claim in ["unrelated", "are independent", "proves", "stolen", "copied"] {
            assert!(!sentence.contains(claim), "{claim}");
        }
    }

    #[test]
    fn every_claim_of_shared_weights_is_worded_as_evidence() {
        for verdict in [WeightsVerdict::Derived, WeightsVerdict::PartlyDerived, WeightsVerdict::CommonOrigin]
        {
            assert!(weights_sentence(verdict).contains("beyond what independent training explains"));
        }
    }
}
