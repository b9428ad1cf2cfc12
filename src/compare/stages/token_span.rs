//! S5, where everything else is silent: may the token tables be shared in another basis?

use super::block_search::token_tables;
use crate::align::Alignment;
use crate::compare::clock::Clock;
use crate::compare::{Effort, Error, Options, Pair};
use crate::kernels::Backend;
use crate::measure::token_span;
use crate::stream::ReadMeter;

/// How near the spans are; None at `quick`, under `--only`, without token tables, or where the tables cannot be asked.
pub(in crate::compare) fn token_span(
    backend: &Backend,
    pair: &Pair<'_>,
    alignment: &Alignment,
    options: &Options,
    meter: &ReadMeter,
    clock: &mut Clock<'_>,
) -> Result<Option<f64>, Error> {
    if options.effort == Effort::Quick || options.only.is_some() {
        return Ok(None);
    }
    let Some((left, right)) = token_tables(pair) else { return Ok(None) };
    let (n_left, n_right) = (left.stored.view.n_rows, right.stored.view.n_rows);
    let shared: Vec<(u64, u64)> = match &alignment.tokens {
        Some(tokens) => tokens
            .left
            .iter()
            .zip(tokens.right.iter())
            .map(|(left, right)| (*left, *right))
            .filter(|(left, right)| *left < n_left && *right < n_right)
            .collect(),
        None => (0..n_left.min(n_right)).map(|id| (id, id)).collect(),
    };
    let mut flop = 0;
    let found = token_span::token_span(backend, (left, right), &shared, options.seed, meter, &mut flop)?;
    clock.stage("token span", flop);
    Ok(found)
}
