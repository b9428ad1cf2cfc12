//! `cognate matrix`: every pair of some models.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use super::args::{Matrix as Args, MatrixFormat};
use super::complaints::Complaints;
use super::many::Many;
use super::output::Sink;
use super::screen::Screen;
use super::{backend, exit, failure, panics};
use crate::checkpoint::{self, Checkpoint, Limits};
use crate::compare::{self, Effort, METHOD_VERSION, Options, SpectralProfile};
use crate::evidence::LikelihoodMap;
use crate::matrix::{Cell, Entry, Matrix, nearest, tree};
use crate::report::wire::{self, EvaluationTool, Failure};
use crate::report::{csv, escape, json, newick, terminal};

/// Runs the verb.
pub(super) fn run(args: &Args, screen: &Screen) -> Result<u8, Box<Failure>> {
    let models = models(&args.models, &args.reading.limits())?;
    let inputs: Vec<&Path> = models.iter().map(Path::new).collect();
    let mut sink = Sink::open(args.output.as_deref(), &inputs)?;
    let chosen = backend::open(&args.backend)?;
    let started = Instant::now();
    let many = Many {
        folder: Path::new(""),
        limits: args.reading.limits(),
        chosen: &chosen,
        options: Options {
            effort: args.effort.into(),
            seed: args.seed,
            prior: args.prior,
            only: None,
            digest: false,
        },
        n_jobs: args.jobs,
    };
    let n_nearest = args.nearest.map(usize::from);
    let mut places: Vec<(usize, usize)> = Matrix::pairs(models.len()).collect();
    if let Some(n_nearest) = n_nearest {
        let chosen = nearest(&profiles(&many, &models, args.seed, screen)?, n_nearest);
        places.retain(|pair| chosen.contains(pair));
    }
    let pairs: Vec<(&str, &str)> =
        places.iter().map(|(a, b)| (models[*a].as_str(), models[*b].as_str())).collect();
    let found: Mutex<Vec<(Entry, u8)>> = Mutex::new(vec![(Entry::Failed, exit::OK); pairs.len()]);
    let complaints = Complaints::new(screen);
    many.compare(&pairs, screen, &|at, compared| {
        let cell = match compared {
            Ok(comparison) => {
                let skipped = comparison.not_tested.iter().any(|t| t.why == crate::compare::Why::Skipped);
                let code = if skipped && !args.allow_partial { exit::PARTIAL } else { exit::OK };
                (Cell::of(&comparison).map_or(Entry::Failed, Entry::Compared), code)
            }
            Err(failure) => {
                let (left, right) = (escape::name(pairs[at].0), escape::name(pairs[at].1));
                let message = format!("{left} ~ {right}: {}", failure.message);
                // a line a pair: what is wrong with a model, and where, is said in full by `inspect`
                let code = failure.code.clone();
                complaints.add(&Failure { code, message, ..Failure::default() });
                (Entry::Failed, failure.exit_code)
            }
        };
        if let Ok(mut found) = found.lock() {
            found[at] = cell;
        }
        Ok(())
    })?;
    complaints.finish();
    let (found, codes): (Vec<Entry>, Vec<u8>) = found.into_inner().unwrap_or_default().into_iter().unzip();
    let exit_code = exit::first_of(codes);
    let found: BTreeMap<(usize, usize), Entry> = places.into_iter().zip(found).collect();
    let entry = |pair| found.get(&pair).copied().unwrap_or(Entry::LeftOut);
    let entries = Matrix::pairs(models.len()).map(entry).collect();
    let matrix = Matrix { models, entries, n_nearest };
    sink.write(&text(args, &matrix, started.elapsed().as_secs_f64(), exit_code, screen))?;
    sink.finish()?;
    Ok(exit_code)
}

/// Spectral profiles; None of a model that cannot be read, which the comparisons will say.
fn profiles(
    many: &Many<'_>,
    models: &[String],
    seed: u64,
    screen: &Screen,
) -> Result<Vec<Option<SpectralProfile>>, Box<Failure>> {
    let found = Mutex::new(vec![None; models.len()]);
    let with_itself: Vec<(&str, &str)> =
        models.iter().map(|model| (model.as_str(), model.as_str())).collect();
    many.each(&with_itself, "models", screen, &|at, opened| {
        let profile = |model: &Checkpoint| {
            panics::caught(|| compare::profile(model, seed).map_err(|error| failure::of_compare(&error)))
        };
        let of_model = opened.and_then(|(model, _)| profile(&model));
        let of_model = of_model.ok().filter(|profile| !profile.is_empty());
        if let Ok(mut found) = found.lock() {
            found[at] = of_model;
        }
        Ok(())
    })?;
    Ok(found.into_inner().unwrap_or_default())
}

fn text(args: &Args, matrix: &Matrix, seconds: f64, exit_code: u8, screen: &Screen) -> String {
    let tree = newick::tree(matrix, tree(matrix).as_ref());
    match args.format {
        MatrixFormat::Table => terminal::matrix(matrix, seconds, screen.style),
        MatrixFormat::Csv => csv::matrix(matrix),
        MatrixFormat::Newick => tree,
        MatrixFormat::Json => {
            let tool = EvaluationTool {
                version: env!("CARGO_PKG_VERSION"),
                method_version: METHOD_VERSION,
                map_version: &LikelihoodMap::shipped().version,
                seed: args.seed,
                effort: Effort::from(args.effort).name(),
                prior: args.prior,
            };
            json::document(&wire::Matrix::new(matrix, &tree, seconds, tool, exit_code))
        }
    }
}

/// The models named, or those in the folder named, in the order of their names: its subfolders, and files of weights where the folder
/// is not itself one model.
fn models(named: &[String], limits: &Limits) -> Result<Vec<String>, Box<Failure>> {
    let models = match named {
        [folder] if Path::new(folder).is_dir() => in_folder(folder, limits)?,
        _ => named.to_vec(),
    };
    if models.len() < 2 {
        return Err(failure::usage(
            "at least two models are needed, or a folder with a subfolder or a file of weights for each"
                .to_owned(),
        ));
    }
    for (at, model) in models.iter().enumerate() {
        if models[..at].contains(model) {
            return Err(failure::usage(format!("'{}' is named twice", escape::name(model))));
        }
    }
    Ok(models)
}

fn in_folder(folder: &str, limits: &Limits) -> Result<Vec<String>, Box<Failure>> {
    let files = checkpoint::loose_models(folder, limits).map_err(|error| failure::of_checkpoint(&error))?;
    let files = files.into_iter().map(|name| Path::new(folder).join(name)).filter(|path| path.is_file());
    let mut paths: Vec<PathBuf> = subfolders(Path::new(folder))?.into_iter().chain(files).collect();
    paths.sort();
    Ok(paths.into_iter().map(|path| path.to_string_lossy().into_owned()).collect())
}

/// Folders in a folder but hidden ones.
fn subfolders(folder: &Path) -> Result<Vec<PathBuf>, Box<Failure>> {
    let unreadable = |error: std::io::Error| {
        Box::new(Failure {
            code: "FOLDER".to_owned(),
            exit_code: exit::INPUT,
            message: format!("cannot list '{}': {error}", failure::shown_path(folder)),
            ..Failure::default()
        })
    };
    let entries = std::fs::read_dir(folder).map_err(unreadable)?;
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.is_dir() && !is_hidden {
            paths.push(path);
        }
    }
    Ok(paths)
}
