//! Ctrl-C and SIGTERM end the process at once with their own codes; results are written whole or not at all.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::{register_conditional_shutdown, register_usize};

/// Whether a signal ends the process by itself.
static AT_ONCE: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| Arc::new(AtomicBool::new(true)));
/// Exit code of the signal that came; 0 while none did.
static CODE: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);

/// 130 on SIGINT, 143 on SIGTERM.
pub(super) fn end_on_interrupt() {
    for (signal, code) in [(SIGINT, 130_u8), (SIGTERM, 143)] {
        // a system without this signal keeps its own way of ending a process
        let _ = register_conditional_shutdown(signal, code.into(), Arc::clone(&AT_ONCE));
        let _ = register_usize(signal, Arc::clone(&CODE), code.into());
    }
}

/// While it lives, signals wait to be asked for: a file is being written that must not stay behind half.
#[derive(Debug)]
pub(super) struct Deferred;

impl Deferred {
    /// From now on.
    pub(super) fn begin() -> Deferred {
        AT_ONCE.store(false, Ordering::SeqCst);
        Deferred
    }

    /// The exit code of a signal that came.
    #[expect(clippy::unused_self, reason = "asked only while signals are deferred")]
    pub(super) fn signal(&self) -> Option<u8> {
        u8::try_from(CODE.load(Ordering::SeqCst)).ok().filter(|code| *code != 0)
    }
}

impl Drop for Deferred {
    fn drop(&mut self) {
        AT_ONCE.store(true, Ordering::SeqCst);
    }
}
