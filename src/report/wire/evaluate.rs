//! `cognate.evaluate/1`: the document of `evaluate --format json`, and the line that `--resume` keeps per pair.

use serde::{Deserialize, Serialize};

use super::Rounded;
use crate::compare::{ArchitectureVerdict, Depth, Direction, Found, Measures};
use crate::evaluate as core;
use crate::report::words;

/// Version of the document; raised when a key changes its meaning.
pub const EVALUATE_VERSION: &str = "cognate.evaluate/1";

/// A finished pair, as a line of `--resume` and as an entry of the document.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EvaluatedPair {
    left: String,
    right: String,
    label: String,
    family_left: String,
    family_right: String,
    relation: Option<String>,
    hard: bool,
    split: Option<String>,
    result: Option<PairResult>,
    error: Option<PairError>,
    /// Of everything that changes the numbers: a line of another run is not taken over.
    run: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct PairResult {
    verdict: String,
    architecture: String,
    direction: String,
    relations: Vec<String>,
    likelihood: Option<f64>,
    strength: Option<f64>,
    log10_p: Option<f64>,
    traces: Vec<(String, f64)>,
    found: Vec<LayerFound>,
    token_span: Option<f64>,
    skipped: usize,
    bytes_read: u64,
    seconds: f64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct LayerFound {
    statistic: String,
    depth: String,
    agreeing: usize,
    units: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct PairError {
    code: String,
    exit_code: u8,
    message: String,
}

impl EvaluatedPair {
    /// A row on the wire.
    #[must_use]
    pub fn new(row: &core::Row, run: &str) -> EvaluatedPair {
        let pair = &row.pair;
        EvaluatedPair {
            left: pair.left.clone(),
            right: pair.right.clone(),
            label: pair.label.word().to_owned(),
            family_left: pair.family_left.clone(),
            family_right: pair.family_right.clone(),
            relation: pair.relation.clone(),
            hard: pair.is_hard,
            split: pair.split.map(|split| split.word().to_owned()),
            result: row.outcome.as_ref().ok().map(PairResult::new),
            error: row.outcome.as_ref().err().map(|fault| PairError {
                code: fault.code.clone(),
                exit_code: fault.exit_code,
                message: fault.message.clone(),
            }),
            run: run.to_owned(),
        }
    }

    /// The pair's references, if the line is of this run and holds a result: pairs that failed are tried again.
    #[must_use]
    pub fn finished(&self, run: &str) -> Option<(&str, &str)> {
        (self.run == run && self.result.is_some()).then_some((self.left.as_str(), self.right.as_str()))
    }

    /// What the comparison said; None where a word is not known.
    #[must_use]
    pub fn outcome(&self) -> Option<core::Outcome> {
        self.result.as_ref()?.outcome()
    }
}

impl PairResult {
    fn new(outcome: &core::Outcome) -> PairResult {
        let found = outcome.measures.found.iter();
        PairResult {
            verdict: words::weights_word(outcome.verdict).to_owned(),
            architecture: words::architecture_word(outcome.architecture).to_owned(),
            direction: words::direction_word(outcome.direction).to_owned(),
            relations: outcome.relations.clone(),
            likelihood: finite(outcome.likelihood),
            strength: finite(outcome.strength),
            log10_p: finite(outcome.log10_p),
            traces: outcome.measures.traces.iter().filter(|(_, p)| p.is_finite()).cloned().collect(),
            found: found
                .map(|found| LayerFound {
                    statistic: found.statistic.clone(),
                    depth: words::depth_word(found.depth).to_owned(),
                    agreeing: found.n_agreeing,
                    units: found.n_units,
                })
                .collect(),
            token_span: finite(outcome.measures.token_span),
            skipped: outcome.n_skipped,
            bytes_read: outcome.bytes_read,
            seconds: outcome.seconds,
        }
    }

    fn outcome(&self) -> Option<core::Outcome> {
        let verdict =
            words::WEIGHTS_VERDICTS.into_iter().find(|v| words::weights_word(*v) == self.verdict)?;
        let architectures = [
            ArchitectureVerdict::Same,
            ArchitectureVerdict::SameRenamed,
            ArchitectureVerdict::Compatible,
            ArchitectureVerdict::Different,
        ];
        let architecture =
            architectures.into_iter().find(|v| words::architecture_word(*v) == self.architecture)?;
        let directions = [Direction::LeftToRight, Direction::RightToLeft, Direction::Undetermined];
        let direction = directions.into_iter().find(|v| words::direction_word(*v) == self.direction)?;
        let found = self.found.iter().map(|found| {
            let depths = [Depth::First, Depth::Middle, Depth::Last];
            Some(Found {
                statistic: found.statistic.clone(),
                depth: depths.into_iter().find(|depth| words::depth_word(*depth) == found.depth)?,
                n_agreeing: found.agreeing,
                n_units: found.units,
            })
        });
        Some(core::Outcome {
            verdict,
            architecture,
            direction,
            relations: self.relations.clone(),
            likelihood: self.likelihood,
            strength: self.strength,
            log10_p: self.log10_p,
            measures: Measures {
                traces: self.traces.clone(),
                found: found.collect::<Option<Vec<Found>>>()?,
                token_span: self.token_span,
            },
            n_skipped: self.skipped,
            bytes_read: self.bytes_read,
            seconds: self.seconds,
        })
    }
}

fn finite(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite())
}

/// An evaluation, as printed.
#[derive(Debug, Serialize)]
pub struct Evaluation<'a> {
    schema_version: &'static str,
    manifest: &'a str,
    pairs: Counts,
    rates: Rates,
    false_positive_bound: Bound,
    roc: Option<Roc>,
    roc_same_config: Option<Roc>,
    words: Vec<Said<'a>>,
    relations: Vec<Said<'a>>,
    checked: Vec<Checked>,
    calibration: Option<Calibration>,
    calibration_test: Option<Calibration>,
    null: Vec<Null<'a>>,
    null_shuffled: Vec<Null<'a>>,
    methods: Vec<Method<'a>>,
    cost: Cost,
    faults: Vec<Fault<'a>>,
    lines: Vec<BadLine<'a>>,
    rows: Vec<EvaluatedPair>,
    tool: Tool<'a>,
    exit_code: u8,
}

#[derive(Debug, Serialize)]
struct BadLine<'a> {
    line: usize,
    says: &'a str,
}

#[derive(Debug, Serialize)]
struct Counts {
    listed: usize,
    compared: usize,
    families: usize,
    hard: usize,
}

#[derive(Debug, Serialize)]
struct Rates {
    independent: usize,
    false_accusations: usize,
    same_config: usize,
    same_config_false_accusations: usize,
    independent_inconclusive: usize,
    shared: usize,
    misses: usize,
    shared_inconclusive: usize,
}

#[derive(Debug, Serialize)]
struct Bound {
    families: usize,
    families_wrong: usize,
    upper_bound: Rounded<4>,
    confidence: f64,
}

#[derive(Debug, Serialize)]
struct Roc {
    positives: usize,
    negatives: usize,
    auc: Rounded<4>,
    tpr_at_1_percent_fpr: Rounded<4>,
    curve: Vec<(Rounded<6>, Rounded<6>)>,
}

#[derive(Debug, Serialize)]
struct Said<'a> {
    truth: &'a str,
    said: &'a str,
    pairs: usize,
}

#[derive(Debug, Serialize)]
struct Checked {
    what: &'static str,
    pairs: usize,
    wrong: usize,
}

#[derive(Debug, Serialize)]
struct Calibration {
    pairs: usize,
    shared: usize,
    hard: usize,
    prior: Rounded<4>,
    ece: Rounded<4>,
    brier: Rounded<4>,
    bins: Vec<Bin>,
}

#[derive(Debug, Serialize)]
struct Bin {
    pairs: usize,
    shared: usize,
    low: Rounded<4>,
    high: Rounded<4>,
    predicted: Rounded<4>,
    observed: Rounded<4>,
}

#[derive(Debug, Serialize)]
struct Null<'a> {
    kind: &'a str,
    tests: usize,
    at_most_1e_2: usize,
    at_most_1e_3: usize,
    disjoint_pairs: usize,
    ks_tests: Option<usize>,
    ks_d_plus: Rounded<4>,
    ks_p: Rounded<4>,
    histogram: [usize; 10],
}

#[derive(Debug, Serialize)]
struct Method<'a> {
    name: &'a str,
    source: &'a str,
    scored: usize,
    auc: Rounded<4>,
    tpr_at_1_percent_fpr: Rounded<4>,
    same_config: usize,
    same_config_accused_at_95_percent_found: usize,
    mean_seconds: Rounded<6>,
}

#[derive(Debug, Serialize)]
struct Cost {
    mean_seconds: Rounded<6>,
    median_seconds: Rounded<6>,
    mean_bytes: Rounded<0>,
}

#[derive(Debug, Serialize)]
struct Fault<'a> {
    code: &'a str,
    exit_code: u8,
    pairs: usize,
}

/// With what an evaluation was made.
#[derive(Clone, Debug, Serialize)]
pub struct Tool<'a> {
    /// Crate version.
    pub version: &'a str,
    /// Version of statistics and decision rule.
    pub method_version: &'a str,
    /// Version of the likelihood map.
    pub map_version: &'a str,
    /// Seed of all draws.
    pub seed: u64,
    /// `quick`, `standard`, `full`.
    pub effort: &'a str,
    /// Prior of the likelihoods.
    pub prior: f64,
}

impl<'a> Evaluation<'a> {
    /// The document of an evaluation.
    #[must_use]
    pub fn new(
        manifest: &'a str,
        summary: &'a core::Summary,
        lines: Vec<(usize, &'a str)>,
        rows: Vec<EvaluatedPair>,
        tool: Tool<'a>,
        exit_code: u8,
    ) -> Evaluation<'a> {
        let (rates, bound, confusion) = (summary.rates, summary.bound, &summary.confusion);
        let checked = |what, pairs, wrong| Checked { what, pairs, wrong };
        Evaluation {
            schema_version: EVALUATE_VERSION,
            manifest,
            pairs: Counts {
                listed: summary.n_pairs + lines.len(),
                compared: summary.n_compared,
                families: summary.n_families,
                hard: summary.n_hard,
            },
            rates: Rates {
                independent: rates.n_independent,
                false_accusations: rates.n_accused,
                same_config: rates.n_same_config,
                same_config_false_accusations: rates.n_same_config_accused,
                independent_inconclusive: rates.n_independent_inconclusive,
                shared: rates.n_shared,
                misses: rates.n_missed,
                shared_inconclusive: rates.n_shared_inconclusive,
            },
            false_positive_bound: Bound {
                families: bound.n_families,
                families_wrong: bound.n_wrong,
                upper_bound: bound.bound.into(),
                confidence: core::CONFIDENCE,
            },
            roc: summary.roc.as_ref().map(Roc::new),
            roc_same_config: summary.roc_same_config.as_ref().map(Roc::new),
            words: confusion
                .words
                .iter()
                .map(|((truth, said), pairs)| Said { truth, said, pairs: *pairs })
                .collect(),
            relations: confusion
                .relations
                .iter()
                .map(|((truth, said), pairs)| Said { truth, said, pairs: *pairs })
                .collect(),
            checked: vec![
                checked("verdict", confusion.n_words_checked, confusion.n_words_wrong),
                checked("direction", confusion.n_directions_checked, confusion.n_directions_wrong),
                checked("architecture", confusion.n_architectures_checked, confusion.n_architectures_wrong),
            ],
            calibration: summary.calibration.as_ref().map(Calibration::new),
            calibration_test: summary.calibration_test.as_ref().map(Calibration::new),
            null: summary.null.iter().map(Null::new).collect(),
            null_shuffled: summary.null_shuffled.iter().map(Null::new).collect(),
            methods: summary
                .methods
                .iter()
                .map(|line| Method {
                    name: &line.name,
                    source: &line.source,
                    scored: line.n_scored,
                    auc: Rounded(line.auc),
                    tpr_at_1_percent_fpr: Rounded(line.tpr_at_1_percent),
                    same_config: line.n_same_config,
                    same_config_accused_at_95_percent_found: line.n_accused_same_config,
                    mean_seconds: line.mean_seconds.into(),
                })
                .collect(),
            cost: Cost {
                mean_seconds: summary.cost.mean_seconds.into(),
                median_seconds: summary.cost.median_seconds.into(),
                mean_bytes: summary.cost.mean_bytes.into(),
            },
            faults: summary
                .faults
                .iter()
                .map(|((exit_code, code), pairs)| Fault { code, exit_code: *exit_code, pairs: *pairs })
                .collect(),
            lines: lines.into_iter().map(|(line, says)| BadLine { line, says }).collect(),
            rows,
            tool,
            exit_code,
        }
    }
}

impl Roc {
    fn new(roc: &core::Roc) -> Roc {
        Roc {
            positives: roc.n_positive,
            negatives: roc.n_negative,
            auc: roc.auc.into(),
            tpr_at_1_percent_fpr: roc.tpr_at_1_percent.into(),
            curve: roc.curve.iter().map(|(fpr, tpr)| ((*fpr).into(), (*tpr).into())).collect(),
        }
    }
}

impl Calibration {
    fn new(found: &core::Calibration) -> Calibration {
        let bin = |bin: &core::Bin| Bin {
            pairs: bin.n,
            shared: bin.n_positive,
            low: bin.low.into(),
            high: bin.high.into(),
            predicted: bin.predicted.into(),
            observed: bin.observed().into(),
        };
        Calibration {
            pairs: found.n,
            shared: found.n_positive,
            hard: found.n_hard,
            prior: found.prior.into(),
            ece: found.ece.into(),
            brier: found.brier.into(),
            bins: found.bins.iter().map(bin).collect(),
        }
    }
}

impl<'a> Null<'a> {
    fn new(found: &'a core::NullRates) -> Null<'a> {
        Null {
            kind: &found.kind,
            tests: found.n,
            at_most_1e_2: found.n_below_2,
            at_most_1e_3: found.n_below_3,
            disjoint_pairs: found.n_disjoint_pairs,
            ks_tests: found.ks.map(|ks| ks.n),
            ks_d_plus: Rounded(found.ks.map(|ks| ks.d_plus)),
            ks_p: Rounded(found.ks.map(|ks| ks.p)),
            histogram: found.histogram,
        }
    }
}
