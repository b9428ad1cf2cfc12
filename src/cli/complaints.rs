//! Failures of many pairs on stderr: the first of each code, then how many more.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::screen::Screen;
use crate::report::wire::Failure;
use crate::wording::counted;

/// Failures of one code that are printed in full, unless `--verbose` asks for all.
const N_SHOWN: usize = 3;

/// Failures so far, by code.
#[derive(Debug)]
pub(super) struct Complaints<'a> {
    screen: &'a Screen,
    n_of_code: Mutex<BTreeMap<String, usize>>,
}

impl<'a> Complaints<'a> {
    /// None yet.
    pub(super) fn new(screen: &'a Screen) -> Complaints<'a> {
        Complaints { screen, n_of_code: Mutex::default() }
    }

    /// One more: on stderr if it is among the first of its code.
    pub(super) fn add(&self, failure: &Failure) {
        let n_before = self.n_of_code.lock().map_or(0, |mut n_of_code| {
            let n = n_of_code.entry(failure.code.clone()).or_default();
            *n += 1;
            *n - 1
        });
        if n_before < N_SHOWN || self.screen.error_style.verbose {
            self.screen.complain(failure);
        }
    }

    /// What was not printed, a line per code.
    pub(super) fn finish(self) {
        if self.screen.error_style.verbose {
            return;
        }
        for (code, n) in self.n_of_code.into_inner().unwrap_or_default() {
            if let Some(n_more) = n.checked_sub(N_SHOWN).filter(|n_more| *n_more > 0) {
                let pairs = counted(n_more, "more pair", "more pairs");
                self.screen.tell(&format!("{pairs}: {code} (--verbose lists all)\n"));
            }
        }
    }
}
