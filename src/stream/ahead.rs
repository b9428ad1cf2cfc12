//! One thread reads ahead while the device works on a chunk and the next one is uploaded: three slots, so that memory does
//! not grow with the model.

use std::sync::mpsc;

use super::plan::{Task, Walk};
use super::workers::{Done, Slot};
use super::{Error, ReadMeter};

/// Slots in flight: one being filled, one being uploaded, one being worked on.
const N_SLOTS: usize = 3;

/// What is done with a chunk, in two steps, so that the next one can be started before this one is waited for.
pub(super) struct Steps<S, F> {
    /// Starts the work on a chunk of a walk.
    pub(super) start: S,
    /// Waits for it and adds it to the task's total.
    pub(super) finish: F,
}

/// Runs the steps on every chunk in order, on the calling thread; reading happens one chunk ahead.
pub(super) fn run<T: Default, P>(
    walks: &[Walk<'_>],
    tasks: &[Task],
    meter: &ReadMeter,
    done: &Done<'_>,
    mut steps: Steps<
        impl FnMut(usize, [&[u8]; 2]) -> P,
        impl FnMut(&mut T, usize, P, [&[u8]; 2]) -> Result<(), Error>,
    >,
) -> Result<Vec<T>, Error> {
    std::thread::scope(|scope| {
        let (filled_sender, filled) = mpsc::sync_channel::<Result<(Slot, u64), Error>>(N_SLOTS);
        let (free_sender, free) = mpsc::channel::<Slot>();
        for _ in 0..N_SLOTS {
            // the receiver is alive: it is a local of this scope
            let _ = free_sender.send(Slot::new());
        }
        scope.spawn(move || {
            for task in tasks {
                for chunk in task.chunks.clone() {
                    let Ok(mut slot) = free.recv() else { return };
                    let result =
                        slot.fill(&walks[task.walk_idx], task, chunk, meter).map(|n_bytes| (slot, n_bytes));
                    let has_failed = result.is_err();
                    if filled_sender.send(result).is_err() || has_failed {
                        return;
                    }
                }
            }
        });
        let mut totals: Vec<T> = tasks.iter().map(|_| T::default()).collect();
        let mut started: Option<(usize, Slot, u64, P)> = None;
        let mut finish = |totals: &mut Vec<T>, (task_idx, slot, n_bytes, step): (usize, Slot, u64, P)| {
            (steps.finish)(&mut totals[task_idx], tasks[task_idx].walk_idx, step, slot.sides())?;
            done.add(n_bytes);
            let _ = free_sender.send(slot);
            Ok::<(), Error>(())
        };
        for (task_idx, task) in tasks.iter().enumerate() {
            for _ in task.chunks.clone() {
                // the reader ends early only after it has sent its error
                let Ok(result) = filled.recv() else { return Ok(totals) };
                let (slot, n_bytes) = result?;
                let step = (steps.start)(task.walk_idx, slot.sides());
                if let Some(before) = started.replace((task_idx, slot, n_bytes, step)) {
                    finish(&mut totals, before)?;
                }
            }
        }
        if let Some(last) = started {
            finish(&mut totals, last)?;
        }
        Ok(totals)
    })
}
