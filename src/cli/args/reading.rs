//! What several verbs ask: where to compute, what may be read, how deep to look.

use clap::{Args, ValueEnum};

use crate::checkpoint::Limits;
use crate::compare::Effort;
use crate::source::{Links, Network};

/// Where to compute.
#[derive(Debug, Args)]
pub(in crate::cli) struct BackendArgs {
    /// Where to compute; auto takes a real GPU if there is one, and says so
    #[arg(long, default_value = "auto", env = "COGNATE_BACKEND", hide_env_values = true)]
    pub(in crate::cli) backend: BackendWord,
    /// This GPU and no other: pci:0000:3b:00.0, a name or an index of `cognate devices`
    #[arg(long, value_name = "GPU", env = "COGNATE_GPU", hide_env_values = true)]
    pub(in crate::cli) gpu: Option<String>,
    /// Threads [default: all cores]
    #[arg(long, value_name = "N", env = "COGNATE_THREADS", hide_env_values = true, value_parser = clap::value_parser!(u16).range(1..))]
    pub(in crate::cli) threads: Option<u16>,
}

/// Ceilings for untrusted files.
#[derive(Debug, Args)]
pub(in crate::cli) struct Reading {
    /// Longest header of a file that is read
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().max_header_bytes, env = "COGNATE_MAX_HEADER_BYTES", hide_env_values = true)]
    pub(in crate::cli) max_header_bytes: u64,
    /// Most tensors of a file
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_tensors, env = "COGNATE_MAX_TENSORS", hide_env_values = true)]
    pub(in crate::cli) max_tensors: usize,
    /// The model under an adapter [default: the one it names, from the local Hub cache]
    #[arg(long, value_name = "MODEL", env = "COGNATE_BASE", hide_env_values = true)]
    pub(in crate::cli) base: Option<String>,
    /// Follow links that lead out of the model's folder
    #[arg(long, env = "COGNATE_FOLLOW_SYMLINKS_OUTSIDE", hide_env_values = true)]
    pub(in crate::cli) follow_symlinks_outside: bool,
    /// Open no connection, whatever the reference; also HF_HUB_OFFLINE=1
    #[arg(long, env = "COGNATE_OFFLINE", hide_env_values = true)]
    pub(in crate::cli) offline: bool,
}

impl Reading {
    /// As the reader wants it.
    pub(in crate::cli) fn limits(&self) -> Limits {
        Limits {
            max_header_bytes: self.max_header_bytes,
            max_tensors: self.max_tensors,
            links: if self.follow_symlinks_outside { Links::Anywhere } else { Links::Inside },
            network: if self.offline { Network::Forbidden } else { Network::Allowed },
        }
    }
}

/// Where to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum BackendWord {
    Auto,
    Gpu,
    Cpu,
}

/// How deep to look.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(in crate::cli) enum EffortWord {
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
