//! `cognate matrix`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::probability;
use super::reading::{BackendArgs, EffortWord, Reading};

pub(super) const MATRIX_EXAMPLES: &str = "\
Examples:
  cognate matrix base tuned other
  cognate matrix zoo                             every subfolder or file of weights is a model
  cognate matrix zoo --format csv -o pairs.csv
  cognate matrix zoo --nearest 8                 each model with its eight nearest neighbours alone
  cognate matrix zoo --format newick             average linkage on 1 - likelihood";

/// `cognate matrix`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Matrix {
    /// Models, or one folder whose subfolders and files of weights are models
    #[arg(required = true, value_name = "MODEL")]
    pub(in crate::cli) models: Vec<String>,
    /// Form of the result
    #[arg(long, default_value = "table", env = "COGNATE_FORMAT", hide_env_values = true)]
    pub(in crate::cli) format: MatrixFormat,
    /// Write the result to a file, whole or not at all
    #[arg(short, long, value_name = "FILE")]
    pub(in crate::cli) output: Option<PathBuf>,
    /// Pairs compared at a time on the CPU [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(in crate::cli) jobs: Option<u16>,
    /// Compare each model only with the N whose spectral profiles are nearest (an index, no evidence)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(in crate::cli) nearest: Option<u16>,
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

/// Form of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum MatrixFormat {
    /// Plain text for people
    Table,
    /// One document
    Json,
    /// A row per pair, for spreadsheets
    Csv,
    /// Average linkage on 1 − likelihood
    Newick,
}
