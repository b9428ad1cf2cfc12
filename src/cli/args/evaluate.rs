//! `cognate evaluate`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::probability;
use super::reading::{BackendArgs, EffortWord, Reading};

pub(super) const EVALUATE_EXAMPLES: &str = "\
Examples:
  cognate evaluate pairs.jsonl
  cognate evaluate families/manifest.jsonl --resume done.jsonl --format json -o evaluation.json
  cognate evaluate pairs.jsonl --effort quick --format markdown
  cognate evaluate --attacks base other --seeds 1 --keep disguised
  cognate evaluate families/manifest.jsonl --fit data --map-version 2

A line of the manifest is a labelled pair or a model with its family (docs/evaluate.md):
  {\"left\": \"a\", \"right\": \"b\", \"label\": \"independent\", \"family_left\": \"A\", \"family_right\": \"B\"}
  {\"model\": \"a-ft\", \"family\": \"A\", \"parents\": [\"a\"]}

A pair that fails stops nothing; the exit code is the first that applies to any of them.";

/// `cognate evaluate`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Evaluate {
    /// Labelled pairs, or models with their families: a JSON object per line; references are looked for beside it first
    #[arg(required_unless_present = "attacks")]
    pub(in crate::cli) manifest: Option<PathBuf>,
    /// Transform these models in eighteen ways and say which verdicts flip (docs/attacks.md); several are taken as independent
    #[arg(long, value_name = "MODEL", num_args = 1.., conflicts_with_all = ["manifest", "resume"])]
    pub(in crate::cli) attacks: Vec<String>,
    /// Seeds of each transform
    #[arg(long, value_name = "N", default_value_t = 3, requires = "attacks", value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(in crate::cli) seeds: u64,
    /// Only these transforms, by code (T7) or name (noise-0.1)
    #[arg(long, value_name = "TRANSFORM,…", value_delimiter = ',', requires = "attacks")]
    pub(in crate::cli) transforms: Vec<String>,
    /// Leave the transformed models in this folder
    #[arg(long, value_name = "DIR", requires = "attacks")]
    pub(in crate::cli) keep: Option<PathBuf>,
    /// Form of the result
    #[arg(long, default_value = "table", env = "COGNATE_FORMAT", hide_env_values = true)]
    pub(in crate::cli) format: EvaluateFormat,
    /// Write the result to a file, whole or not at all
    #[arg(short, long, value_name = "FILE")]
    pub(in crate::cli) output: Option<PathBuf>,
    /// Keep a line per finished pair here, and take over those of an earlier run
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) resume: Option<PathBuf>,
    /// At most so many pairs between families follow from the manifest's models, drawn by --split-seed
    #[arg(long, value_name = "N", default_value_t = 5000)]
    pub(in crate::cli) independent: usize,
    /// Seed that splits families into fit and test where the manifest does not
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub(in crate::cli) split_seed: u64,
    /// all: also the methods of others on the same pairs, in one table
    #[arg(long, value_name = "WHICH", default_value = "ours", conflicts_with = "attacks")]
    pub(in crate::cli) methods: Methods,
    /// Also compare so many models with themselves in a random order of units: the exact null of p
    #[arg(long, value_name = "N", conflicts_with = "attacks")]
    pub(in crate::cli) null: Option<usize>,
    /// Also write one page for a browser: no network, no script
    #[arg(long, value_name = "FILE", conflicts_with = "attacks")]
    pub(in crate::cli) html: Option<PathBuf>,
    /// Fit the likelihood map and measure the controls: writes likelihood.json and controls.json into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "attacks")]
    pub(in crate::cli) fit: Option<PathBuf>,
    /// Version that the fitted files carry
    #[arg(long, value_name = "VERSION", default_value = "unnamed", requires = "fit")]
    pub(in crate::cli) map_version: String,
    /// Pairs compared at a time on the CPU [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(in crate::cli) jobs: Option<u16>,
    /// How deep to look
    #[arg(long, default_value = "standard", env = "COGNATE_EFFORT", hide_env_values = true)]
    pub(in crate::cli) effort: EffortWord,
    /// Seed of all random draws
    #[arg(long, default_value_t = 0, env = "COGNATE_SEED", hide_env_values = true)]
    pub(in crate::cli) seed: u64,
    /// Prior probability of shared weights, between 0 and 1
    #[arg(long, default_value_t = 0.5, value_parser = probability, env = "COGNATE_PRIOR", hide_env_values = true)]
    pub(in crate::cli) prior: f64,
    /// Exit code 0 even if tensors had to be skipped
    #[arg(long, env = "COGNATE_ALLOW_PARTIAL", hide_env_values = true)]
    pub(in crate::cli) allow_partial: bool,
    #[command(flatten)]
    pub(in crate::cli) backend: BackendArgs,
    #[command(flatten)]
    pub(in crate::cli) reading: Reading,
}

impl Evaluate {
    /// The manifest; empty where models are attacked instead.
    pub(in crate::cli) fn manifest(&self) -> &std::path::Path {
        self.manifest.as_deref().unwrap_or_else(|| std::path::Path::new(""))
    }
}

/// Which methods an evaluation runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Methods {
    Ours,
    All,
}

/// Form of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum EvaluateFormat {
    /// Plain text for people
    Table,
    /// One document, with a row per pair
    Json,
    /// For comments and job summaries
    Markdown,
}
