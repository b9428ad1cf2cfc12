//! Tasks on every thread of the pool, results in the order of the tasks.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use super::plan::{Task, Walk};
use super::{Error, ReadMeter};

/// Buffers that a worker uses again for every chunk: they stay in its cache.
pub(super) struct Slot {
    /// One per side.
    pub(super) sides: [Vec<u8>; 2],
    scratch: Vec<u8>,
}

impl Slot {
    pub(super) fn new() -> Slot {
        Slot { sides: [Vec::new(), Vec::new()], scratch: Vec::new() }
    }

    /// Fills the sides with a chunk and returns its bytes.
    pub(super) fn fill(&mut self, walk: &Walk<'_>, chunk: u64, meter: &ReadMeter) -> Result<u64, Error> {
        walk.read_chunk(chunk, &mut self.sides, &mut self.scratch, meter)?;
        Ok(self.sides.iter().map(|side| side.len() as u64).sum())
    }
}

/// What was done so far, for the callback.
pub(super) struct Done<'a> {
    bytes: AtomicU64,
    progress: &'a (dyn Fn(u64) + Sync),
}

impl<'a> Done<'a> {
    pub(super) fn new(progress: &'a (dyn Fn(u64) + Sync)) -> Done<'a> {
        Done { bytes: AtomicU64::new(0), progress }
    }

    pub(super) fn add(&self, n_bytes: u64) {
        let before = self.bytes.fetch_add(n_bytes, Ordering::Relaxed);
        (self.progress)(before + n_bytes);
    }
}

/// Runs `reduce` on every chunk of every task and returns each task's total, in order; of several failures, that
/// of the first task that failed.
pub(super) fn run<T: Default + Send>(
    walks: &[Walk<'_>],
    tasks: &[Task],
    meter: &ReadMeter,
    done: &Done<'_>,
    reduce: impl Fn(&mut T, usize, &[Vec<u8>; 2]) + Sync,
) -> Result<Vec<T>, Error> {
    let next = AtomicUsize::new(0);
    let has_failed = AtomicBool::new(false);
    let work = || {
        let mut slot = Slot::new();
        let mut results = Vec::new();
        while !has_failed.load(Ordering::Relaxed) {
            let task_idx = next.fetch_add(1, Ordering::Relaxed);
            let Some(task) = tasks.get(task_idx) else { break };
            let result = of_task(walks, task, &mut slot, meter, done, &reduce);
            if result.is_err() {
                has_failed.store(true, Ordering::Relaxed);
            }
            results.push((task_idx, result));
        }
        results
    };
    let mut results: Vec<(usize, Result<T, Error>)> =
        rayon::broadcast(|_| work()).into_iter().flatten().collect();
    results.sort_by_key(|(task_idx, _)| *task_idx);
    results.into_iter().map(|(_, result)| result).collect()
}

fn of_task<T: Default>(
    walks: &[Walk<'_>],
    task: &Task,
    slot: &mut Slot,
    meter: &ReadMeter,
    done: &Done<'_>,
    reduce: &impl Fn(&mut T, usize, &[Vec<u8>; 2]),
) -> Result<T, Error> {
    let mut total = T::default();
    for chunk in task.chunks.clone() {
        let n_bytes = slot.fill(&walks[task.walk_idx], chunk, meter)?;
        reduce(&mut total, task.walk_idx, &slot.sides);
        done.add(n_bytes);
    }
    Ok(total)
}
