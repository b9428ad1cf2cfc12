//! Compares the pairs of a manifest.

use std::path::Path;
use std::sync::Mutex;

use super::resume::Resume;
use crate::cli::args::Evaluate;
use crate::cli::backend::Chosen;
use crate::cli::complaints::Complaints;
use crate::cli::failure;
use crate::cli::many::Many;
use crate::cli::screen::Screen;
use crate::compare::Options;
use crate::evaluate::{LabelledPair, Outcome, Row, RowFault};
use crate::report::escape;
use crate::report::wire::Failure;

/// How pairs of the manifest are compared.
pub(super) fn many<'a>(args: &'a Evaluate, chosen: &'a Chosen) -> Many<'a> {
    Many {
        folder: args.manifest().parent().unwrap_or_else(|| Path::new("")),
        limits: args.reading.limits(),
        chosen,
        options: Options {
            effort: args.effort.into(),
            seed: args.seed,
            prior: args.prior,
            only: None,
            digest: false,
        },
        n_jobs: args.jobs,
    }
}

/// A row per pair, in the order of the manifest.
pub(super) fn rows(
    pairs: &[LabelledPair],
    args: &Evaluate,
    chosen: &Chosen,
    resume: &Resume,
    screen: &Screen,
) -> Result<Vec<Row>, Box<Failure>> {
    let known = |pair: &LabelledPair| {
        resume.outcome(pair).map(|outcome| Row { pair: pair.clone(), outcome: Ok(outcome) })
    };
    let rows: Vec<Option<Row>> = pairs.iter().map(known).collect();
    let open: Vec<usize> = (0..pairs.len()).filter(|at| rows[*at].is_none()).collect();
    let rows = Mutex::new(rows);
    let references: Vec<(&str, &str)> =
        open.iter().map(|at| (pairs[*at].left.as_str(), pairs[*at].right.as_str())).collect();
    let complaints = Complaints::new(screen);
    many(args, chosen).compare(&references, screen, &|at, compared| {
        let pair = &pairs[open[at]];
        let outcome = compared.and_then(|comparison| {
            Outcome::of(&comparison).ok_or_else(|| failure::usage("no verdict".to_owned()))
        });
        let row = Row {
            pair: pair.clone(),
            outcome: outcome.map_err(|failure| fault(&failure, pair, &complaints)),
        };
        resume.keep(&row)?;
        if let Ok(mut rows) = rows.lock() {
            rows[open[at]] = Some(row);
        }
        Ok(())
    })?;
    complaints.finish();
    Ok(rows.into_inner().unwrap_or_default().into_iter().flatten().collect())
}

fn fault(failure: &Failure, pair: &LabelledPair, complaints: &Complaints<'_>) -> RowFault {
    let names = [&pair.left, &pair.right].map(|name| escape::name(name));
    let message = format!("{} ~ {}: {}", names[0], names[1], failure.message);
    complaints.add(&Failure { message: message.clone(), ..failure.clone() });
    RowFault { code: failure.code.clone(), exit_code: failure.exit_code, message }
}
