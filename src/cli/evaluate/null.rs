//! `--null N`: models against their own shuffled selves, whose p-values must be uniform or larger.

use std::sync::Mutex;

use super::run::many;
use crate::cli::args::Evaluate;
use crate::cli::backend::Chosen;
use crate::cli::compare::on_either;
use crate::cli::failure;
use crate::cli::screen::Screen;
use crate::evaluate::{Label, LabelledPair, NullRates, Outcome, Row, null_rates};
use crate::report::wire::Failure;
use crate::shuffled::shuffled;

/// Null rates of `n` shuffled pairs, from the manifest's models in turn. A model that cannot be read is left out.
pub(super) fn rates(
    pairs: &[LabelledPair],
    n: usize,
    args: &Evaluate,
    chosen: &Chosen,
    screen: &Screen,
) -> Result<Vec<NullRates>, Box<Failure>> {
    let mut models: Vec<&str> =
        pairs.iter().flat_map(|pair| [pair.left.as_str(), pair.right.as_str()]).collect();
    models.sort_unstable();
    models.dedup();
    let drawn: Vec<(&str, &str)> = models.iter().cycle().take(n).map(|model| (*model, *model)).collect();
    let many = many(args, chosen);
    let rows: Mutex<Vec<Row>> = Mutex::new(Vec::new());
    many.each(&drawn, "pairs", screen, &|at, opened| {
        let compared = opened.and_then(|(model, _)| {
            let other =
                shuffled(&model, &[args.seed, at as u64]).map_err(|error| failure::of_source(&error))?;
            on_either(&model, &other, &many.options, chosen, &|_| {})
        });
        let outcome = match compared {
            Ok(comparison) => Outcome::of(&comparison),
            Err(failure) => {
                screen.complain(&failure);
                None
            }
        };
        if let (Some(outcome), Ok(mut rows)) = (outcome, rows.lock()) {
            // each draw is a draw of its own: no two share a model
            let name = |side: &str| format!("{at} {side}");
            let pair = LabelledPair { left: name("left"), right: name("right"), ..shuffled_pair() };
            rows.push(Row { pair, outcome: Ok(outcome) });
        }
        Ok(())
    })?;
    Ok(null_rates(&rows.into_inner().unwrap_or_default()))
}

fn shuffled_pair() -> LabelledPair {
    LabelledPair {
        left: String::new(),
        right: String::new(),
        label: Label::Independent,
        family_left: "shuffled".to_owned(),
        family_right: "model".to_owned(),
        relation: None,
        is_hard: false,
        is_trained: true,
        split: None,
        verdicts: Vec::new(),
        directions: Vec::new(),
        architecture: None,
    }
}
