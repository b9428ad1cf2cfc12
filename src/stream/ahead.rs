//! One thread reads ahead while the device works: two slots, so that memory does not grow with the model.

use std::sync::mpsc;

use super::plan::{Task, Walk};
use super::workers::{Done, Slot};
use super::{Error, ReadMeter};

/// Slots in flight: one being filled, one being worked on.
const N_SLOTS: usize = 2;

/// Runs `reduce` on every chunk in order, on the calling thread; reading happens one chunk ahead.
pub(super) fn run<T: Default>(
    walks: &[Walk<'_>],
    tasks: &[Task],
    meter: &ReadMeter,
    done: &Done<'_>,
    mut reduce: impl FnMut(&mut T, usize, &[Vec<u8>; 2]) -> Result<(), Error>,
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
                        slot.fill(&walks[task.walk_idx], chunk, meter).map(|n_bytes| (slot, n_bytes));
                    let has_failed = result.is_err();
                    if filled_sender.send(result).is_err() || has_failed {
                        return;
                    }
                }
            }
        });
        let mut totals = Vec::with_capacity(tasks.len());
        for task in tasks {
            let mut total = T::default();
            for _ in task.chunks.clone() {
                // the reader ends early only after it has sent its error
                let Ok(result) = filled.recv() else { return Ok(totals) };
                let (slot, n_bytes) = result?;
                reduce(&mut total, task.walk_idx, &slot.sides)?;
                done.add(n_bytes);
                let _ = free_sender.send(slot);
            }
            totals.push(total);
        }
        Ok(totals)
    })
}
