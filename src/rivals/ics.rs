//! ICS of HuRef (arXiv 2312.04828): invariant terms X·Wqᵀ·Wk·Xᵀ, X·Wvᵀ·Woᵀ·Xᵀ and X·W1ᵀ·W2ᵀ·Xᵀ of the last two layers, X the token
//! rows of each model. What permutes or rotates the inside of a block cancels; what turns the residual stream cancels with X.

use super::linear::{Dense, cosine};
use super::{Context, Model};
use crate::roles::Part;
use crate::stream::{Error, ReadMeter};

/// Tokens.
const N_TOKENS: usize = 256;
/// Layers from the end.
const N_LAYERS: usize = 2;

/// Mean cosine of the invariant terms.
pub(super) fn score(pair: &Context<'_>) -> Result<Option<f64>, Error> {
    let Some((x_left, x_right)) = pair.tokens(N_TOKENS)? else { return Ok(None) };
    let (left, right) = (pair.left.layers(), pair.right.layers());
    let mut cosines = Vec::new();
    for (l, r) in left.iter().rev().zip(right.iter().rev()).take(N_LAYERS) {
        let terms_l = terms(pair.left, *l, &x_left, pair.meter)?;
        let terms_r = terms(pair.right, *r, &x_right, pair.meter)?;
        for (a, b) in terms_l.iter().zip(&terms_r) {
            if let (Some(a), Some(b)) = (a, b) {
                cosines.push(cosine(&a.values, &b.values));
            }
        }
    }
    Ok((!cosines.is_empty()).then(|| cosines.iter().sum::<f64>() / cosines.len() as f64))
}

/// The three terms, each [tokens, tokens].
fn terms(model: &Model<'_>, layer: u32, x: &Dense, meter: &ReadMeter) -> Result<[Option<Dense>; 3], Error> {
    let read = |part| model.matrix(Some(layer), part, meter);
    // what reads the stream: X·Wᵀ; what writes it: X·W
    let reads = |w: Option<Dense>| w.and_then(|w| x.times_transposed(&w));
    let writes = |w: Option<Dense>| w.and_then(|w| x.times_transposed(&w.transposed()));
    let product = |a: Option<Dense>, b: Option<Dense>| a.zip(b).and_then(|(a, b)| a.times_transposed(&b));
    let head = usize::try_from(model.graph.head_dim.unwrap_or(0)).unwrap_or(0);
    // grouped queries: each key and value head once per query head that reads it
    let spread = |few: Option<Dense>, many: &Option<Dense>| match (few, many) {
        (Some(few), Some(many)) if few.n_rows < many.n_rows && head > 0 && many.n_rows % few.n_rows == 0 => {
            Some(few.repeat_blocks(head, many.n_rows / few.n_rows))
        }
        (few, _) => few,
    };
    let (q, k, v, o) = (read(Part::Q)?, read(Part::K)?, read(Part::V)?, read(Part::O)?);
    let (k, v) = (spread(k, &q), spread(v, &o.as_ref().map(Dense::transposed)));
    Ok([
        product(reads(q), reads(k)),
        product(reads(v), writes(o)),
        product(reads(read(Part::Up)?), writes(read(Part::Down)?)),
    ])
}
