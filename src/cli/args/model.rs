//! `cognate inspect` and `cognate convert-weights`: verbs of one model.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::ShortFormat;
use super::reading::Reading;

pub(super) const INSPECT_EXAMPLES: &str = "\
Examples:
  cognate inspect zoo/base
  cognate inspect model.safetensors --header-only
  cognate inspect zoo/base --format json | jq .roles";

pub(super) const CONVERT_EXAMPLES: &str = "\
Examples:
  cognate convert-weights ./model-gptq plain.safetensors
  cognate convert-weights org/name plain.safetensors --dtype bf16
  cognate convert-weights ./adapter merged.safetensors --base org/name

Exit codes: 0 written; 2 usage, or the output is an input; 3 input unreadable or output not writable;
4 weights that cannot be decoded; 130, 143 interrupted, and nothing is left behind.";

/// `cognate inspect`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Inspect {
    /// Folder, file of weights, index.json, org/name[@revision] or an address (docs/formats.md)
    pub(in crate::cli) model: String,
    /// Form of the result
    #[arg(long, default_value = "table", env = "COGNATE_FORMAT", hide_env_values = true)]
    pub(in crate::cli) format: ShortFormat,
    /// Read no weights: no NaN and Inf counts
    #[arg(long, conflicts_with = "all_values")]
    pub(in crate::cli) header_only: bool,
    /// Count NaN and Inf whatever the size; otherwise up to 2 GiB
    #[arg(long)]
    pub(in crate::cli) all_values: bool,
    #[command(flatten)]
    pub(in crate::cli) reading: Reading,
}

/// `cognate convert-weights`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ConvertWeights {
    /// Folder, file of weights, index.json, adapter folder, org/name[@revision] or an address (docs/formats.md)
    pub(in crate::cli) model: String,
    /// The file to write, whole or not at all
    #[arg(value_name = "OUT.safetensors")]
    pub(in crate::cli) output: PathBuf,
    /// Element type of every weight [default: as stored, f32 where that was packed]
    #[arg(long, value_name = "TYPE", env = "COGNATE_DTYPE", hide_env_values = true)]
    pub(in crate::cli) dtype: Option<DtypeWord>,
    /// Leave out weights that cannot be decoded instead of refusing
    #[arg(long, env = "COGNATE_ALLOW_PARTIAL", hide_env_values = true)]
    pub(in crate::cli) allow_partial: bool,
    #[command(flatten)]
    pub(in crate::cli) reading: Reading,
}

/// Element types that can be written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(in crate::cli) enum DtypeWord {
    F32,
    F16,
    Bf16,
}

impl From<DtypeWord> for crate::tensor::Dtype {
    fn from(word: DtypeWord) -> crate::tensor::Dtype {
        match word {
            DtypeWord::F32 => crate::tensor::Dtype::F32,
            DtypeWord::F16 => crate::tensor::Dtype::F16,
            DtypeWord::Bf16 => crate::tensor::Dtype::Bf16,
        }
    }
}
