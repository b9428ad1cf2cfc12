//! Makes the transformed models and compares them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::matrix::{Case, Kind, Matrix, NotApplied, Outcome};
use crate::checkpoint::{self, Checkpoint, Limits};
use crate::compare::{Comparison, Options, WeightsVerdict, compare};
use crate::kernels::Backend;
use crate::numerics::Rng;
use crate::transforms::{self, Model, VARIANTS, Variant};

/// Models of more elements are worked on one after the other, so that memory holds one of them in f64 at a time.
const MAX_PARALLEL_ELEMENTS: u64 = 16 << 20;

/// What to do.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Seeds of each transform, from 0 on.
    pub n_seeds: u64,
    /// Only variants with one of these codes or names; all if empty.
    pub only: Vec<String>,
    /// Where transformed models stay; nowhere if None.
    pub keep: Option<PathBuf>,
    /// Choices of each comparison.
    pub options: Options,
    /// Limits of reading.
    pub limits: Limits,
}

impl Settings {
    /// Transformed models of a run on `n_models`, those that turn out not to apply among them.
    #[must_use]
    pub fn n_transformed(&self, n_models: usize) -> usize {
        self.variants().count() * n_models * usize::try_from(self.n_seeds).unwrap_or(usize::MAX)
    }

    fn variants(&self) -> impl Iterator<Item = usize> {
        let is_chosen = |variant: &Variant| self.only.iter().any(|word| variant.is_called(word));
        (0..VARIANTS.len()).filter(move |&at| self.only.is_empty() || is_chosen(&VARIANTS[at]))
    }
}

/// Failure of the whole run. A comparison that fails is a case.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A model given cannot be opened.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// A model cannot be transformed in memory, or written.
    #[error(transparent)]
    Transforms(#[from] transforms::Error),
    /// No place for transformed models.
    #[error("no temporary folder: {0}")]
    Folder(#[from] std::io::Error),
}

/// A model given, as file and in memory.
struct Given {
    checkpoint: Checkpoint,
    model: Model,
}

/// One transformed model to be made.
struct Job {
    variant: usize,
    model: usize,
    seed: u64,
}

/// What became of a job: its cases, or why it does not apply.
type Done = Result<Vec<Case>, NotApplied>;

/// Runs the whole matrix; `progress` is called after each transformed model.
///
/// # Errors
/// A model cannot be opened or held in memory, or a folder cannot be written.
pub fn run(
    backend: &Backend,
    references: &[String],
    settings: &Settings,
    progress: &(dyn Fn() + Sync),
) -> Result<Matrix, Error> {
    let temporary = tempfile::tempdir()?;
    let root = settings.keep.as_deref().unwrap_or(temporary.path());
    let mut given = Vec::new();
    for reference in references {
        let checkpoint = checkpoint::open(reference, &settings.limits)?;
        let model = transforms::read(&checkpoint)?;
        given.push(Given { checkpoint, model });
    }
    let n_given = given.len();
    if let ([only], true) = (given.as_slice(), n_given == 1) {
        // nobody else is there who could be accused falsely
        let drawn = transforms::draw_like(&only.model, &mut Rng::new(&[0x5747_4e44]));
        let folder = temporary.path().join("drawn");
        transforms::write(&drawn, &folder)?;
        let checkpoint = Checkpoint { reference: drawn.name.clone(), ..opened(&folder, settings)? };
        given.push(Given { checkpoint, model: drawn });
    }
    let before = untouched(backend, &given, settings);
    let outcome_before = |a: usize, b: usize| before.get(&(a.min(b), a.max(b))).copied();

    let jobs: Vec<Job> = settings
        .variants()
        .flat_map(|variant| (0..n_given).map(move |model| (variant, model)))
        .flat_map(|(variant, model)| (0..settings.n_seeds).map(move |seed| Job { variant, model, seed }))
        .collect();
    let work = |job: &Job| {
        let strangers: Vec<(&Given, Outcome)> = (0..given.len())
            .filter(|&at| at != job.model)
            .filter_map(|at| Some((&given[at], outcome_before(at, job.model)?)))
            .filter(|(_, outcome)| *outcome != Outcome::Flipped)
            .collect();
        let done = one(backend, job, &given[job.model], &strangers, root, settings);
        progress();
        done
    };
    let is_small = |given: &Given| {
        given.checkpoint.tensors.iter().map(checkpoint::TensorEntry::n_elements).sum::<u64>()
            <= MAX_PARALLEL_ELEMENTS
    };
    let in_parallel = matches!(backend, Backend::Cpu(_)) && given.iter().all(is_small);
    let n_workers = if in_parallel { rayon::current_num_threads() } else { 1 };
    let done = in_order(&jobs, n_workers, &work)?;

    let (mut cases, mut not_applied) = (Vec::new(), Vec::new());
    for outcome in done {
        match outcome {
            Ok(found) => cases.extend(found),
            Err(reason) if !not_applied.contains(&reason) => not_applied.push(reason),
            Err(_) => {}
        }
    }
    let name = |at: usize| given[at].checkpoint.reference.clone();
    Ok(Matrix {
        models: references.to_vec(),
        n_seeds: settings.n_seeds,
        cases,
        not_applied,
        related_before: before
            .iter()
            .filter(|(_, outcome)| **outcome == Outcome::Flipped)
            .map(|(&(a, b), _)| (name(a), name(b)))
            .collect(),
    })
}

/// Results in the order of the jobs, or the first error. Threads of their own: a job that waits inside a pool would begin
/// another one on its own stack, and so on.
fn in_order(
    jobs: &[Job],
    n_workers: usize,
    work: &(dyn Fn(&Job) -> Result<Done, Error> + Sync),
) -> Result<Vec<Done>, Error> {
    let next = AtomicUsize::new(0);
    let found: Mutex<BTreeMap<usize, Result<Done, Error>>> = Mutex::new(BTreeMap::new());
    let run = || {
        while let Some((at, job)) = {
            let at = next.fetch_add(1, Ordering::Relaxed);
            jobs.get(at).map(|job| (at, job))
        } {
            let done = work(job);
            if done.is_err() {
                // nobody begins another one
                next.store(jobs.len(), Ordering::Relaxed);
            }
            if let Ok(mut found) = found.lock() {
                found.insert(at, done);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..n_workers.min(jobs.len()) {
            scope.spawn(run);
        }
        run();
    });
    found.into_inner().unwrap_or_default().into_values().collect()
}

/// What is said of the given models as they are, by pair.
fn untouched(backend: &Backend, given: &[Given], settings: &Settings) -> BTreeMap<(usize, usize), Outcome> {
    let pairs = (0..given.len()).flat_map(|a| (a + 1..given.len()).map(move |b| (a, b)));
    let outcome = |(a, b): (usize, usize)| {
        let found = compared(backend, &given[a].checkpoint, &given[b].checkpoint, settings);
        ((a, b), Outcome::of(Kind::Unrelated, verdict(&found)))
    };
    pairs.map(outcome).collect()
}

/// Makes one transformed model and compares it with its origin, with partners, and with strangers.
fn one(
    backend: &Backend,
    job: &Job,
    origin: &Given,
    strangers: &[(&Given, Outcome)],
    root: &Path,
    settings: &Settings,
) -> Result<Done, Error> {
    let variant = &VARIANTS[job.variant];
    let partners: Vec<&Model> = strangers.iter().map(|(other, _)| &other.model).collect();
    let made = match transforms::apply(variant, &origin.model, &partners, job.seed) {
        Ok(made) => made,
        Err(transforms::NotApplicable(reason)) => {
            let model = origin.checkpoint.reference.clone();
            return Ok(Err(NotApplied { variant: job.variant, model, reason }));
        }
    };
    let folder = root.join(folder_name(&origin.checkpoint.reference, variant, job));
    transforms::write(&made.model, &folder)?;
    drop(made.model);
    let result = opened(&folder, settings).map(|transformed| {
        let against = |other: &Given, kind: Kind| {
            let found = compared(backend, &other.checkpoint, &transformed, settings);
            let names = (origin.checkpoint.reference.as_str(), other.checkpoint.reference.as_str());
            case(job, names, kind, &made.relations, &found)
        };
        let others = strangers.iter().map(|(other, before)| {
            if made.partners.contains(&other.model.name) {
                return against(other, Kind::Related);
            }
            let mut case = against(other, Kind::Unrelated);
            if (case.outcome, *before) == (Outcome::Inconclusive, Outcome::Inconclusive) {
                case.outcome = Outcome::UndecidedBefore;
            }
            case
        });
        std::iter::once(against(origin, Kind::Related)).chain(others).collect()
    });
    if settings.keep.is_none() {
        // the temporary folder goes as a whole in the end; this only keeps it small
        let _ = transforms::remove(&folder);
    }
    Ok(Ok(result?))
}

fn opened(folder: &Path, settings: &Settings) -> Result<Checkpoint, checkpoint::Error> {
    checkpoint::open(&folder.to_string_lossy(), &settings.limits)
}

/// `base--t1-mlp-units-permuted--seed-0`.
fn folder_name(reference: &str, variant: &Variant, job: &Job) -> String {
    let last = reference.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or("model");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let last: String = last.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    format!("{}-{last}--{}-{}--seed-{}", job.model, variant.code.to_lowercase(), variant.name, job.seed)
}

fn compared(
    backend: &Backend,
    left: &Checkpoint,
    right: &Checkpoint,
    settings: &Settings,
) -> Result<Comparison, String> {
    compare(backend, left, right, &settings.options, &|_| {}).map_err(|error| error.to_string())
}

fn verdict(found: &Result<Comparison, String>) -> Option<WeightsVerdict> {
    found.as_ref().ok().and_then(|found| found.weights.verdict)
}

fn case(
    job: &Job,
    (model, other): (&str, &str),
    kind: Kind,
    wanted: &[&'static str],
    found: &Result<Comparison, String>,
) -> Case {
    let (decided_by, reasons, relations) = match found {
        Ok(found) => {
            let kinds = found.weights.relations.iter().map(|relation| relation.kind.to_string());
            (found.weights.decided_by.clone(), found.weights.reasons.clone(), kinds.collect())
        }
        Err(error) => (Vec::new(), vec![error.clone()], Vec::new()),
    };
    let verdict = verdict(found);
    Case {
        variant: job.variant,
        model: model.to_owned(),
        seed: job.seed,
        other: other.to_owned(),
        kind,
        verdict,
        decided_by,
        reasons,
        wanted: wanted.to_vec(),
        relations,
        outcome: Outcome::of(kind, verdict),
    }
}
