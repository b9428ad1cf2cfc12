//! Compares the pairs of a manifest, several at a time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::resume::Resume;
use crate::cli::args::Evaluate;
use crate::cli::backend::Chosen;
use crate::cli::compare::on_either;
use crate::cli::models::Models;
use crate::cli::panics;
use crate::cli::progress::Count;
use crate::cli::screen::Screen;
use crate::compare::{Options, Relatives};
use crate::evaluate::{LabelledPair, Outcome, Row, RowFault};
use crate::kernels::Backend;
use crate::report::wire::Failure;

/// A row per pair, in the order of the manifest.
pub(super) fn rows(
    pairs: &[LabelledPair],
    args: &Evaluate,
    chosen: &Chosen,
    resume: &Resume,
    screen: &Screen,
) -> Result<Vec<Row>, Box<Failure>> {
    let open: Vec<&LabelledPair> = pairs.iter().filter(|pair| resume.outcome(pair).is_none()).collect();
    let folder = args.manifest.parent().unwrap_or_else(|| std::path::Path::new(""));
    let references = open.iter().flat_map(|pair| [pair.left.as_str(), pair.right.as_str()]);
    let models = Models::new(references, folder, args.reading.limits());
    let options =
        Options { effort: args.effort.into(), seed: args.seed, prior: args.prior, only: None, digest: false };
    let next = AtomicUsize::new(0);
    let count = Count::new(screen, "pairs", pairs.len());
    // the first failure to keep a line ends the run: a resume file that lies is worse than none
    let broken: Mutex<Option<Box<Failure>>> = Mutex::new(None);
    let found: Mutex<Vec<Option<Row>>> = Mutex::new(vec![None; pairs.len()]);
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(pair) = pairs.get(at) else { break };
            let known = resume.outcome(pair);
            let is_new = known.is_none();
            let outcome = match known {
                Some(outcome) => Ok(outcome),
                None => compared(pair, &models, chosen, &options),
            };
            let row =
                Row { pair: pair.clone(), outcome: outcome.map_err(|failure| fault(&failure, pair, screen)) };
            if is_new && let Err(failure) = resume.keep(&row) {
                if let Ok(mut broken) = broken.lock() {
                    broken.get_or_insert(failure);
                }
                break;
            }
            count.advance();
            if let Ok(mut found) = found.lock() {
                found[at] = Some(row);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..n_jobs(args, chosen) {
            scope.spawn(work);
        }
        work();
    });
    if let Some(failure) = broken.into_inner().ok().flatten() {
        return Err(failure);
    }
    Ok(found.into_inner().unwrap_or_default().into_iter().flatten().collect())
}

/// A GPU works on one pair at a time.
fn n_jobs(args: &Evaluate, chosen: &Chosen) -> usize {
    match (&chosen.backend, args.jobs) {
        (Backend::Gpu(_), _) => 1,
        (Backend::Cpu(_), Some(n)) => usize::from(n),
        (Backend::Cpu(_), None) => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

/// A panic is a failure of this pair alone.
fn compared(
    pair: &LabelledPair,
    models: &Models,
    chosen: &Chosen,
    options: &Options,
) -> Result<Outcome, Box<Failure>> {
    let outcome = panics::caught(|| {
        let (left, right) = (models.get(&pair.left)?, models.get(&pair.right)?);
        let comparison = on_either((&left, &right), &Relatives::default(), options, chosen, &|_| {})?;
        Outcome::of(&comparison).ok_or_else(|| crate::cli::failure::usage("no verdict".to_owned()))
    });
    models.release(&pair.left);
    models.release(&pair.right);
    outcome
}

fn fault(failure: &Failure, pair: &LabelledPair, screen: &Screen) -> RowFault {
    let names = [&pair.left, &pair.right].map(|name| crate::report::escape::name(name));
    let message = format!("{} ~ {}: {}", names[0], names[1], failure.message);
    screen.complain(&Failure { message: message.clone(), ..failure.clone() });
    RowFault { code: failure.code.clone(), exit_code: failure.exit_code, message }
}
