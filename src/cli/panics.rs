//! A panic is a bug of ours: one message, exit code 70, never a half-written result.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;

use super::exit;
use crate::report::wire::Failure;

/// Where the latest panic happened; the payload alone does not say.
static LATEST: Mutex<Option<String>> = Mutex::new(None);

/// Keeps the default message off stderr and remembers the place instead.
pub(super) fn stay_silent() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map_or("an unknown place".to_owned(), ToString::to_string);
        let payload = info.payload();
        let what = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "panic".to_owned());
        if let Ok(mut latest) = LATEST.lock() {
            *latest = Some(format!("{what} at {place}"));
        }
    }));
}

/// Runs `work`; a panic becomes a failure with exit code 70.
pub(super) fn caught<T>(work: impl FnOnce() -> Result<T, Box<Failure>>) -> Result<T, Box<Failure>> {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let latest = LATEST.lock().ok().and_then(|mut latest| latest.take());
        Err(Box::new(Failure {
            code: "INTERNAL".to_owned(),
            exit_code: exit::INTERNAL,
            message: format!("internal error: {}", latest.unwrap_or_else(|| "panic".to_owned())),
            hint: Some(format!(
                "this is a bug in cognate {}: please report this message and the command; nothing was concluded",
                env!("CARGO_PKG_VERSION")
            )),
            ..Failure::default()
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_exit_code_70() {
        let failure = caught::<()>(|| panic!("seen")).expect_err("it panicked");
        assert_eq!((failure.exit_code, failure.code.as_str()), (70, "INTERNAL"));
    }
}
