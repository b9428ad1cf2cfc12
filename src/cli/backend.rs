//! Which backend: what was asked for, or the best there is, with the sentence that says why.

use super::args::{BackendArgs, BackendWord};
use super::{cards, failure};
use crate::cpu::Cpu;
use crate::gpu::{self, Gpu};
use crate::kernels::{Backend, tiers};
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
        (_, Some(name)) => asked(&named(name)),
        (BackendWord::Gpu, None) => match allowed() {
            Ok(choice) => asked(&choice.unwrap_or(gpu::Choice::Any)),
            Err(sentence) => {
                Err(failure::of_gpu(&gpu::Error::NoAdapter { asked: sentence, found: listed() }))
            }
        },
        (BackendWord::Auto, None) => Ok(match allowed() {
            Ok(choice) => auto(&choice.unwrap_or(gpu::Choice::Auto), ""),
            Err(sentence) => auto(&gpu::Choice::Auto, &format!("; {sentence}")),
        }),
    }
}

impl Chosen {
    /// Why this backend, and what went wrong on it and was made good, for the report of a run that is over.
    pub(super) fn story(&self) -> String {
        let incidents = match &self.backend {
            Backend::Gpu(gpu) => gpu.facts().incidents,
            Backend::Cpu(_) => Vec::new(),
        };
        std::iter::once(self.why.clone()).chain(incidents).collect::<Vec<_>>().join("; ")
    }
}

/// The CPU after a GPU has failed under `auto`.
pub(super) fn after(error: &gpu::Error) -> Chosen {
    Chosen { backend: cpu(), why: format!("computed again on the CPU: {error}"), is_auto: false }
}

/// What `--gpu` names; a UUID becomes the PCI address that the driver knows it by.
pub(super) fn named(name: &str) -> gpu::Choice {
    let uuid = name.strip_prefix("uuid:");
    let pci = uuid.and_then(|uuid| gpu::pci_of_uuid(uuid, &cards::cards()).map(|pci| format!("pci:{pci}")));
    gpu::Choice::Named(pci.unwrap_or_else(|| name.to_owned()))
}

/// The card that a scheduler has given to this process, if one has; the sentence that says why it cannot be found.
fn allowed() -> Result<Option<gpu::Choice>, String> {
    match gpu::visible(|name| std::env::var(name).ok(), &cards::cards()) {
        gpu::Visible::All => Ok(None),
        gpu::Visible::Only(list) => {
            let first =
                list.first().map_or_else(|| "no visible device".to_owned(), |pci| format!("pci:{pci}"));
            Ok(Some(gpu::Choice::Named(first)))
        }
        // with at most one real card there is nothing to confuse
        gpu::Visible::Unmapped(..) if n_real() < 2 => Ok(None),
        gpu::Visible::Unmapped(name, value) => Err(format!(
            "{name}={value} counts in an order that is not known here; set CUDA_DEVICE_ORDER=PCI_BUS_ID or name a card with --gpu pci:…"
        )),
    }
}

fn is_real(info: &gpu::DeviceInfo) -> bool {
    !info.is_software() && info.api != gpu::Api::Gl
}

fn n_real() -> usize {
    gpu::devices().iter().filter(|info| is_real(info)).count()
}

fn listed() -> String {
    let devices = gpu::devices();
    let real = devices.iter().filter(|info| is_real(info));
    real.map(|info| format!("pci:{} '{}'", info.pci_bus_id, info.name)).collect::<Vec<_>>().join(", ")
}

/// Opens a GPU and lets it show in which tier it is best.
pub(super) fn opened(choice: &gpu::Choice) -> Result<Gpu, gpu::Error> {
    tiers::settle(&Gpu::open(choice)?).map(|(gpu, _)| gpu)
}

fn asked(choice: &gpu::Choice) -> Result<Chosen, Box<Failure>> {
    let gpu = opened(choice).map_err(|error| failure::of_gpu(&error))?;
    let facts = gpu.facts();
    let software = if facts.is_software { "; software, for correctness only" } else { "" };
    Ok(Chosen {
        backend: Backend::Gpu(gpu),
        why: format!("this GPU was asked for and passed self-test {}{software}", facts.self_test.hash),
        is_auto: false,
    })
}

fn auto(choice: &gpu::Choice, note: &str) -> Chosen {
    match opened(choice) {
        Ok(gpu) => {
            let why =
                format!("a real GPU is there and passed self-test {}{note}", gpu.facts().self_test.hash);
            Chosen { backend: Backend::Gpu(gpu), why, is_auto: true }
        }
        Err(gpu::Error::NoAdapter { .. }) => Chosen {
            backend: cpu(),
            why: format!("no real GPU was found; --backend auto took the CPU{note}"),
            is_auto: true,
        },
        Err(error) => Chosen {
            backend: cpu(),
            why: format!("--backend auto took the CPU: {error}{note}"),
            is_auto: true,
        },
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
