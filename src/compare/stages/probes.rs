//! S4 on a few layer pairs: the same tokens put to the units of both models.

use super::PlainStage;
use crate::align::Alignment;
use crate::canonical::CanonicalPart;
use crate::compare::clock::Clock;
use crate::compare::{Effort, Error, Options, Pair, Side};
use crate::kernels::Backend;
use crate::measure::agreement::Agreement;
use crate::measure::family_test::Model;
use crate::measure::probes::{Probed, probe};
use crate::numerics::Rng;
use crate::roles::Part;
use crate::stream::ReadMeter;
use crate::verdict::weights::NEAR;

/// Shared tokens that units answer to.
const PROBE_TOKENS: usize = 512;
/// They are drawn from this many lowest ids, which are frequent in most tokenizers.
const FREQUENT_TOKENS: usize = 4096;
/// Layers probed.
const PROBE_LAYERS: usize = 4;

/// S4 on a few layers: where S2 is silent, and where it rejects without the matrices being near each other.
pub(in crate::compare) fn probes(
    backend: &Backend,
    pair: &Pair<'_>,
    alignment: &Alignment,
    plain: &PlainStage,
    options: &Options,
    meter: &ReadMeter,
    clock: &mut Clock<'_>,
) -> Result<Vec<(u32, u32, Agreement)>, Error> {
    let near = plain.median_cosine(pair, alignment).is_some_and(|cosine| cosine >= NEAR);
    if options.effort == Effort::Quick || options.only.is_some() || near {
        return Ok(Vec::new());
    }
    let Some((embed_l, embed_r)) = token_tables(pair) else { return Ok(Vec::new()) };
    let (tokens_l, tokens_r) = probe_tokens(alignment, (embed_l, embed_r), options.seed);
    if tokens_l.len() < 64 {
        return Ok(Vec::new());
    }
    let models = (
        Model { canonical: &pair.canonical.0, graph: &pair.roles.0.graph },
        Model { canonical: &pair.canonical.1, graph: &pair.roles.1.graph },
    );
    let mut layers = unit_layers(pair, alignment);
    if layers.len() > 2 {
        // layer 0 agrees between independent models too
        layers.retain(|layer| layer.1 != 0);
    }
    let step = layers.len().div_ceil(PROBE_LAYERS).max(1);
    let (mut found, mut flop) = (Vec::new(), 0);
    for (left, right, views) in layers.into_iter().step_by(step) {
        let parts = |side| -> Vec<&CanonicalPart> {
            views
                .iter()
                .map(|view| pair.part(side, if side == Side::Left { view.0 } else { view.1 }))
                .collect()
        };
        let (views_l, views_r) = (parts(Side::Left), parts(Side::Right));
        let side_l = Probed { model: models.0, embed: embed_l, tokens: &tokens_l, views: &views_l };
        let side_r = Probed { model: models.1, embed: embed_r, tokens: &tokens_r, views: &views_r };
        let (outcome, spent) = probe(backend, side_l, side_r, meter)?;
        flop += spent;
        found.push((left, right, outcome));
    }
    clock.stage("probes", flop);
    Ok(found)
}

/// The token tables of the text stack.
fn token_tables<'a>(pair: &'a Pair<'_>) -> Option<(&'a CanonicalPart, &'a CanonicalPart)> {
    let table = |model: &'a crate::canonical::CanonicalModel| {
        model
            .parts
            .iter()
            .find(|part| part.role.is_some_and(|role| role.part == Part::Embed && !role.is_bias))
    };
    Some((table(&pair.canonical.0)?, table(&pair.canonical.1)?))
}

/// The same tokens on both sides.
fn probe_tokens(
    alignment: &Alignment,
    tables: (&CanonicalPart, &CanonicalPart),
    seed: u64,
) -> (Vec<u64>, Vec<u64>) {
    let (n_left, n_right) = (tables.0.stored.view.n_rows, tables.1.stored.view.n_rows);
    let shared: Vec<(u64, u64)> = match &alignment.tokens {
        Some(tokens) => tokens
            .left
            .iter()
            .zip(tokens.right.iter())
            .map(|(left, right)| (*left, *right))
            .filter(|(left, right)| *left < n_left && *right < n_right)
            .take(FREQUENT_TOKENS)
            .collect(),
        None => (0..n_left.min(n_right).min(FREQUENT_TOKENS as u64)).map(|id| (id, id)).collect(),
    };
    Rng::new(&[seed, 0x7072_6f62]).sample(shared.len(), PROBE_TOKENS).into_iter().map(|at| shared[at]).unzip()
}

type UnitLayer = (u32, u32, Vec<(usize, usize)>);

/// (left layer, right layer, matrices whose rows are units) of every layer pair, whatever the unit counts and widths.
fn unit_layers(pair: &Pair<'_>, alignment: &Alignment) -> Vec<UnitLayer> {
    let (left, right) = (&pair.canonical.0, &pair.canonical.1);
    let mut found = Vec::new();
    for part in &right.parts {
        let Some(role) = part.role.filter(|role| role.part == Part::Up && !role.is_bias) else { continue };
        if role.expert != crate::roles::Expert::None {
            continue;
        }
        let Some(layer_r) = role.layer else { continue };
        let Some(layer_l) = alignment.layer_map.left(role.component, layer_r) else { continue };
        let views: Vec<(usize, usize)> = [Part::Gate, Part::Up]
            .into_iter()
            .filter_map(|part| {
                let of_right = crate::roles::Role { part, ..role };
                let of_left = crate::roles::Role { layer: Some(layer_l), ..of_right };
                Some((left.find(&of_left)?, right.find(&of_right)?))
            })
            .collect();
        if !views.is_empty() {
            found.push((layer_l, layer_r, views));
        }
    }
    found.sort_by_key(|layer| layer.1);
    found
}
