//! `--fit DIR`: the likelihood map and the controls as data files.

use std::path::Path;

use crate::cli::args::Evaluate;
use crate::cli::output::Sink;
use crate::cli::{exit, failure};
use crate::evaluate::{self, Controls, Fitted, Row};
use crate::report::json;
use crate::report::wire::{Failure, FittedMap, MeasuredControls};
use crate::wording::counted;

/// Makes the folder: whoever waits for a thousand pairs wants to know before that it cannot be written.
pub(super) fn make_folder(folder: &Path) -> Result<(), Box<Failure>> {
    std::fs::create_dir_all(folder).map_err(|error| {
        Box::new(Failure {
            code: "OUTPUT".to_owned(),
            exit_code: exit::INPUT,
            message: format!("cannot make '{}': {error}", failure::shown_path(folder)),
            ..Failure::default()
        })
    })
}

/// Fits and writes `likelihood.json` and `controls.json`, each whole or not at all.
pub(super) fn write(
    folder: &Path,
    rows: &[Row],
    args: &Evaluate,
) -> Result<(Fitted, Controls), Box<Failure>> {
    let version = &args.map_version;
    let fitted = evaluate::fit(rows, version)
        .map_err(|error| failure::usage(format!("no map can be fitted: {error}")))?;
    let controls = evaluate::controls(rows);
    let made_by = format!(
        "cognate {} evaluate {} --fit, effort {}, seed {}, split seed {}, {} between families at most",
        env!("CARGO_PKG_VERSION"),
        args.manifest().file_name().map_or_else(|| "MANIFEST".into(), |name| name.to_string_lossy()),
        crate::compare::Effort::from(args.effort).name(),
        args.seed,
        args.split_seed,
        counted(args.independent, "pair", "pairs")
    );
    for (name, text) in [
        ("likelihood.json", json::document(&FittedMap::new(&fitted, &made_by))),
        ("controls.json", json::document(&MeasuredControls::new(&controls, version, &made_by))),
    ] {
        let mut sink = Sink::open(Some(&folder.join(name)), &[args.manifest()])?;
        sink.write(&text)?;
        sink.finish()?;
    }
    Ok((fitted, controls))
}
