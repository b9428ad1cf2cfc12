//! Words become a configuration; call; print; exit code. The only module that prints.

mod args;
mod backend;
mod bench;
mod cards;
mod compare;
mod complaints;
mod convert_weights;
mod devices;
mod evaluate;
mod exit;
mod failure;
mod gate;
mod inspect;
mod many;
mod matrix;
mod models;
mod new_file;
mod output;
mod pairs;
mod panics;
mod process;
mod progress;
mod screen;
mod signals;
mod text_file;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::report::wire::{COMPARE_VERSION, ErrorDocument, Failure};
use crate::report::{json, schema};
use args::{Cli, Verb};
use output::Sink;
use screen::Screen;

pub use pairs::{ListedPair, of_text as pairs_of_text};

/// Runs the program on its command line and says how it ended (`exit`).
#[must_use]
pub fn main() -> ExitCode {
    signals::end_on_interrupt();
    panics::stay_silent();
    let words: Vec<OsString> = std::env::args_os().collect();
    ExitCode::from(run(&words))
}

/// One run; a panic anywhere below becomes exit code 70.
fn run(words: &[OsString]) -> u8 {
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, words),
    };
    let screen = Screen::detect(&cli.common);
    let outcome = panics::caught(|| dispatch(&cli, &screen));
    outcome.unwrap_or_else(|failure| {
        if let Some(text) = as_json(words, &ErrorDocument::new(cli.verb.schema_version(), &failure)) {
            // nothing better can be done when this cannot be written either
            let _ = Sink::stdout().write(&text);
        }
        screen.complain(&failure);
        failure.exit_code
    })
}

fn dispatch(cli: &Cli, screen: &Screen) -> Result<u8, Box<Failure>> {
    match &cli.verb {
        Verb::Compare(args) => compare::run(args, screen),
        Verb::Evaluate(args) => evaluate::run(args, screen),
        Verb::Matrix(args) => matrix::run(args, screen),
        Verb::Inspect(args) => inspect::run(args, screen),
        Verb::ConvertWeights(args) => convert_weights::run(args, screen),
        Verb::Devices(args) => devices::run(args, screen),
        Verb::Bench(args) => bench::run(args, screen),
        Verb::Schema(args) => {
            let text = schema::of(args.verb.name()).unwrap_or_default();
            Sink::stdout().write(text).map(|()| exit::OK)
        }
        Verb::Completions(args) => {
            let mut script = Vec::new();
            clap_complete::generate(args.shell, &mut Cli::command(), "cognate", &mut script);
            Sink::stdout().write(&String::from_utf8_lossy(&script)).map(|()| exit::OK)
        }
    }
}

/// Help and version go to stdout with 0, mistakes to stderr with 2, and to stdout as JSON where that was asked for.
fn usage(error: &clap::Error, words: &[OsString]) -> u8 {
    // a closed stdout or stderr changes nothing about the code
    let _ = error.print();
    if !error.use_stderr() {
        return exit::OK;
    }
    let message = error.to_string();
    let message = message.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    let failure = failure::usage(message);
    if let Some(text) = as_json(words, &ErrorDocument::new(COMPARE_VERSION, &failure)) {
        // as above
        let _ = Sink::stdout().write(&text);
    }
    exit::USAGE
}

/// The document in the JSON form that the command line asks for, one line for `jsonl`; None if it asks for none. Does not
/// rely on the rest of the command line being well formed.
fn as_json(words: &[OsString], error: &ErrorDocument<'_>) -> Option<String> {
    let written = |word: &str| match word {
        "json" => Some(json::document(error)),
        "jsonl" => Some(json::line(error)),
        _ => None,
    };
    let mut previous = "";
    for word in words.iter().filter_map(|word| word.to_str()) {
        let format = if previous == "--format" { Some(word) } else { word.strip_prefix("--format=") };
        if let Some(text) = format.and_then(written) {
            return Some(text);
        }
        previous = word;
    }
    std::env::var("COGNATE_FORMAT").ok().as_deref().and_then(written)
}
