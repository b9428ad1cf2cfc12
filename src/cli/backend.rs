//! Which backend: what was asked for, or the best there is, with the sentence that says why.

use super::args::{BackendArgs, BackendWord};
use super::failure;
use crate::cpu::Cpu;
use crate::gpu::{self, Gpu};
use crate::kernels::Backend;
use crate::report::wire::Failure;

/// An open backend.
#[derive(Debug)]
pub(super) struct Chosen {
    /// Where to compute.
    pub(super) backend: Backend,
    /// One sentence for the report.
    pub(super) why: String,
    /// The user left the choice to us, so the CPU may take over.
    pub(super) is_auto: bool,
}

/// Opens what the flags ask for.
///
/// # Errors
/// A GPU was asked for and is not available (exit code 6), or the flags contradict each other (2).
pub(super) fn open(args: &BackendArgs) -> Result<Chosen, Box<Failure>> {
    set_threads(args.threads)?;
    match (args.backend, &args.gpu) {
        (BackendWord::Cpu, Some(_)) => {
            Err(failure::usage("--gpu and --backend cpu exclude each other".to_owned()))
        }
        (BackendWord::Cpu, None) => {
            Ok(Chosen { backend: cpu(), why: "the CPU was asked for".to_owned(), is_auto: false })
        }
        (_, Some(name)) => asked(&gpu::Choice::Named(name.clone())),
        (BackendWord::Gpu, None) => asked(&gpu::Choice::Any),
        (BackendWord::Auto, None) => Ok(auto()),
    }
}

/// The CPU after a GPU has failed under `auto`.
pub(super) fn after(error: &gpu::Error) -> Chosen {
    Chosen { backend: cpu(), why: format!("computed again on the CPU: {error}"), is_auto: false }
}

fn asked(choice: &gpu::Choice) -> Result<Chosen, Box<Failure>> {
    let gpu = Gpu::open(choice).map_err(|error| failure::of_gpu(&error))?;
    let software = if gpu.facts().is_software { "; software, for correctness only" } else { "" };
    Ok(Chosen {
        backend: Backend::Gpu(gpu),
        why: format!("this GPU was asked for{software}"),
        is_auto: false,
    })
}

fn auto() -> Chosen {
    match Gpu::open(&gpu::Choice::Auto) {
        Ok(gpu) => Chosen {
            backend: Backend::Gpu(gpu),
            why: "a real GPU is there and passed its self-test".to_owned(),
            is_auto: true,
        },
        Err(gpu::Error::NoAdapter { .. }) => Chosen {
            backend: cpu(),
            why: "no real GPU was found; --backend auto took the CPU".to_owned(),
            is_auto: true,
        },
        Err(error) => {
            Chosen { backend: cpu(), why: format!("--backend auto took the CPU: {error}"), is_auto: true }
        }
    }
}

fn cpu() -> Backend {
    Backend::Cpu(Cpu::detect())
}

/// The pool is the process's own and can be sized once, before its first use.
fn set_threads(n_threads: Option<u16>) -> Result<(), Box<Failure>> {
    let Some(n_threads) = n_threads else { return Ok(()) };
    rayon::ThreadPoolBuilder::new()
        .num_threads(usize::from(n_threads))
        .build_global()
        .map_err(|error| failure::usage(format!("--threads {n_threads} cannot be had: {error}")))
}
