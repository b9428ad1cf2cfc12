//! `cognate compare --pairs FILE`: many pairs, one result per line in the order of the file; a bad pair stops nothing.

use std::path::Path;

use serde::Deserialize;

use super::args::{Compare, Format};
use super::backend::Chosen;
use super::compare::{Others, batch_text, one};
use super::output::Sink;
use super::screen::Screen;
use super::text_file::{self, MAX_LIST_BYTES};
use super::{exit, failure};
use crate::report::markdown;
use crate::report::wire::Failure;

/// A line of the file: two references, or what is wrong with it.
pub(super) type Line = Result<(String, String), Box<Failure>>;

/// The two JSON forms of a line.
#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum JsonPair {
    Array(String, String),
    Object { left: String, right: String },
}

/// Reads the file; empty lines and lines that start with `#` hold no pair.
pub(super) fn read(path: &Path) -> Result<Vec<Line>, Box<Failure>> {
    let text = text_file::read(path, MAX_LIST_BYTES).map_err(|error| {
        Box::new(Failure {
            code: "PAIRS".to_owned(),
            exit_code: exit::INPUT,
            message: format!("cannot read '{}': {error}", failure::shown_path(path)),
            ..Failure::default()
        })
    })?;
    let lines = of_text(&text).into_iter();
    Ok(lines.map(|(number, pair)| pair.map_err(|why| bad_line(path, number, why))).collect())
}

/// Left and right reference of a line, or what is wrong with it.
pub type ListedPair = Result<(String, String), &'static str>;

/// The pairs of a text with the numbers of their lines from 1.
#[must_use]
pub fn of_text(text: &str) -> Vec<(usize, ListedPair)> {
    text.lines().enumerate().filter_map(|(idx, line)| Some((idx + 1, parse(line)?))).collect()
}

/// Compares every pair; the code is the first that applies to any of them.
pub(super) fn run(
    lines: &[Line],
    args: &Compare,
    chosen: &Chosen,
    screen: &Screen,
    mut sink: Sink,
) -> Result<u8, Box<Failure>> {
    let format = args.format.unwrap_or(Format::Jsonl);
    if format == Format::Markdown {
        sink.write(markdown::pair_header())?;
    }
    let mut codes = Vec::with_capacity(lines.len());
    for line in lines {
        let (left, right) = line.as_ref().map_or(("", ""), |(left, right)| (left, right));
        let outcome = match line {
            Ok((left, right)) => one((left, right), &Others::default(), args, chosen, screen),
            Err(failure) => Err(failure.clone()),
        };
        if let Err(failure) = &outcome {
            screen.complain(failure);
        }
        let (text, code) = batch_text(&outcome, (left, right), format, screen);
        sink.write(&text)?;
        codes.push(code);
    }
    sink.finish()?;
    Ok(exit::first_of(codes))
}

/// The pair in a line; None where there is none.
fn parse(line: &str) -> Option<ListedPair> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    if line.starts_with('[') || line.starts_with('{') {
        return Some(match serde_json::from_str(line) {
            Ok(JsonPair::Array(left, right) | JsonPair::Object { left, right }) => Ok((left, right)),
            Err(_) => Err("neither an array of two strings nor an object with left and right"),
        });
    }
    // names with spaces need tabs or JSON
    let words: Vec<&str> = if line.contains('\t') {
        line.split('\t').map(str::trim).collect()
    } else {
        line.split_whitespace().collect()
    };
    Some(match words.as_slice() {
        [left, right] if !left.is_empty() && !right.is_empty() => {
            Ok(((*left).to_owned(), (*right).to_owned()))
        }
        _ => Err("not two references"),
    })
}

fn bad_line(path: &Path, number: usize, why: &str) -> Box<Failure> {
    Box::new(Failure {
        file: Some(failure::shown_path(path)),
        hint: Some("a line is 'LEFT RIGHT', with a tab where names hold spaces, or JSON".to_owned()),
        ..*failure::usage(format!("line {number} of the list of pairs is {why}"))
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_line_holds_one_pair_in_any_of_four_forms() {
        let pair = |left: &str, right: &str| Some(Ok((left.to_owned(), right.to_owned())));
        for (line, wanted) in [
            ("a b", pair("a", "b")),
            ("  a \t b c ", pair("a", "b c")),
            ("[\"a\", \"b c\"]", pair("a", "b c")),
            ("{\"left\": \"a\", \"right\": \"b\"}", pair("a", "b")),
            ("", None),
            ("# a b", None),
        ] {
            assert_eq!(parse(line), wanted, "{line:?}");
        }
        for line in [
            "a",
            "a b c",
            "a\t",
            "[\"a\"]",
            "[1, 2]",
            "{\"left\": \"a\"}",
            "{\"left\": \"a\", \"right\": \"b\", \"x\": 1}",
        ] {
            assert!(matches!(parse(line), Some(Err(_))), "{line:?}");
        }
    }
}
