//! A device that fails is opened again once, with smaller uploads; work goes on after the last finished step.
//!
//! What fails again, or computes wrongly, is not used any more. No result depends on where the steps were cut.

use std::collections::VecDeque;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::faults::{FaultPoint, Faults};
use super::opened::Opened;
use super::run::Turns;
use super::{DeviceInfo, Error, Gpu, info, self_test};

/// A lost device is opened again this many times.
const MAX_REOPENED: u32 = 1;

/// Steps on the device at the same time: one is uploaded while the other is computed.
const STEPS_IN_FLIGHT: usize = 2;

/// Smallest uploads that a failure leads to.
const MIN_CHUNK_BYTES: usize = 64 << 10;

/// What all handles of one adapter share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) info: DeviceInfo,
    pub(super) turns: Turns,
    pub(super) faults: Faults,
    /// GPU time of all passes so far, where the adapter has time stamps.
    pub(super) busy_ns: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    opened: Arc<Opened>,
    chunk_bytes: usize,
    n_reopened: u32,
    incidents: Vec<String>,
}

impl Shared {
    pub(super) fn new(info: DeviceInfo, opened: Opened, chunk_bytes: usize) -> Shared {
        let state = State { opened: Arc::new(opened), chunk_bytes, n_reopened: 0, incidents: Vec::new() };
        Shared {
            info,
            turns: Turns::default(),
            faults: Faults::default(),
            busy_ns: AtomicU64::new(0),
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn opened(&self) -> Arc<Opened> {
        Arc::clone(&self.state().opened)
    }

    pub(super) fn chunk_bytes(&self) -> usize {
        self.state().chunk_bytes
    }

    pub(super) fn incidents(&self) -> Vec<String> {
        self.state().incidents.clone()
    }
}

/// Whether a new device may do better: the old one is gone, hangs, or has no memory.
fn may_be_repeated(error: &Error) -> bool {
    matches!(
        error,
        Error::DeviceLost { .. } | Error::OutOfMemory { .. } | Error::Timeout { .. } | Error::ReadBack { .. }
    )
}

impl Gpu {
    /// Runs `work`, once more on a new device if the old one fails under it. `work` starts from nothing each time.
    ///
    /// # Errors
    /// The device failed twice, or computes wrongly.
    pub(crate) fn recovering<T>(&self, mut work: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
        loop {
            let opened = self.shared.opened();
            match self.trusted().and_then(|()| work()) {
                Ok(result) => return Ok(result),
                Err(error) => self.recover(&opened, error)?,
            }
        }
    }

    /// Works through 0 .. n in steps: `submit(first)` starts one and says how long it is, `finish` waits for its
    /// result, `accept` gets the results in order. One step is uploaded while the one before is computed. After a
    /// failure work goes on behind the last accepted step.
    ///
    /// # Errors
    /// As [`Gpu::recovering`].
    pub(crate) fn in_steps<P, R>(
        &self,
        n: usize,
        submit: impl Fn(usize) -> Result<(usize, P), Error>,
        finish: impl Fn(P) -> Result<R, Error>,
        mut accept: impl FnMut(R),
    ) -> Result<(), Error> {
        let _turn = self.turn();
        let mut n_done = 0;
        self.recovering(|| {
            let mut in_flight: VecDeque<(usize, P)> = VecDeque::new();
            let mut next = n_done;
            loop {
                while next < n && in_flight.len() < STEPS_IN_FLIGHT {
                    let (length, step) = submit(next)?;
                    next += length;
                    in_flight.push_back((next, step));
                }
                let Some((end, step)) = in_flight.pop_front() else { return Ok(()) };
                accept(finish(step)?);
                n_done = end;
            }
        })
    }

    /// Whether no handle of this kind has failed for good.
    pub(super) fn trusted(&self) -> Result<(), Error> {
        match &*self.distrust.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// Ok if the work may be done again: another thread has opened the device anew, or this call has.
    fn recover(&self, failed: &Arc<Opened>, error: Error) -> Result<(), Error> {
        self.trusted()?;
        let mut state = self.shared.state();
        if !Arc::ptr_eq(&state.opened, failed) {
            return Ok(());
        }
        let distrust = |error: Error| {
            *self.distrust.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
            Err(error)
        };
        if !may_be_repeated(&error) || state.n_reopened >= MAX_REOPENED {
            return distrust(error);
        }
        state.n_reopened += 1;
        let opened = match self.opened_again() {
            Ok(opened) => Arc::new(opened),
            Err(reason) => {
                state.incidents.push(format!("{error}; it could not be opened again: {reason}"));
                return distrust(error);
            }
        };
        state.opened = Arc::clone(&opened);
        state.chunk_bytes = (state.chunk_bytes / 2).max(MIN_CHUNK_BYTES);
        let chunk_kib = state.chunk_bytes >> 10;
        state.incidents.push(format!(
            "{error}; it was opened again and work went on after the last finished step, in uploads of {chunk_kib} KiB"
        ));
        // the self-test takes the new device from the state
        drop(state);
        match self_test::run(self) {
            Ok(_) => Ok(()),
            Err(error) => distrust(error),
        }
    }

    /// The same adapter once more: by all that tells adapters apart, then by its place among equals.
    fn opened_again(&self) -> Result<Opened, Error> {
        let old = &self.shared.info;
        if self.shared.faults.strikes(FaultPoint::Open) {
            return Err(Error::Open { adapter: old.name.clone(), reason: "injected fault".to_owned() });
        }
        let is_same = |info: &DeviceInfo| {
            info.api == old.api && info.name == old.name && info.pci_bus_id == old.pci_bus_id
        };
        let adapters = info::adapters(info::OpenGl::of(old.api));
        let same = adapters.iter().filter(|(info, _)| is_same(info));
        let (_, adapter) = same.min_by_key(|(info, _)| info.index.abs_diff(old.index)).ok_or_else(|| {
            Error::Open { adapter: old.name.clone(), reason: "it is not there any more".to_owned() }
        })?;
        Opened::open(old, adapter)
    }
}
