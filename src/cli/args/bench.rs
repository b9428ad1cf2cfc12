//! `cognate bench`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::reading::EffortWord;
use super::share;

pub(super) const BENCH_EXAMPLES: &str = "\
Examples:
  cognate bench                                  the CPU and every real GPU
  cognate bench --device cpu --seconds 0.2 --svg roofline.svg
  cognate bench --io model.safetensors           reading, cold and warm
  cognate bench --model 7b                       a whole comparison, without its files
  cognate bench --format json > before.json && cognate bench --baseline before.json
  cognate bench --device llvmpipe --shapes llama_8b_attention_q --format json";

/// `cognate bench`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Bench {
    /// Form of the result
    #[arg(long, default_value = "table", env = "COGNATE_FORMAT", hide_env_values = true)]
    pub(in crate::cli) format: BenchFormat,
    /// cpu, all, or what --gpu takes; all leaves software adapters out
    #[arg(long, default_value = "all")]
    pub(in crate::cli) device: String,
    /// Shapes to measure [default: all]
    #[arg(long, value_name = "SHAPE,…", value_delimiter = ',', value_parser = clap::builder::PossibleValuesParser::new(crate::bench::SHAPES.map(|shape| shape.name)))]
    pub(in crate::cli) shapes: Vec<String>,
    /// Kernels to measure [default: all]
    #[arg(long, value_name = "KERNEL,…", value_delimiter = ',', value_parser = clap::builder::PossibleValuesParser::new(crate::bench::KERNELS))]
    pub(in crate::cli) kernels: Vec<String>,
    /// Rows of all_pairs, at most those of the shape [default: as many as take a moment]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(in crate::cli) rows: Option<u32>,
    /// Measure reading this file instead: cold and warm, 1 to N threads, with S0 and S1 on top
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) io: Option<PathBuf>,
    /// Compare two seeded models of these shapes instead, made in the process; cpu where no device is named
    #[arg(long, value_name = "SIZE", value_parser = clap::builder::PossibleValuesParser::new(crate::bench::MODELS.map(|model| model.name)))]
    pub(in crate::cli) model: Option<String>,
    /// How deep to compare them
    #[arg(long, default_value = "standard", requires = "model")]
    pub(in crate::cli) effort: EffortWord,
    /// Only bit equality and plain sums of them
    #[arg(long, requires = "model", conflicts_with = "effort")]
    pub(in crate::cli) plain: bool,
    /// Speed of their source in GB/s [default: as fast as noise is made]
    #[arg(long, value_name = "RATE", requires = "model", value_parser = positive_rate)]
    pub(in crate::cli) source_gb_per_s: Option<f64>,
    /// Hold the run against an earlier one (--format json); exit code 1 if a line lost more than --tolerance
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) baseline: Option<PathBuf>,
    /// Share of its rate that a line may lose
    #[arg(long, default_value_t = 0.1, requires = "baseline", value_parser = share)]
    pub(in crate::cli) tolerance: f64,
    /// Draw the roofline of every device into this file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["io", "model"])]
    pub(in crate::cli) svg: Option<PathBuf>,
    /// Time per line of the table
    #[arg(long, default_value_t = 0.5, value_parser = positive_seconds)]
    pub(in crate::cli) seconds: f64,
}

/// Form of a bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum BenchFormat {
    /// Plain text for people
    Table,
    /// One document
    Json,
    /// For comments and job summaries
    Markdown,
}

fn positive_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (1e-6..=1e6).contains(&value) => Ok(value),
        _ => Err("must be a number of GB/s from 1e-6 to 1e6".to_owned()),
    }
}

fn positive_seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value <= 3600.0 => Ok(value),
        _ => Err("must be a number of seconds above 0 and at most 3600".to_owned()),
    }
}
