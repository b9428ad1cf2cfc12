//! Ctrl-C and SIGTERM end the process at once with their own codes; results are written whole or not at all.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::register_conditional_shutdown;

/// 130 on SIGINT, 143 on SIGTERM.
pub(super) fn end_on_interrupt() {
    let always = Arc::new(AtomicBool::new(true));
    for (signal, code) in [(SIGINT, 130), (SIGTERM, 143)] {
        // a system without this signal keeps its own way of ending a process
        let _ = register_conditional_shutdown(signal, code, Arc::clone(&always));
    }
}
