//! Many pairs of the same models, several at a time: each model opened once, a failure is a failure of its pair alone.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::backend::Chosen;
use super::compare::on_either;
use super::models::Models;
use super::panics;
use super::progress::Count;
use super::screen::Screen;
use crate::checkpoint::{Checkpoint, Limits};
use crate::compare::{Comparison, Options};
use crate::kernels::Backend;
use crate::report::wire::Failure;

/// What came of a step.
type Outcome<T> = Result<T, Box<Failure>>;

/// How the pairs are compared.
pub(super) struct Many<'a> {
    /// References are looked for here first.
    pub(super) folder: &'a Path,
    /// Ceilings.
    pub(super) limits: Limits,
    /// Where to compute.
    pub(super) chosen: &'a Chosen,
    /// What to compute.
    pub(super) options: Options,
    /// Pairs at a time on the CPU; all cores if None.
    pub(super) n_jobs: Option<u16>,
}

impl Many<'_> {
    /// Compares every pair and hands each result to `done` as it ends, from several threads, in any order.
    ///
    /// # Errors
    /// The first error of `done`; pairs that were not begun are left out then.
    pub(super) fn compare(
        &self,
        pairs: &[(&str, &str)],
        screen: &Screen,
        done: &(dyn Fn(usize, Outcome<Comparison>) -> Outcome<()> + Sync),
    ) -> Result<(), Box<Failure>> {
        self.each(pairs, "pairs", screen, &|at, models| {
            let compared = models.and_then(|(left, right)| {
                panics::caught(|| on_either(&left, &right, &self.options, self.chosen, &|_| {}))
            });
            done(at, compared)
        })
    }

    /// Hands the opened models of every pair to `work`, from several threads, in any order. `counted`: what the progress bar counts.
    ///
    /// # Errors
    /// The first error of `work`; pairs that were not begun are left out then.
    pub(super) fn each(
        &self,
        pairs: &[(&str, &str)],
        counted: &'static str,
        screen: &Screen,
        work: &(dyn Fn(usize, Outcome<Opened>) -> Outcome<()> + Sync),
    ) -> Result<(), Box<Failure>> {
        let references = pairs.iter().flat_map(|(left, right)| [*left, *right]);
        let models = Models::new(references, self.folder, self.limits);
        let count = Count::new(screen, counted, pairs.len());
        let (next, is_broken) = (AtomicUsize::new(0), AtomicBool::new(false));
        let first_error: Mutex<Option<Box<Failure>>> = Mutex::new(None);
        let run = || {
            while !is_broken.load(Ordering::Relaxed) {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some((left, right)) = pairs.get(at) else { break };
                let opened = models.get(left).and_then(|left| Ok((left, models.get(right)?)));
                let outcome = panics::caught(|| work(at, opened));
                models.release(left);
                models.release(right);
                count.advance();
                if let Err(failure) = outcome {
                    is_broken.store(true, Ordering::Relaxed);
                    if let Ok(mut first) = first_error.lock() {
                        first.get_or_insert(failure);
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.n_jobs() {
                scope.spawn(run);
            }
            run();
        });
        first_error.into_inner().ok().flatten().map_or(Ok(()), Err)
    }

    /// A GPU works on one pair at a time.
    fn n_jobs(&self) -> usize {
        match (&self.chosen.backend, self.n_jobs) {
            (Backend::Gpu(_), _) => 1,
            (Backend::Cpu(_), Some(n)) => usize::from(n),
            (Backend::Cpu(_), None) => std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// Both models of a pair.
pub(super) type Opened = (std::sync::Arc<Checkpoint>, std::sync::Arc<Checkpoint>);
