//! `cognate.attacks/1`: the document of `evaluate --attacks --format json`.

use serde::Serialize;

use crate::attacks as core;
use crate::report::words;
use crate::transforms::{Function, VARIANTS};

/// Version of the document; raised when a key changes its meaning.
pub const ATTACKS_VERSION: &str = "cognate.attacks/1";

/// The attack matrix, as printed.
#[derive(Debug, Serialize)]
pub struct Attacks<'a> {
    schema_version: &'static str,
    models: &'a [String],
    seeds: u64,
    related: Tally,
    unrelated: Tally,
    transforms: Vec<Transform>,
    /// Comparisons whose verdict did not hold.
    failures: Vec<Failure<'a>>,
    not_applicable: Vec<NotApplicable<'a>>,
    /// Pairs of given models that are related before any transform.
    related_before: &'a [(String, String)],
    exit_code: u8,
}

#[derive(Debug, Serialize)]
struct Tally {
    total: u64,
    held: u64,
    common_origin: u64,
    inconclusive: u64,
    undecided_before: u64,
    flipped: u64,
}

#[derive(Debug, Serialize)]
struct Transform {
    code: &'static str,
    name: &'static str,
    keeps_function: bool,
    related: Tally,
    unrelated: Tally,
    /// Kinds of relations that name it.
    relations: &'static [&'static str],
    named: u64,
    named_of: u64,
    models_not_applicable: u64,
}

#[derive(Debug, Serialize)]
struct Failure<'a> {
    transform: &'static str,
    name: &'static str,
    model: &'a str,
    seed: u64,
    other: &'a str,
    kind: &'static str,
    outcome: &'static str,
    verdict: Option<&'static str>,
    decided_by: &'a [String],
    reasons: &'a [String],
}

#[derive(Debug, Serialize)]
struct NotApplicable<'a> {
    transform: &'static str,
    name: &'static str,
    model: &'a str,
    reason: &'static str,
}

impl<'a> Attacks<'a> {
    /// A matrix on the wire.
    #[must_use]
    pub fn new(matrix: &'a core::Matrix, exit_code: u8) -> Attacks<'a> {
        let (related, unrelated) = matrix.totals();
        let transform = |row: core::Row| Transform {
            code: row.variant.code,
            name: row.variant.name,
            keeps_function: row.variant.function == Function::Kept,
            related: Tally::new(row.related),
            unrelated: Tally::new(row.unrelated),
            relations: row.variant.relations,
            named: row.named.0,
            named_of: row.named.1,
            models_not_applicable: row.n_not_applicable,
        };
        let not_applicable = |item: &'a core::NotApplied| NotApplicable {
            transform: VARIANTS[item.variant].code,
            name: VARIANTS[item.variant].name,
            model: &item.model,
            reason: item.reason,
        };
        Attacks {
            schema_version: ATTACKS_VERSION,
            models: &matrix.models,
            seeds: matrix.n_seeds,
            related: Tally::new(related),
            unrelated: Tally::new(unrelated),
            transforms: matrix.rows().into_iter().map(transform).collect(),
            failures: matrix.failures().map(Failure::new).collect(),
            not_applicable: matrix.not_applied.iter().map(not_applicable).collect(),
            related_before: &matrix.related_before,
            exit_code,
        }
    }
}

impl Tally {
    fn new(tally: core::Tally) -> Tally {
        let core::Tally { held, common_origin, inconclusive, undecided_before, flipped } = tally;
        Tally { total: tally.total(), held, common_origin, inconclusive, undecided_before, flipped }
    }
}

impl<'a> Failure<'a> {
    fn new(case: &'a core::Case) -> Failure<'a> {
        Failure {
            transform: VARIANTS[case.variant].code,
            name: VARIANTS[case.variant].name,
            model: &case.model,
            seed: case.seed,
            other: &case.other,
            kind: words::pair_kind_word(case.kind),
            outcome: words::attack_outcome_word(case.outcome),
            verdict: case.verdict.map(words::weights_word),
            decided_by: &case.decided_by,
            reasons: &case.reasons,
        }
    }
}
