//! `cognate compare`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::probability;
use super::reading::{BackendArgs, EffortWord, Reading};
use crate::compare::{Statistic, WeightsVerdict};
use crate::report::words;

pub(super) const COMPARE_EXAMPLES: &str = "\
Examples:
  cognate compare zoo/base zoo/finetune
  cognate compare org/name@main ./model --format json -o report.json
  cognate compare base suspect --fail-on identical,derived      exit code 1 if it is one of these
  cognate compare base other --expect no-evidence -q
  cognate compare --pairs pairs.txt > results.jsonl             one JSON line per line 'LEFT RIGHT'
  cognate compare merged --parents first second                 which share of which parent
  cognate compare left right --also base                        siblings, or parent and child
  cognate compare a b --only plain --effort full                numbers only, no verdict

Exit codes: 0 done; 1 gate failed; 2 usage; 3 input unreadable; 4 nothing comparable, or tensors skipped;
5 inconclusive and a gate was asked; 6 GPU not available; 70 internal error; 130, 143 interrupted.";

/// `cognate compare`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Compare {
    /// Folder, file of weights, index.json, org/name[@revision] or an address (docs/formats.md)
    #[arg(value_name = "A", required_unless_present = "pairs")]
    pub(in crate::cli) left: Option<String>,
    /// The other model; without it --parents weighs parents of A
    #[arg(value_name = "B")]
    pub(in crate::cli) right: Option<String>,
    /// Weigh these models as parents of a merge B, by changes from A; without B as parents of A, weights adding up to 1
    #[arg(long, value_name = "MODEL", num_args = 1.., conflicts_with_all = ["pairs", "only"])]
    pub(in crate::cli) parents: Vec<String>,
    /// A third model that may tell siblings from parent and child; it never changes the verdict
    #[arg(long, value_name = "MODEL", conflicts_with_all = ["pairs", "only"])]
    pub(in crate::cli) also: Option<String>,
    /// Compare many pairs: a line holds two references, a JSON array of two, or {"left": …, "right": …}
    #[arg(long, value_name = "FILE", conflicts_with_all = ["left", "right"])]
    pub(in crate::cli) pairs: Option<PathBuf>,
    /// Form of the result [default: table; jsonl with --pairs]
    #[arg(long, env = "COGNATE_FORMAT", hide_env_values = true)]
    pub(in crate::cli) format: Option<Format>,
    /// Write the result to a file, whole or not at all
    #[arg(short, long, value_name = "FILE")]
    pub(in crate::cli) output: Option<PathBuf>,
    /// How deep to look
    #[arg(long, default_value = "standard", env = "COGNATE_EFFORT", hide_env_values = true)]
    pub(in crate::cli) effort: EffortWord,
    /// Seed of all random draws
    #[arg(long, default_value_t = 0, env = "COGNATE_SEED", hide_env_values = true)]
    pub(in crate::cli) seed: u64,
    /// Prior probability of shared weights, between 0 and 1
    #[arg(long, default_value_t = 0.5, value_parser = probability, env = "COGNATE_PRIOR", hide_env_values = true)]
    pub(in crate::cli) prior: f64,
    /// Compute only these statistics, for measuring and debugging: no verdict
    #[arg(long, value_name = "STAT,…", value_delimiter = ',')]
    pub(in crate::cli) only: Vec<StatisticWord>,
    /// Exit code 1 if the weights verdict is one of these
    #[arg(long, value_name = "VERDICT,…", value_delimiter = ',', conflicts_with = "only")]
    pub(in crate::cli) fail_on: Vec<VerdictWord>,
    /// Exit code 1 unless the weights verdict is one of these
    #[arg(long, value_name = "VERDICT,…", value_delimiter = ',', conflicts_with = "only")]
    pub(in crate::cli) expect: Vec<VerdictWord>,
    /// What a gate makes of an inconclusive verdict (fail: exit code 5)
    #[arg(
        long,
        value_name = "WHAT",
        default_value = "fail",
        env = "COGNATE_INCONCLUSIVE",
        hide_env_values = true
    )]
    pub(in crate::cli) inconclusive: Inconclusive,
    /// Exit code 0 even if tensors had to be skipped
    #[arg(long, env = "COGNATE_ALLOW_PARTIAL", hide_env_values = true)]
    pub(in crate::cli) allow_partial: bool,
    /// Hash the files too; costs more than comparing them
    #[arg(long, env = "COGNATE_DIGEST", hide_env_values = true)]
    pub(in crate::cli) digest: bool,
    #[command(flatten)]
    pub(in crate::cli) backend: BackendArgs,
    #[command(flatten)]
    pub(in crate::cli) reading: Reading,
}

/// Form of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Format {
    /// Plain text for people
    Table,
    /// One document
    Json,
    /// One document per line
    Jsonl,
    /// For comments and job summaries
    Markdown,
}

/// What a gate makes of an inconclusive verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Inconclusive {
    Pass,
    Fail,
}

/// What `--only` can choose.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(in crate::cli) enum StatisticWord {
    /// Equality, casts, lattices, cosines of every tensor
    Plain,
    /// The exact trace test
    Trace,
    /// Units that find each other
    Agreement,
}

impl From<StatisticWord> for Statistic {
    fn from(word: StatisticWord) -> Statistic {
        match word {
            StatisticWord::Plain => Statistic::Plain,
            StatisticWord::Trace => Statistic::Trace,
            StatisticWord::Agreement => Statistic::Agreement,
        }
    }
}

/// A weights verdict as a word of the command line; the spelling is the report's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) struct VerdictWord(pub(in crate::cli) WeightsVerdict);

impl ValueEnum for VerdictWord {
    fn value_variants<'a>() -> &'a [VerdictWord] {
        const ALL: [VerdictWord; 7] = [
            VerdictWord(words::WEIGHTS_VERDICTS[0]),
            VerdictWord(words::WEIGHTS_VERDICTS[1]),
            VerdictWord(words::WEIGHTS_VERDICTS[2]),
            VerdictWord(words::WEIGHTS_VERDICTS[3]),
            VerdictWord(words::WEIGHTS_VERDICTS[4]),
            VerdictWord(words::WEIGHTS_VERDICTS[5]),
            VerdictWord(words::WEIGHTS_VERDICTS[6]),
        ];
        &ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(words::weights_word(self.0)))
    }
}
