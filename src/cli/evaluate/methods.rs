//! `--methods all`: the rivals on the pairs that were compared, through the same reader.

use std::sync::Mutex;
use std::time::Instant;

use super::run::many;
use crate::cli::args::Evaluate;
use crate::cli::backend::Chosen;
use crate::cli::failure;
use crate::cli::screen::Screen;
use crate::evaluate::{MethodLine, Row, Scored, method_line, own_line};
use crate::report::wire::Failure;
use crate::rivals::{Context, Model, RIVALS};
use crate::stream::ReadMeter;

/// Our line and one per rival.
pub(super) fn lines(
    rows: &[Row],
    args: &Evaluate,
    chosen: &Chosen,
    screen: &Screen,
) -> Result<Vec<MethodLine>, Box<Failure>> {
    let compared: Vec<&Row> = rows.iter().filter(|row| row.outcome.is_ok()).collect();
    let pairs: Vec<(&str, &str)> =
        compared.iter().map(|row| (row.pair.left.as_str(), row.pair.right.as_str())).collect();
    let none = Scored { score: None, seconds: 0.0 };
    let found: Mutex<Vec<[Scored; RIVALS.len()]>> = Mutex::new(vec![[none; RIVALS.len()]; pairs.len()]);
    many(args, chosen).each(&pairs, "pairs", screen, &|at, opened| {
        let (left, right) = opened?;
        let (left, right) = (Model::new(&left), Model::new(&right));
        let meter = ReadMeter::default();
        let context = Context::new(&left, &right, &meter);
        let mut scored = [none; RIVALS.len()];
        for (rival, scored) in RIVALS.iter().zip(&mut scored) {
            let started = Instant::now();
            let score = (rival.score)(&context).map_err(|error| failure::of_stream(&error))?;
            *scored = Scored { score, seconds: started.elapsed().as_secs_f64() };
        }
        if let Ok(mut found) = found.lock() {
            found[at] = scored;
        }
        Ok(())
    })?;
    let found = found.into_inner().unwrap_or_default();
    let mut lines = vec![own_line(rows)];
    for (at, rival) in RIVALS.iter().enumerate() {
        let scores: Vec<Scored> = found.iter().map(|scored| scored[at]).collect();
        lines.push(method_line(rival.name, rival.source, rows, &scores));
    }
    Ok(lines)
}
