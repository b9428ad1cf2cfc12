//! The command line. Every long flag that changes a result has a variable `COGNATE_…` of the same name.

mod bench;
mod compare;
mod evaluate;
mod matrix;
mod model;
mod reading;

pub(super) use bench::{Bench, BenchFormat};
pub(super) use compare::{Compare, Format, Inconclusive, VerdictWord};
pub(super) use evaluate::{Evaluate, EvaluateFormat, Methods};
pub(super) use matrix::{Matrix, MatrixFormat};
pub(super) use model::{ConvertWeights, Inspect};
pub(super) use reading::{BackendArgs, BackendWord};

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::report::wire;
use bench::BENCH_EXAMPLES;
use compare::COMPARE_EXAMPLES;
use evaluate::EVALUATE_EXAMPLES;
use matrix::MATRIX_EXAMPLES;
use model::{CONVERT_EXAMPLES, INSPECT_EXAMPLES};

const EXAMPLES: &str = "\
Examples:
  cognate compare zoo/base zoo/finetune          two folders, a report on the terminal
  cognate compare a.safetensors b.safetensors --format json
  cognate inspect org/name                       a model of the Hub, from the local cache where it is there
  cognate devices";

const DEVICES_EXAMPLES: &str = "\
Examples:
  cognate devices
  cognate devices --format json
  cognate devices --check --gpu 0                does this GPU compute correctly, and how fast?";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  cognate completions bash > ~/.local/share/bash-completion/completions/cognate
  cognate completions zsh > ~/.zfunc/_cognate";

const SCHEMA_EXAMPLES: &str = "\
Examples:
  cognate schema
  cognate schema inspect";

/// Compares the weights of neural-network checkpoints and says, with evidence, whether one descends from the other
#[derive(Debug, Parser)]
#[command(name = "cognate", version, after_help = EXAMPLES, arg_required_else_help = true, max_term_width = 100)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) common: Common,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

/// What every verb understands.
#[derive(Debug, Args)]
pub(super) struct Common {
    /// Print verdict words only, and no progress
    #[arg(
        short,
        long,
        global = true,
        env = "COGNATE_QUIET",
        hide_env_values = true,
        conflicts_with = "verbose"
    )]
    pub(super) quiet: bool,
    /// List everything that the report would shorten
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(super) verbose: u8,
    /// When to use colour; NO_COLOR, CLICOLOR_FORCE and TERM=dumb hold
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        env = "COGNATE_COLOR",
        hide_env_values = true
    )]
    pub(super) color: When,
    /// No progress bar; also CI or HF_HUB_DISABLE_PROGRESS_BARS=1
    #[arg(long, global = true, env = "COGNATE_NO_PROGRESS", hide_env_values = true)]
    pub(super) no_progress: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Compare two models: architecture, weights, evidence, throughput
    #[command(after_help = COMPARE_EXAMPLES)]
    Compare(Box<Compare>),
    /// Accuracy, calibration and cost on labelled pairs
    #[command(after_help = EVALUATE_EXAMPLES)]
    Evaluate(Box<Evaluate>),
    /// Every pair of some models: likelihoods, verdicts, a tree of who is near whom
    #[command(after_help = MATRIX_EXAMPLES)]
    Matrix(Box<Matrix>),
    /// Show one model: format, family, roles, element types, NaN and Inf
    #[command(after_help = INSPECT_EXAMPLES)]
    Inspect(Inspect),
    /// Write a model as plain safetensors: decoded, fused tensors cut, canonical names
    #[command(after_help = CONVERT_EXAMPLES)]
    ConvertWeights(ConvertWeights),
    /// List what this machine can compute on
    #[command(after_help = DEVICES_EXAMPLES)]
    Devices(Devices),
    /// Measure kernels at shapes of real models, answers checked
    #[command(after_help = BENCH_EXAMPLES)]
    Bench(Bench),
    /// Print a shell completion script
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions(Completions),
    /// Print the JSON Schema of a verb's documents
    #[command(after_help = SCHEMA_EXAMPLES)]
    Schema(Schema),
}

impl Verb {
    /// Version of the documents of this verb.
    pub(super) fn schema_version(&self) -> &'static str {
        match self {
            Verb::Evaluate(_) => wire::EVALUATE_VERSION,
            Verb::Matrix(_) => wire::MATRIX_VERSION,
            Verb::Inspect(_) => wire::INSPECT_VERSION,
            Verb::Devices(_) => wire::DEVICES_VERSION,
            Verb::Bench(_) => wire::BENCH_VERSION,
            Verb::Compare(_) | Verb::ConvertWeights(_) | Verb::Completions(_) | Verb::Schema(_) => {
                wire::COMPARE_VERSION
            }
        }
    }
}

/// `cognate devices`.
#[derive(Debug, Args)]
pub(super) struct Devices {
    /// Form of the result
    #[arg(long, default_value = "table", env = "COGNATE_FORMAT", hide_env_values = true)]
    pub(super) format: ShortFormat,
    /// Does it compute correctly? Every kernel of every real GPU, or of --gpu, against definitions in f64; exit 6 if not
    #[arg(long)]
    pub(super) check: bool,
    /// The GPU to check: pci:…, uuid:…, part of its name, or its index
    #[arg(long, requires = "check")]
    pub(super) gpu: Option<String>,
}

/// `cognate completions`.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// Which shell
    pub(super) shell: clap_complete::Shell,
}

/// `cognate schema`.
#[derive(Debug, Args)]
pub(super) struct Schema {
    /// Which verb's documents
    #[arg(default_value = "compare")]
    pub(super) verb: SchemaVerb,
}

/// Verbs with a schema.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum SchemaVerb {
    Compare,
    Evaluate,
    /// Of `evaluate --attacks`
    Attacks,
    Inspect,
    Matrix,
    Devices,
    Bench,
}

impl SchemaVerb {
    /// The verb as written.
    pub(super) fn name(self) -> &'static str {
        match self {
            SchemaVerb::Compare => "compare",
            SchemaVerb::Evaluate => "evaluate",
            SchemaVerb::Attacks => "attacks",
            SchemaVerb::Matrix => "matrix",
            SchemaVerb::Inspect => "inspect",
            SchemaVerb::Devices => "devices",
            SchemaVerb::Bench => "bench",
        }
    }
}

/// Form of the other results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ShortFormat {
    /// Plain text for people
    Table,
    /// One document
    Json,
}

/// When to do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
    Auto,
    Always,
    Never,
}

fn probability(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value < 1.0 => Ok(value),
        _ => Err("must be a number between 0 and 1, both excluded".to_owned()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..1.0).contains(&value) => Ok(value),
        _ => Err("must be a number from 0 to below 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_help_ends_with_examples() {
        for verb in Cli::command().get_subcommands() {
            let after = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.starts_with("Examples:"), "{}", verb.get_name());
        }
    }
}
