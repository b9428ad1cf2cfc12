//! `cognate compare`: one pair, or a file of pairs.

use std::path::Path;

use super::args::{Compare, Format};
use super::backend::{self, Chosen};
use super::output::Sink;
use super::progress::Bar;
use super::screen::Screen;
use super::{failure, gate, pairs, panics};
use crate::checkpoint::{self, Checkpoint};
use crate::compare::{self, Comparison, LeftIs, Options, Relatives, Statistic};
use crate::report::wire::{self, COMPARE_VERSION, ErrorDocument, Failure};
use crate::report::{json, markdown, terminal};
use crate::roles;
use crate::stream;

/// A finished pair.
#[derive(Debug)]
pub(super) struct Done {
    /// The result.
    pub(super) comparison: Comparison,
    /// This pair's own code.
    pub(super) exit_code: u8,
    /// Why the code is not 0.
    pub(super) gate: Option<String>,
}

/// Runs the verb.
pub(super) fn run(args: &Compare, screen: &Screen) -> Result<u8, Box<Failure>> {
    let references = args.left.iter().chain(&args.right).chain(&args.parents).chain(&args.also);
    let references = references.chain(&args.reading.base);
    let inputs: Vec<&Path> = references.map(Path::new).chain(args.pairs.as_deref()).collect();
    let mut sink = Sink::open(args.output.as_deref(), &inputs)?;
    if let Some(list) = &args.pairs {
        let list = pairs::read(list)?;
        let chosen = backend::open(&args.backend)?;
        return pairs::run(&list, args, &chosen, screen, sink);
    }
    let (left, right, others) = match (&args.left, &args.right, args.parents.as_slice()) {
        (Some(left), Some(right), parents) => {
            (left, right, Others { parents, left_is: LeftIs::Base, also: args.also.as_deref() })
        }
        (Some(child), None, [first, parents @ ..]) if !parents.is_empty() => {
            (first, child, Others { parents, left_is: LeftIs::Parent, also: args.also.as_deref() })
        }
        _ => return Err(failure::usage("two models are needed: A and B, or A and two --parents".to_owned())),
    };
    let chosen = backend::open(&args.backend)?;
    let done = one((left, right), &others, args, &chosen, screen)?;
    sink.write(&text(&done, args.format.unwrap_or(Format::Table), &sink, screen))?;
    sink.finish()?;
    if let Some(gate) = &done.gate {
        screen.tell(&format!("exit code {}: {gate}\n", done.exit_code));
    }
    Ok(done.exit_code)
}

/// Models beside a pair.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Others<'a> {
    /// Parents of a merge.
    parents: &'a [String],
    /// What the left model is to them.
    left_is: LeftIs,
    /// A third model.
    also: Option<&'a str>,
}

/// Compares one pair; a panic is a failure of this pair alone.
pub(super) fn one(
    (left, right): (&str, &str),
    others: &Others<'_>,
    args: &Compare,
    chosen: &Chosen,
    screen: &Screen,
) -> Result<Done, Box<Failure>> {
    panics::caught(|| {
        let limits = args.reading.limits();
        let open = |reference: &str| {
            checkpoint::open_over(reference, args.reading.base.as_deref(), &limits, roles::counterparts)
                .map_err(|error| failure::of_checkpoint(&error))
        };
        let (left, right) = (open(left)?, open(right)?);
        let parents: Vec<Checkpoint> =
            others.parents.iter().map(|parent| open(parent)).collect::<Result<_, _>>()?;
        let also = others.also.map(open).transpose()?;
        let relatives =
            Relatives { parents: parents.iter().collect(), left: others.left_is, also: also.as_ref() };
        let comparison = measured((&left, &right), &relatives, args, chosen, screen)?;
        let (exit_code, gate) = gate::judge(args, &comparison);
        Ok(Done { comparison, exit_code, gate })
    })
}

/// The comparison under the user's choices, with a bar.
fn measured(
    models: (&Checkpoint, &Checkpoint),
    relatives: &Relatives<'_>,
    args: &Compare,
    chosen: &Chosen,
    screen: &Screen,
) -> Result<Comparison, Box<Failure>> {
    let options = Options {
        effort: args.effort.into(),
        seed: args.seed,
        prior: args.prior,
        only: (!args.only.is_empty()).then(|| args.only.iter().map(|word| Statistic::from(*word)).collect()),
        digest: args.digest,
    };
    let bar = Bar::new(screen);
    among_on_either(models, relatives, &options, chosen, &|progress| bar.show(&progress))
}

/// A pair alone, on the backend that was chosen.
pub(super) fn on_either(
    left: &Checkpoint,
    right: &Checkpoint,
    options: &Options,
    chosen: &Chosen,
    progress: &(dyn Fn(compare::Progress<'_>) + Sync),
) -> Result<Comparison, Box<Failure>> {
    among_on_either((left, right), &Relatives::default(), options, chosen, progress)
}

/// The comparison on the backend that was chosen, on the CPU if the GPU that `auto` took fails on the way.
fn among_on_either(
    models: (&Checkpoint, &Checkpoint),
    relatives: &Relatives<'_>,
    options: &Options,
    chosen: &Chosen,
    progress: &(dyn Fn(compare::Progress<'_>) + Sync),
) -> Result<Comparison, Box<Failure>> {
    let on = |chosen: &Chosen| {
        compare::compare_among(&chosen.backend, models, relatives, options, progress).map(|mut done| {
            done.throughput.chosen = chosen.story();
            done
        })
    };
    match on(chosen) {
        Err(compare::Error::Stream(stream::Error::Gpu(error))) if chosen.is_auto => {
            on(&backend::after(&error))
        }
        other => other,
    }
    .map_err(|error| failure::of_compare(&error))
}

fn text(done: &Done, format: Format, sink: &Sink, screen: &Screen) -> String {
    let document = wire::Comparison::new(&done.comparison, done.exit_code, done.gate.as_deref());
    match format {
        Format::Table if screen.is_quiet => terminal::verdict_words(&done.comparison),
        Format::Table => terminal::comparison(&done.comparison, sink.style(screen)),
        Format::Json => json::document(&document),
        Format::Jsonl => json::line(&document),
        Format::Markdown => markdown::comparison(&done.comparison),
    }
}

/// One line of a batch, and the code that it counts with.
pub(super) fn batch_text(
    outcome: &Result<Done, Box<Failure>>,
    (left, right): (&str, &str),
    format: Format,
    screen: &Screen,
) -> (String, u8) {
    match outcome {
        Ok(done) => {
            let comparison = &done.comparison;
            let document = wire::Comparison::new(comparison, done.exit_code, done.gate.as_deref());
            let text = match format {
                Format::Table if screen.is_quiet => terminal::verdict_words(comparison),
                Format::Table => terminal::pair_line(comparison, screen.style),
                Format::Json | Format::Jsonl => json::line(&document),
                Format::Markdown => markdown::pair_row(comparison),
            };
            (text, done.exit_code)
        }
        Err(failure) => {
            let text = match format {
                Format::Table => terminal::pair_failed(failure, left, right, screen.style),
                Format::Json | Format::Jsonl => json::line(&ErrorDocument {
                    left: Some(wire::Reference { reference: left }),
                    right: Some(wire::Reference { reference: right }),
                    ..ErrorDocument::new(COMPARE_VERSION, failure)
                }),
                Format::Markdown => markdown::pair_failed(failure, left, right),
            };
            (text, failure.exit_code)
        }
    }
}

impl Sink {
    /// No colour in a file.
    fn style(&self, screen: &Screen) -> terminal::Style {
        terminal::Style { colour: screen.style.colour && self.is_stdout(), ..screen.style }
    }
}
