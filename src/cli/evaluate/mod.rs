//! `cognate evaluate`: labelled pairs, compared and counted (docs/evaluate.md).

mod attacks;
mod fit;
mod methods;
mod null;
mod resume;
mod run;

use std::path::Path;

use super::args::{Evaluate, EvaluateFormat, Methods};
use super::backend;
use super::output::Sink;
use super::screen::Screen;
use super::text_file::{self, MAX_LIST_BYTES};
use super::{exit, failure};
use crate::compare::METHOD_VERSION;
use crate::evaluate::{self, LineFault, Listing, Row, Spelling, Summary};
use crate::evidence::LikelihoodMap;
use crate::report::wire::{EvaluatedPair, Evaluation, EvaluationTool, Failure};
use crate::report::{html, json, markdown, terminal, words};
use resume::Resume;

/// How the report spells its words.
const SPELLING: Spelling = Spelling {
    weights: words::weights_word,
    direction: words::direction_word,
    architecture: words::architecture_word,
};

/// Runs the verb.
pub(super) fn run(args: &Evaluate, screen: &Screen) -> Result<u8, Box<Failure>> {
    if !args.attacks.is_empty() {
        return attacks::run(args, screen);
    }
    let mut sink = Sink::open(args.output.as_deref(), &[args.manifest()])?;
    let page = match &args.html {
        Some(path) => Some(Sink::open(Some(path), &[args.manifest()])?),
        None => None,
    };
    let listing = read(args)?;
    if let Some(folder) = &args.fit {
        fit::make_folder(folder)?;
    }
    let chosen = backend::open(&args.backend)?;
    let run_id = format!(
        "{} {METHOD_VERSION} {} {} {} {}",
        env!("CARGO_PKG_VERSION"),
        LikelihoodMap::shipped().version,
        crate::compare::Effort::from(args.effort).name(),
        args.seed,
        args.prior
    );
    let mut codes: Vec<u8> = Vec::new();
    for fault in &listing.faults {
        let failure = bad_line(args.manifest(), fault);
        screen.complain(&failure);
        codes.push(failure.exit_code);
    }
    let resume = Resume::open(args.resume.as_deref(), args.manifest(), &run_id)?;
    let rows = run::rows(&listing.pairs, args, &chosen, &resume, screen)?;
    resume.close()?;
    codes.extend(rows.iter().map(|row| code_of(row, args)));
    let mut summary = evaluate::summary(&rows, &SPELLING);
    if args.methods == Methods::All {
        summary.methods = methods::lines(&rows, args, &chosen, screen)?;
    }
    if let Some(n) = args.null {
        summary.null_shuffled = null::rates(&listing.pairs, n, args, &chosen, screen)?;
    }
    let exit_code = exit::first_of(codes);
    if let Some(mut page) = page {
        let n_listed = rows.len() + listing.faults.len();
        page.write(&html::evaluation(&args.manifest().to_string_lossy(), n_listed, &summary, &rows))?;
        page.finish()?;
    }
    sink.write(&text(args, &summary, &rows, &listing, (&run_id, exit_code), screen))?;
    sink.finish()?;
    // last, so that rows that allow no fit are reported all the same
    if let Some(folder) = &args.fit {
        let (fitted, controls) = fit::write(folder, &rows, args)?;
        screen.tell(&terminal::fitted(&fitted, &controls, screen.error_style));
    }
    Ok(exit_code)
}

fn read(args: &Evaluate) -> Result<Listing, Box<Failure>> {
    let text = text_file::read(args.manifest(), MAX_LIST_BYTES).map_err(|error| {
        Box::new(Failure {
            code: "MANIFEST".to_owned(),
            exit_code: exit::INPUT,
            message: format!("cannot read '{}': {error}", failure::shown_path(args.manifest())),
            hint: Some("a JSON object per line: a labelled pair, or a model with its family".to_owned()),
            ..Failure::default()
        })
    })?;
    let listing = evaluate::read(&text, args.split_seed, args.independent);
    if listing.pairs.is_empty() && listing.faults.is_empty() {
        return Err(failure::usage("the manifest holds no pair".to_owned()));
    }
    Ok(listing)
}

fn bad_line(path: &Path, fault: &LineFault) -> Box<Failure> {
    let says = crate::report::escape::sentence(&fault.says);
    Box::new(Failure {
        code: "MANIFEST-LINE".to_owned(),
        file: Some(failure::shown_path(path)),
        hint: Some(
            "the line is left out, the rest goes on; docs/evaluate.md describes the manifest".to_owned(),
        ),
        ..*failure::usage(format!("line {}: {says}", fault.line))
    })
}

/// A pair with tensors that could not be read as numbers counts as incomplete, as in `compare`.
fn code_of(row: &Row, args: &Evaluate) -> u8 {
    match &row.outcome {
        Ok(outcome) if outcome.n_skipped > 0 && !args.allow_partial => exit::PARTIAL,
        Ok(_) => exit::OK,
        Err(fault) => fault.exit_code,
    }
}

fn text(
    args: &Evaluate,
    summary: &Summary,
    rows: &[Row],
    listing: &Listing,
    (run_id, exit_code): (&str, u8),
    screen: &Screen,
) -> String {
    let manifest = args.manifest().to_string_lossy();
    let n_listed = rows.len() + listing.faults.len();
    match args.format {
        EvaluateFormat::Table => terminal::evaluation(&manifest, n_listed, summary, screen.style),
        EvaluateFormat::Markdown => markdown::evaluation(&manifest, n_listed, summary),
        EvaluateFormat::Json => {
            let rows = rows.iter().map(|row| EvaluatedPair::new(row, run_id)).collect();
            let faults = listing.faults.iter().map(|fault| (fault.line, fault.says.as_str())).collect();
            let tool = EvaluationTool {
                version: env!("CARGO_PKG_VERSION"),
                method_version: METHOD_VERSION,
                map_version: &LikelihoodMap::shipped().version,
                seed: args.seed,
                effort: crate::compare::Effort::from(args.effort).name(),
                prior: args.prior,
            };
            json::document(&Evaluation::new(&manifest, summary, faults, rows, tool, exit_code))
        }
    }
}
