//! What a run found, and its table.

use crate::compare::WeightsVerdict;
use crate::transforms::{VARIANTS, Variant};

/// What a pair is in truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A model (or a partner of its merge) against the transformed model.
    Related,
    /// An independent model against the transformed model.
    Unrelated,
}

/// What became of a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it must be: shared weights claimed of a related pair, none of an unrelated one.
    Held,
    /// A shared initialisation claimed of a related pair.
    CommonOrigin,
    /// Undecided.
    Inconclusive,
    /// An unrelated pair that is as undecided as the untouched models are: no word has changed.
    UndecidedBefore,
    /// A related pair without evidence or without a result, an unrelated pair with a claim.
    Flipped,
}

impl Outcome {
    /// Of a verdict; None where the comparison failed.
    #[must_use]
    pub fn of(kind: Kind, verdict: Option<WeightsVerdict>) -> Outcome {
        use WeightsVerdict::{
            CommonOrigin, Derived, Identical, Inconclusive, NoEvidence, PartlyDerived, Requantised,
        };
        match (kind, verdict) {
            (_, Some(Inconclusive)) => Outcome::Inconclusive,
            (Kind::Related, Some(Identical | Requantised | Derived | PartlyDerived)) => Outcome::Held,
            (Kind::Related, Some(CommonOrigin)) => Outcome::CommonOrigin,
            // models that share no comparable tensor are not accused
            (Kind::Unrelated, Some(NoEvidence) | None) => Outcome::Held,
            _ => Outcome::Flipped,
        }
    }
}

/// One comparison.
#[derive(Clone, Debug)]
pub struct Case {
    /// Index into [`VARIANTS`].
    pub variant: usize,
    /// The model that was transformed.
    pub model: String,
    /// The seed.
    pub seed: u64,
    /// What it was compared with.
    pub other: String,
    /// Truth.
    pub kind: Kind,
    /// None where the comparison failed.
    pub verdict: Option<WeightsVerdict>,
    /// Statistics that decided.
    pub decided_by: Vec<String>,
    /// Reasons of the verdict, or the failure.
    pub reasons: Vec<String>,
    /// Kinds of relations that would name what was done.
    pub wanted: Vec<&'static str>,
    /// Kinds of relations that were found.
    pub relations: Vec<String>,
    /// Judged.
    pub outcome: Outcome,
}

impl Case {
    /// Whether the relations say what was done; None where there is nothing to say: another model, or a transform without a trace.
    #[must_use]
    pub fn is_named(&self) -> Option<bool> {
        let is_asked = self.kind == Kind::Related && self.model == self.other && !self.wanted.is_empty();
        is_asked.then(|| self.wanted.iter().all(|kind| self.relations.iter().any(|found| found == kind)))
    }
}

/// A transform that was not made, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotApplied {
    /// Index into [`VARIANTS`].
    pub variant: usize,
    /// The model.
    pub model: String,
    /// Why.
    pub reason: &'static str,
}

/// Counts of outcomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Verdicts that held.
    pub held: u64,
    /// Only a shared initialisation claimed.
    pub common_origin: u64,
    /// Undecided.
    pub inconclusive: u64,
    /// Undecided, as the untouched models are.
    pub undecided_before: u64,
    /// Flipped.
    pub flipped: u64,
}

impl Tally {
    fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Held => self.held += 1,
            Outcome::CommonOrigin => self.common_origin += 1,
            Outcome::Inconclusive => self.inconclusive += 1,
            Outcome::UndecidedBefore => self.undecided_before += 1,
            Outcome::Flipped => self.flipped += 1,
        }
    }

    /// All comparisons.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.held + self.common_origin + self.inconclusive + self.undecided_before + self.flipped
    }
}

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// The variant.
    pub variant: &'static Variant,
    /// Pairs that share weights.
    pub related: Tally,
    /// Pairs that do not.
    pub unrelated: Tally,
    /// Models and seeds whose transform was named, of those where there was something to name.
    pub named: (u64, u64),
    /// Models that it does not fit.
    pub n_not_applicable: u64,
}

/// Everything that a run found.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// The models.
    pub models: Vec<String>,
    /// Seeds of each transform.
    pub n_seeds: u64,
    /// Every comparison, in the order of variants, models, seeds.
    pub cases: Vec<Case>,
    /// What was not made.
    pub not_applied: Vec<NotApplied>,
    /// Pairs of given models that share weights before any transform, and were not used as unrelated.
    pub related_before: Vec<(String, String)>,
}

impl Matrix {
    /// One row a variant that was tried.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let row = |(at, variant): (usize, &'static Variant)| {
            let tally = |kind| {
                let mut tally = Tally::default();
                let of_kind = self.cases.iter().filter(|case| case.variant == at && case.kind == kind);
                of_kind.for_each(|case| tally.add(case.outcome));
                tally
            };
            Row {
                variant,
                related: tally(Kind::Related),
                unrelated: tally(Kind::Unrelated),
                named: named(self.cases.iter().filter(|case| case.variant == at)),
                n_not_applicable: self.not_applied.iter().filter(|item| item.variant == at).count() as u64,
            }
        };
        let was_tried = |row: &Row| row.related.total() + row.unrelated.total() + row.n_not_applicable > 0;
        VARIANTS.iter().enumerate().map(row).filter(was_tried).collect()
    }

    /// Sums over all rows: related, unrelated.
    #[must_use]
    pub fn totals(&self) -> (Tally, Tally) {
        let mut totals = (Tally::default(), Tally::default());
        for case in &self.cases {
            match case.kind {
                Kind::Related => totals.0.add(case.outcome),
                Kind::Unrelated => totals.1.add(case.outcome),
            }
        }
        totals
    }

    /// Transforms that were named, of those where there was something to name.
    #[must_use]
    pub fn named(&self) -> (u64, u64) {
        named(self.cases.iter())
    }

    /// Comparisons whose verdict did not hold, those apart that the untouched models leave undecided too.
    pub fn failures(&self) -> impl Iterator<Item = &Case> {
        let holds = |case: &&Case| !matches!(case.outcome, Outcome::Held | Outcome::UndecidedBefore);
        self.cases.iter().filter(holds)
    }
}

fn named<'a>(cases: impl Iterator<Item = &'a Case>) -> (u64, u64) {
    cases
        .filter_map(Case::is_named)
        .fold((0, 0), |(named, all), is_named| (named + u64::from(is_named), all + 1))
}

#[cfg(test)]
mod tests {
    use super::{Kind, Outcome};
    use crate::compare::WeightsVerdict::{CommonOrigin, Derived, Inconclusive, NoEvidence};

    #[test]
    fn a_miss_and_a_false_hit_are_flips_and_silence_of_strangers_is_none() {
        for (kind, verdict, wanted) in [
            (Kind::Related, Some(Derived), Outcome::Held),
            (Kind::Related, Some(NoEvidence), Outcome::Flipped),
            (Kind::Related, Some(CommonOrigin), Outcome::CommonOrigin),
            (Kind::Related, None, Outcome::Flipped),
            (Kind::Unrelated, Some(NoEvidence), Outcome::Held),
            (Kind::Unrelated, Some(CommonOrigin), Outcome::Flipped),
            (Kind::Unrelated, Some(Derived), Outcome::Flipped),
            (Kind::Unrelated, Some(Inconclusive), Outcome::Inconclusive),
            (Kind::Unrelated, None, Outcome::Held),
        ] {
            assert_eq!(Outcome::of(kind, verdict), wanted, "{kind:?}, {verdict:?}");
        }
    }
}
