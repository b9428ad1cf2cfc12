//! Tasks on as many threads as the pool has, more where storage is slow; results in the order of the tasks.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::Scope;
use std::time::{Duration, Instant};

use super::plan::{Task, Walk};
use super::side::Side;
use super::{Error, ReadMeter};

/// Buffers that a worker uses again for every chunk: they stay in its cache.
pub(super) struct Slot {
    sides: [Side; 2],
    scratch: Vec<u8>,
}

impl Slot {
    pub(super) fn new() -> Slot {
        Slot { sides: [Side::default(), Side::default()], scratch: Vec::new() }
    }

    /// Fills the sides with a chunk of the task and returns its bytes.
    pub(super) fn fill(
        &mut self,
        walk: &Walk<'_>,
        task: &Task,
        chunk: u64,
        meter: &ReadMeter,
    ) -> Result<u64, Error> {
        walk.read_chunk(task, chunk, &mut self.sides, &mut self.scratch, meter)?;
        Ok(self.sides().iter().map(|side| side.len() as u64).sum())
    }

    /// The bytes of each side.
    pub(super) fn sides(&self) -> [&[u8]; 2] {
        [self.sides[0].bytes(), self.sides[1].bytes()]
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

/// Most threads that read where storage is slower than the sums: disks answer several questions at a time.
const MAX_READERS: usize = 16;

/// Chunks that waited this many times longer for their bytes than they were summed ask for one more reader.
const WAITS_PER_SUM: u32 = 3;

/// Chunks between two looks at where the time goes: one alone may have met a busy core, and what is read past the cache comes for
/// seven of them at once.
const CHUNKS_PER_LOOK: usize = 8;

/// Runs `reduce` on every chunk of every task and returns each task's total, in order; of several failures, that
/// of the first task that failed.
///
/// As many threads as the pool has, and more while tasks mostly wait for their bytes.
pub(super) fn run<T: Default + Send>(
    walks: &[Walk<'_>],
    tasks: &[Task],
    meter: &ReadMeter,
    done: &Done<'_>,
    reduce: impl Fn(&mut T, usize, [&[u8]; 2]) + Sync,
) -> Result<Vec<T>, Error> {
    let shared = Shared {
        walks,
        tasks,
        meter,
        done,
        reduce: &reduce,
        next: AtomicUsize::new(0),
        n_readers: AtomicUsize::new(rayon::current_num_threads()),
        has_failed: AtomicBool::new(false),
        results: Mutex::new(Vec::with_capacity(tasks.len())),
    };
    std::thread::scope(|scope| {
        for _ in 0..rayon::current_num_threads() {
            scope.spawn(|| shared.work(scope));
        }
    });
    let mut results = shared.results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(task_idx, _)| *task_idx);
    results.into_iter().map(|(_, result)| result).collect()
}

/// What the threads of one run have in common.
struct Shared<'a, T, F> {
    walks: &'a [Walk<'a>],
    tasks: &'a [Task],
    meter: &'a ReadMeter,
    done: &'a Done<'a>,
    reduce: &'a F,
    next: AtomicUsize,
    n_readers: AtomicUsize,
    has_failed: AtomicBool,
    results: Mutex<Vec<(usize, Result<T, Error>)>>,
}

/// Where a few chunks spent their time.
#[derive(Clone, Copy, Default)]
struct Spent {
    reading: Duration,
    summing: Duration,
}

impl<T: Default + Send, F: Fn(&mut T, usize, [&[u8]; 2]) + Sync> Shared<'_, T, F> {
    fn work<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        let mut slot = Slot::new();
        while !self.has_failed.load(Ordering::Relaxed) {
            let task_idx = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(task) = self.tasks.get(task_idx) else { break };
            let result = self.of_task(task, &mut slot, &|| self.ask_for_reader(scope));
            if result.is_err() {
                self.has_failed.store(true, Ordering::Relaxed);
            }
            self.results.lock().unwrap_or_else(PoisonError::into_inner).push((task_idx, result));
        }
    }

    fn ask_for_reader<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        let more = |n: usize| (n < MAX_READERS).then_some(n + 1);
        if self.n_readers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok() {
            scope.spawn(|| self.work(scope));
        }
    }

    fn of_task(&self, task: &Task, slot: &mut Slot, on_waiting: &dyn Fn()) -> Result<T, Error> {
        let mut total = T::default();
        let mut spent = Spent::default();
        for (n_done, chunk) in task.chunks.clone().enumerate() {
            if n_done % CHUNKS_PER_LOOK == 0 {
                if spent.reading > spent.summing * WAITS_PER_SUM {
                    on_waiting();
                }
                spent = Spent::default();
            }
            let start = Instant::now();
            let n_bytes = slot.fill(&self.walks[task.walk_idx], task, chunk, self.meter)?;
            let filled = Instant::now();
            (self.reduce)(&mut total, task.walk_idx, slot.sides());
            spent.reading += filled - start;
            spent.summing += filled.elapsed();
            self.done.add(n_bytes);
        }
        Ok(total)
    }
}
