//! Faults on demand: how tests see that a failing device never becomes a number.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Where a device may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultPoint {
    /// The driver gives no device.
    Open,
    /// The self-test gets a wrong answer.
    SelfTest,
    /// A buffer cannot be made.
    Buffer,
    /// The device goes away between submit and read-back.
    Submit,
    /// No answer within the limit.
    Wait,
    /// The answer cannot be mapped.
    Map,
    /// One bit of an answer is wrong.
    Answer,
}

/// Which calls fail: `n_failing` of them from call `first` (0 is the first) on.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Where.
    pub point: FaultPoint,
    /// Calls that still succeed.
    pub first: usize,
    /// Calls that then fail.
    pub n_failing: usize,
}

/// The fault of one device and how often its point was passed.
#[derive(Debug, Default)]
pub(super) struct Faults {
    planned: Mutex<Option<Fault>>,
    n_calls: AtomicUsize,
}

impl Faults {
    pub(super) fn plan(&self, fault: Fault) {
        *self.planned.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
        self.n_calls.store(0, Ordering::Relaxed);
    }

    /// Whether this passage of `point` fails.
    pub(super) fn strikes(&self, point: FaultPoint) -> bool {
        let planned = *self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(fault) = planned.filter(|fault| fault.point == point) else { return false };
        let call = self.n_calls.fetch_add(1, Ordering::Relaxed);
        call >= fault.first && call - fault.first < fault.n_failing
    }

    /// How often the planned point was passed.
    pub(super) fn n_calls(&self) -> usize {
        self.n_calls.load(Ordering::Relaxed)
    }
}
