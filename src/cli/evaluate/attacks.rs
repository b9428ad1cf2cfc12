//! `cognate evaluate --attacks`: models in eighteen disguises (docs/attacks.md).

use std::path::Path;

use crate::attacks::{self, Matrix, Outcome, Settings};
use crate::cli::args::{Evaluate, EvaluateFormat};
use crate::cli::output::Sink;
use crate::cli::progress::Count;
use crate::cli::screen::Screen;
use crate::cli::{backend, exit, failure};
use crate::compare::Options;
use crate::report::wire::{self, Failure};
use crate::report::{json, markdown, terminal};
use crate::transforms::VARIANTS;

/// Runs the mode. Exit code 1 where a verdict flipped.
pub(super) fn run(args: &Evaluate, screen: &Screen) -> Result<u8, Box<Failure>> {
    let inputs: Vec<&Path> = args.attacks.iter().map(Path::new).collect();
    let mut sink = Sink::open(args.output.as_deref(), &inputs)?;
    for word in &args.transforms {
        if !VARIANTS.iter().any(|variant| variant.is_called(word)) {
            return Err(failure::usage(format!(
                "no transform is called '{}'",
                crate::report::escape::name(word)
            )));
        }
    }
    if let Some(keep) = &args.keep
        && inputs.iter().any(|input| keep.starts_with(input))
    {
        return Err(failure::usage("--keep names a folder inside a model that is read".to_owned()));
    }
    let chosen = backend::open(&args.backend)?;
    let settings = Settings {
        n_seeds: args.seeds,
        only: args.transforms.clone(),
        keep: args.keep.clone(),
        options: Options {
            effort: args.effort.into(),
            seed: args.seed,
            prior: args.prior,
            only: None,
            digest: false,
        },
        limits: args.reading.limits(),
    };
    let count = Count::new(screen, "transforms", settings.n_transformed(args.attacks.len()));
    let matrix = attacks::run(&chosen.backend, &args.attacks, &settings, &|| count.advance())
        .map_err(|error| of_attacks(&error))?;
    drop(count);
    let exit_code = code_of(&matrix);
    sink.write(&match args.format {
        EvaluateFormat::Table => terminal::attacks(&matrix),
        EvaluateFormat::Markdown => markdown::attacks(&matrix),
        EvaluateFormat::Json => json::document(&wire::Attacks::new(&matrix, exit_code)),
    })?;
    sink.finish()?;
    Ok(exit_code)
}

fn code_of(matrix: &Matrix) -> u8 {
    let has_flipped = matrix.failures().any(|case| case.outcome == Outcome::Flipped);
    if has_flipped { exit::GATE } else { exit::OK }
}

fn of_attacks(error: &attacks::Error) -> Box<Failure> {
    match error {
        attacks::Error::Checkpoint(error) => failure::of_checkpoint(error),
        error => Box::new(Failure {
            code: "ATTACKS".to_owned(),
            exit_code: exit::INPUT,
            message: error.to_string(),
            hint: Some(
                "models are transformed in memory and written to --keep, or to a temporary folder".to_owned(),
            ),
            ..Failure::default()
        }),
    }
}
