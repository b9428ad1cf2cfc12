//! The command line. Every long flag that changes a result has a variable `COGNATE_…` of the same name.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::checkpoint::Limits;
use crate::compare::{Effort, Statistic, WeightsVerdict};
use crate::report::{wire, words};
use crate::source::{Links, Network};

const EXAMPLES: &str = "\
Examples:
  cognate compare zoo/base zoo/finetune          two folders, a report on the terminal
  cognate compare a.safetensors b.safetensors --format json
  cognate inspect org/name                       a model of the Hub, from the local cache where it is there
  cognate devices";

const COMPARE_EXAMPLES: &str = "\
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

const EVALUATE_EXAMPLES: &str = "\
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

const MATRIX_EXAMPLES: &str = "\
Examples:
  cognate matrix base tuned other
  cognate matrix zoo                             every subfolder is a model
  cognate matrix zoo --format csv -o pairs.csv
  cognate matrix zoo --format newick             average linkage on 1 - likelihood";

const INSPECT_EXAMPLES: &str = "\
Examples:
  cognate inspect zoo/base
  cognate inspect model.safetensors --header-only
  cognate inspect zoo/base --format json | jq .roles";

const CONVERT_EXAMPLES: &str = "\
Examples:
  cognate convert-weights ./model-gptq plain.safetensors
  cognate convert-weights org/name plain.safetensors --dtype bf16
  cognate convert-weights ./adapter merged.safetensors --base org/name

Exit codes: 0 written; 2 usage, or the output is an input; 3 input unreadable or output not writable;
4 weights that cannot be decoded; 130, 143 interrupted, and nothing is left behind.";

const DEVICES_EXAMPLES: &str = "\
Examples:
  cognate devices
  cognate devices --format json
  cognate devices --check --gpu 0                does this GPU compute correctly, and how fast?";

const BENCH_EXAMPLES: &str = "\
Examples:
  cognate bench                                  the CPU and every real GPU
  cognate bench --device cpu --seconds 0.2 --svg roofline.svg
  cognate bench --io model.safetensors           reading, cold and warm
  cognate bench --model 7b                       a whole comparison, without its files
  cognate bench --format json > before.json && cognate bench --baseline before.json
  cognate bench --device llvmpipe --shapes llama_8b_attention_q --format json";

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

/// `cognate compare`.
#[derive(Debug, Args)]
pub(super) struct Compare {
    /// Folder, file of weights, index.json, org/name[@revision] or an address (docs/formats.md)
    #[arg(value_name = "A", required_unless_present = "pairs")]
    pub(super) left: Option<String>,
    /// The other model; without it --parents weighs parents of A
    #[arg(value_name = "B")]
    pub(super) right: Option<String>,
    /// Weigh these models as parents of a merge B, by changes from A; without B as parents of A, weights adding up to 1
    #[arg(long, value_name = "MODEL", num_args = 1.., conflicts_with_all = ["pairs", "only"])]
    pub(super) parents: Vec<String>,
    /// A third model that may tell siblings from parent and child; it never changes the verdict
    #[arg(long, value_name = "MODEL", conflicts_with_all = ["pairs", "only"])]
    pub(super) also: Option<String>,
    /// Compare many pairs: a line holds two references, a JSON array of two, or {"left": …, "right": …}
    #[arg(long, value_name = "FILE", conflicts_with_all = ["left", "right"])]
    pub(super) pairs: Option<PathBuf>,
    /// Form of the result [default: table; jsonl with --pairs]
    #[arg(long, env = "COGNATE_FORMAT", hide_env_values = true)]
    pub(super) format: Option<Format>,
    /// Write the result to a file, whole or not at all
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// How deep to look
    #[arg(long, default_value = "standard", env = "COGNATE_EFFORT", hide_env_values = true)]
    pub(super) effort: EffortWord,
    /// Seed of all random draws
    #[arg(long, default_value_t = 0, env = "COGNATE_SEED", hide_env_values = true)]
    pub(super) seed: u64,
    /// Prior probability of shared weights, between 0 and 1
    #[arg(long, default_value_t = 0.5, value_parser = probability, env = "COGNATE_PRIOR", hide_env_values = true)]
    pub(super) prior: f64,
    /// Compute only these statistics, for measuring and debugging: no verdict
    #[arg(long, value_name = "STAT,…", value_delimiter = ',')]
    pub(super) only: Vec<StatisticWord>,
    /// Exit code 1 if the weights verdict is one of these
    #[arg(long, value_name = "VERDICT,…", value_delimiter = ',', conflicts_with = "only")]
    pub(super) fail_on: Vec<VerdictWord>,
    /// Exit code 1 unless the weights verdict is one of these
    #[arg(long, value_name = "VERDICT,…", value_delimiter = ',', conflicts_with = "only")]
    pub(super) expect: Vec<VerdictWord>,
    /// What a gate makes of an inconclusive verdict (fail: exit code 5)
    #[arg(
        long,
        value_name = "WHAT",
        default_value = "fail",
        env = "COGNATE_INCONCLUSIVE",
        hide_env_values = true
    )]
    pub(super) inconclusive: Inconclusive,
    /// Exit code 0 even if tensors had to be skipped
    #[arg(long, env = "COGNATE_ALLOW_PARTIAL", hide_env_values = true)]
    pub(super) allow_partial: bool,
    /// Hash the files too; costs more than comparing them
    #[arg(long, env = "COGNATE_DIGEST", hide_env_values = true)]
    pub(super) digest: bool,
    #[command(flatten)]
    pub(super) backend: BackendArgs,
    #[command(flatten)]
    pub(super) reading: Reading,
}

/// `cognate evaluate`.
#[derive(Debug, Args)]
pub(super) struct Evaluate {
    /// Labelled pairs, or models with their families: a JSON object per line; references are looked for beside it first
    #[arg(required_unless_present = "attacks")]
    pub(super) manifest: Option<PathBuf>,
    /// Transform these models in eighteen ways and say which verdicts flip (docs/attacks.md); several are taken as independent
    #[arg(long, value_name = "MODEL", num_args = 1.., conflicts_with_all = ["manifest", "resume"])]
    pub(super) attacks: Vec<String>,
    /// Seeds of each transform
    #[arg(long, value_name = "N", default_value_t = 3, requires = "attacks", value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(super) seeds: u64,
    /// Only these transforms, by code (T7) or name (noise-0.1)
    #[arg(long, value_name = "TRANSFORM,…", value_delimiter = ',', requires = "attacks")]
    pub(super) transforms: Vec<String>,
    /// Leave the transformed models in this folder
    #[arg(long, value_name = "DIR", requires = "attacks")]
    pub(super) keep: Option<PathBuf>,
    /// Form of the result
    #[arg(long, default_value = "table", env = "COGNATE_FORMAT", hide_env_values = true)]
    pub(super) format: EvaluateFormat,
    /// Write the result to a file, whole or not at all
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Keep a line per finished pair here, and take over those of an earlier run
    #[arg(long, value_name = "FILE")]
    pub(super) resume: Option<PathBuf>,
    /// At most so many pairs between families follow from the manifest's models, drawn by --split-seed
    #[arg(long, value_name = "N", default_value_t = 5000)]
    pub(super) independent: usize,
    /// Seed that splits families into fit and test where the manifest does not
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub(super) split_seed: u64,
    /// all: also the methods of others on the same pairs, in one table
    #[arg(long, value_name = "WHICH", default_value = "ours", conflicts_with = "attacks")]
    pub(super) methods: Methods,
    /// Also compare so many models with themselves in a random order of units: the exact null of p
    #[arg(long, value_name = "N", conflicts_with = "attacks")]
    pub(super) null: Option<usize>,
    /// Also write one page for a browser: no network, no script
    #[arg(long, value_name = "FILE", conflicts_with = "attacks")]
    pub(super) html: Option<PathBuf>,
    /// Fit the likelihood map and measure the controls: writes likelihood.json and controls.json into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "attacks")]
    pub(super) fit: Option<PathBuf>,
    /// Version that the fitted files carry
    #[arg(long, value_name = "VERSION", default_value = "unnamed", requires = "fit")]
    pub(super) map_version: String,
    /// Pairs compared at a time on the CPU [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) jobs: Option<u16>,
    /// How deep to look
    #[arg(long, default_value = "standard", env = "COGNATE_EFFORT", hide_env_values = true)]
    pub(super) effort: EffortWord,
    /// Seed of all random draws
    #[arg(long, default_value_t = 0, env = "COGNATE_SEED", hide_env_values = true)]
    pub(super) seed: u64,
    /// Prior probability of shared weights, between 0 and 1
    #[arg(long, default_value_t = 0.5, value_parser = probability, env = "COGNATE_PRIOR", hide_env_values = true)]
    pub(super) prior: f64,
    /// Exit code 0 even if tensors had to be skipped
    #[arg(long, env = "COGNATE_ALLOW_PARTIAL", hide_env_values = true)]
    pub(super) allow_partial: bool,
    #[command(flatten)]
    pub(super) backend: BackendArgs,
    #[command(flatten)]
    pub(super) reading: Reading,
}

impl Evaluate {
    /// The manifest; empty where models are attacked instead.
    pub(super) fn manifest(&self) -> &std::path::Path {
        self.manifest.as_deref().unwrap_or_else(|| std::path::Path::new(""))
    }
}

/// Which methods an evaluation runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Methods {
    Ours,
    All,
}

/// `cognate matrix`.
#[derive(Debug, Args)]
pub(super) struct Matrix {
    /// Models, or one folder whose subfolders are models
    #[arg(required = true, value_name = "MODEL")]
    pub(super) models: Vec<String>,
    /// Form of the result
    #[arg(long, default_value = "table", env = "COGNATE_FORMAT", hide_env_values = true)]
    pub(super) format: MatrixFormat,
    /// Write the result to a file, whole or not at all
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Pairs compared at a time on the CPU [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) jobs: Option<u16>,
    /// How deep to look
    #[arg(long, default_value = "standard", env = "COGNATE_EFFORT", hide_env_values = true)]
    pub(super) effort: EffortWord,
    /// Seed of all random draws
    #[arg(long, default_value_t = 0, env = "COGNATE_SEED", hide_env_values = true)]
    pub(super) seed: u64,
    /// Prior probability of shared weights, between 0 and 1
    #[arg(long, default_value_t = 0.5, value_parser = probability, env = "COGNATE_PRIOR", hide_env_values = true)]
    pub(super) prior: f64,
    /// Exit code 0 even if tensors had to be skipped
    #[arg(long, env = "COGNATE_ALLOW_PARTIAL", hide_env_values = true)]
    pub(super) allow_partial: bool,
    #[command(flatten)]
    pub(super) backend: BackendArgs,
    #[command(flatten)]
    pub(super) reading: Reading,
}

/// Form of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum MatrixFormat {
    /// Plain text for people
    Table,
    /// One document
    Json,
    /// A row per pair, for spreadsheets
    Csv,
    /// Average linkage on 1 − likelihood
    Newick,
}

/// Form of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum EvaluateFormat {
    /// Plain text for people
    Table,
    /// One document, with a row per pair
    Json,
    /// For comments and job summaries
    Markdown,
}

/// Where to compute.
#[derive(Debug, Args)]
pub(super) struct BackendArgs {
    /// Where to compute; auto takes a real GPU if there is one, and says so
    #[arg(long, default_value = "auto", env = "COGNATE_BACKEND", hide_env_values = true)]
    pub(super) backend: BackendWord,
    /// This GPU and no other: pci:0000:3b:00.0, a name or an index of `cognate devices`
    #[arg(long, value_name = "GPU", env = "COGNATE_GPU", hide_env_values = true)]
    pub(super) gpu: Option<String>,
    /// Threads [default: all cores]
    #[arg(long, value_name = "N", env = "COGNATE_THREADS", hide_env_values = true, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) threads: Option<u16>,
}

/// Ceilings for untrusted files.
#[derive(Debug, Args)]
pub(super) struct Reading {
    /// Longest header of a file that is read
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().max_header_bytes, env = "COGNATE_MAX_HEADER_BYTES", hide_env_values = true)]
    pub(super) max_header_bytes: u64,
    /// Most tensors of a file
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_tensors, env = "COGNATE_MAX_TENSORS", hide_env_values = true)]
    pub(super) max_tensors: usize,
    /// The model under an adapter [default: the one it names, from the local Hub cache]
    #[arg(long, value_name = "MODEL", env = "COGNATE_BASE", hide_env_values = true)]
    pub(super) base: Option<String>,
    /// Follow links that lead out of the model's folder
    #[arg(long, env = "COGNATE_FOLLOW_SYMLINKS_OUTSIDE", hide_env_values = true)]
    pub(super) follow_symlinks_outside: bool,
    /// Open no connection, whatever the reference; also HF_HUB_OFFLINE=1
    #[arg(long, env = "COGNATE_OFFLINE", hide_env_values = true)]
    pub(super) offline: bool,
}

impl Reading {
    /// As the reader wants it.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            max_header_bytes: self.max_header_bytes,
            max_tensors: self.max_tensors,
            links: if self.follow_symlinks_outside { Links::Anywhere } else { Links::Inside },
            network: if self.offline { Network::Forbidden } else { Network::Allowed },
        }
    }
}

/// `cognate inspect`.
#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// Folder, file of weights, index.json, org/name[@revision] or an address (docs/formats.md)
    pub(super) model: String,
    /// Form of the result
    #[arg(long, default_value = "table", env = "COGNATE_FORMAT", hide_env_values = true)]
    pub(super) format: ShortFormat,
    /// Read no weights: no NaN and Inf counts
    #[arg(long, conflicts_with = "all_values")]
    pub(super) header_only: bool,
    /// Count NaN and Inf whatever the size; otherwise up to 2 GiB
    #[arg(long)]
    pub(super) all_values: bool,
    #[command(flatten)]
    pub(super) reading: Reading,
}

/// `cognate convert-weights`.
#[derive(Debug, Args)]
pub(super) struct ConvertWeights {
    /// Folder, file of weights, index.json, adapter folder, org/name[@revision] or an address (docs/formats.md)
    pub(super) model: String,
    /// The file to write, whole or not at all
    #[arg(value_name = "OUT.safetensors")]
    pub(super) output: PathBuf,
    /// Element type of every weight [default: as stored, f32 where that was packed]
    #[arg(long, value_name = "TYPE", env = "COGNATE_DTYPE", hide_env_values = true)]
    pub(super) dtype: Option<DtypeWord>,
    /// Leave out weights that cannot be decoded instead of refusing
    #[arg(long, env = "COGNATE_ALLOW_PARTIAL", hide_env_values = true)]
    pub(super) allow_partial: bool,
    #[command(flatten)]
    pub(super) reading: Reading,
}

/// Element types that can be written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum DtypeWord {
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

/// `cognate bench`.
#[derive(Debug, Args)]
pub(super) struct Bench {
    /// Form of the result
    #[arg(long, default_value = "table", env = "COGNATE_FORMAT", hide_env_values = true)]
    pub(super) format: BenchFormat,
    /// cpu, all, or what --gpu takes; all leaves software adapters out
    #[arg(long, default_value = "all")]
    pub(super) device: String,
    /// Shapes to measure [default: all]
    #[arg(long, value_name = "SHAPE,…", value_delimiter = ',', value_parser = clap::builder::PossibleValuesParser::new(crate::bench::SHAPES.map(|shape| shape.name)))]
    pub(super) shapes: Vec<String>,
    /// Kernels to measure [default: all]
    #[arg(long, value_name = "KERNEL,…", value_delimiter = ',', value_parser = clap::builder::PossibleValuesParser::new(crate::bench::KERNELS))]
    pub(super) kernels: Vec<String>,
    /// Rows of all_pairs, at most those of the shape [default: as many as take a moment]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) rows: Option<u32>,
    /// Measure reading this file instead: cold and warm, 1 to N threads, with S0 and S1 on top
    #[arg(long, value_name = "FILE")]
    pub(super) io: Option<PathBuf>,
    /// Compare two seeded models of these shapes instead, made in the process; cpu where no device is named
    #[arg(long, value_name = "SIZE", value_parser = clap::builder::PossibleValuesParser::new(crate::bench::MODELS.map(|model| model.name)))]
    pub(super) model: Option<String>,
    /// How deep to compare them
    #[arg(long, default_value = "standard", requires = "model")]
    pub(super) effort: EffortWord,
    /// Only bit equality and plain sums of them
    #[arg(long, requires = "model", conflicts_with = "effort")]
    pub(super) plain: bool,
    /// Speed of their source in GB/s [default: as fast as noise is made]
    #[arg(long, value_name = "RATE", requires = "model", value_parser = positive_rate)]
    pub(super) source_gb_per_s: Option<f64>,
    /// Hold the run against an earlier one (--format json); exit code 1 if a line lost more than --tolerance
    #[arg(long, value_name = "FILE")]
    pub(super) baseline: Option<PathBuf>,
    /// Share of its rate that a line may lose
    #[arg(long, default_value_t = 0.1, requires = "baseline", value_parser = share)]
    pub(super) tolerance: f64,
    /// Draw the roofline of every device into this file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["io", "model"])]
    pub(super) svg: Option<PathBuf>,
    /// Time per line of the table
    #[arg(long, default_value_t = 0.5, value_parser = positive_seconds)]
    pub(super) seconds: f64,
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

/// Form of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Plain text for people
    Table,
    /// One document
    Json,
    /// One document per line
    Jsonl,
    /// For comments and job summaries
    Markdown,
}

/// Form of the other results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ShortFormat {
    /// Plain text for people
    Table,
    /// One document
    Json,
}

/// Form of a bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum BenchFormat {
    /// Plain text for people
    Table,
    /// One document
    Json,
    /// For comments and job summaries
    Markdown,
}

/// When to do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
    Auto,
    Always,
    Never,
}

/// Where to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum BackendWord {
    Auto,
    Gpu,
    Cpu,
}

/// What a gate makes of an inconclusive verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Inconclusive {
    Pass,
    Fail,
}

/// How deep to look.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum EffortWord {
    /// Samples of a few layers; reads a few percent
    Quick,
    /// Every tensor once, and a bounded deep stage
    Standard,
    /// Everything on everything
    Full,
}

impl From<EffortWord> for Effort {
    fn from(word: EffortWord) -> Effort {
        match word {
            EffortWord::Quick => Effort::Quick,
            EffortWord::Standard => Effort::Standard,
            EffortWord::Full => Effort::Full,
        }
    }
}

/// What `--only` can choose.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum StatisticWord {
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
pub(super) struct VerdictWord(pub(super) WeightsVerdict);

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

fn probability(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value < 1.0 => Ok(value),
        _ => Err("must be a number between 0 and 1, both excluded".to_owned()),
    }
}

fn positive_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (1e-6..=1e6).contains(&value) => Ok(value),
        _ => Err("must be a number of GB/s from 1e-6 to 1e6".to_owned()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..1.0).contains(&value) => Ok(value),
        _ => Err("must be a number from 0 to below 1".to_owned()),
    }
}

fn positive_seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value <= 3600.0 => Ok(value),
        _ => Err("must be a number of seconds above 0 and at most 3600".to_owned()),
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
