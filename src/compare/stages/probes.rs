//! S4 on a few right-hand MLPs: against the left one that the numbering names, else against the one that a search proposes.

use std::collections::{BTreeMap, BTreeSet};

use super::PlainStage;
use crate::align::Alignment;
use crate::canonical::{CanonicalModel, CanonicalPart};
use crate::compare::clock::Clock;
use crate::compare::{Effort, Error, Options, Pair};
use crate::evidence::agrees;
use crate::kernels::Backend;
use crate::measure::agreement::Agreement;
use crate::measure::blocks::{Block, PROPOSING_SHARE, Sketches, blocks, proposed};
use crate::measure::family_test::Model;
use crate::measure::probes::{Asked, Views, agreement_of, answers, probe_tokens};
use crate::roles::Part;
use crate::stream::ReadMeter;
use crate::verdict::weights::NEAR;

/// Layers probed short of `full`.
const PROBE_LAYERS: usize = 4;
/// Experts of a layer probed short of `full`.
const PROBE_EXPERTS: usize = 4;

/// A right-hand MLP and the left-hand one it was held against.
#[derive(Clone, Debug)]
pub(in crate::compare) struct BlockMatch {
    pub(in crate::compare) left: Block,
    pub(in crate::compare) right: Block,
    pub(in crate::compare) agreement: Agreement,
    /// Proposed by the data, not by the numbering.
    pub(in crate::compare) is_found: bool,
}

/// What the probes found.
#[derive(Clone, Debug, Default)]
pub(in crate::compare) struct ProbeStage {
    pub(in crate::compare) matches: Vec<BlockMatch>,
    /// ln of the number of left MLPs that were tried for the right ones.
    pub(in crate::compare) ln_tried: f64,
}

impl ProbeStage {
    /// (left layer, right layer, agreement) of the best match of every right layer probed.
    pub(in crate::compare) fn by_layer(&self) -> Vec<(u32, u32, Agreement)> {
        let mut best = BTreeMap::new();
        for found in &self.matches {
            let entry = best.entry((found.right.component, found.right.layer)).or_insert(found);
            if found.agreement.share() > entry.agreement.share() {
                *entry = found;
            }
        }
        best.into_values().map(|found| (found.left.layer, found.right.layer, found.agreement)).collect()
    }
}

/// S4 on a few layers: where S2 is silent, and where it rejects without the matrices being near each other. Where they are
/// near, only on MLPs that the numbering gives no counterpart: layers beyond the other's depth, experts against a dense MLP.
pub(in crate::compare) fn probes(
    backend: &Backend,
    pair: &Pair<'_>,
    alignment: &Alignment,
    plain: &PlainStage,
    options: &Options,
    meter: &ReadMeter,
    clock: &mut Clock<'_>,
) -> Result<ProbeStage, Error> {
    let mut stage = ProbeStage::default();
    if options.effort == Effort::Quick || options.only.is_some() {
        return Ok(stage);
    }
    let Some((embed_l, embed_r)) = token_tables(pair) else { return Ok(stage) };
    let tokens = probe_tokens(alignment.tokens.as_ref(), (embed_l, embed_r), options.seed);
    let Some((tokens_l, tokens_r)) = tokens else { return Ok(stage) };
    let (all_l, all_r) = (blocks(&pair.canonical.0), blocks(&pair.canonical.1));
    let with_gate = all_l.iter().chain(&all_r).all(|block| block.gate.is_some());
    // only what reads the token stream can be asked
    let readable = |model: &CanonicalModel, embed: &CanonicalPart, block: &Block| {
        let width = model.parts[block.up].stored.view.n_cols;
        width == embed.stored.view.n_cols && block.views(model, with_gate).is_some()
    };
    let of = |all: Vec<Block>, model: &CanonicalModel, embed: &CanonicalPart| -> Vec<Block> {
        all.into_iter().filter(|block| readable(model, embed, block)).collect()
    };
    let blocks_l = of(all_l, &pair.canonical.0, embed_l);
    let blocks_r = of(all_r, &pair.canonical.1, embed_r);
    let numbered = |right: &Block| {
        let layer = alignment.layer_map.left(right.component, right.layer)?;
        blocks_l.iter().position(|left| {
            (left.component, left.layer, left.expert) == (right.component, layer, right.expert)
        })
    };
    let near = plain.median_cosine(pair, alignment).is_some_and(|cosine| cosine >= NEAR);
    let open: Vec<&Block> = blocks_r.iter().filter(|right| !near || numbered(right).is_none()).collect();
    let chosen = chosen(&open, options.effort);
    if chosen.is_empty() || blocks_l.is_empty() {
        return Ok(stage);
    }
    let models = (
        Model { canonical: &pair.canonical.0, graph: &pair.roles.0.graph },
        Model { canonical: &pair.canonical.1, graph: &pair.roles.1.graph },
    );
    let asked_l = Asked::new(models.0, embed_l, &tokens_l, meter)?;
    let asked_r = Asked::new(models.1, embed_r, &tokens_r, meter)?;
    let views_l: Vec<Views<'_>> =
        blocks_l.iter().filter_map(|block| block.views(models.0.canonical, with_gate)).collect();
    let (mut flop, mut sketches) = (0, None);
    for right in chosen {
        let Some(views) = right.views(models.1.canonical, with_gate) else { continue };
        let of_right = answers(backend, &asked_r, views, None, meter, &mut flop)?;
        let hold = |left: usize, flop: &mut u64| -> Result<Agreement, Error> {
            let of_left = answers(backend, &asked_l, views_l[left], None, meter, flop)?;
            Ok(agreement_of(backend, &of_left, &of_right, flop)?)
        };
        let mut best = match numbered(right) {
            Some(left) => Some((left, hold(left, &mut flop)?)),
            None => None,
        };
        if !best.as_ref().is_some_and(|(_, agreement)| agrees(agreement)) {
            if sketches.is_none() {
                sketches = Some(Sketches::new(backend, &asked_l, &views_l, options.seed, meter, &mut flop)?);
            }
            stage.ln_tried += (blocks_l.len() as f64).ln();
            let shares = match &sketches {
                Some(sketches) => sketches.found(backend, &of_right, &mut flop)?,
                None => Vec::new(),
            };
            if let Some(left) = proposed(&shares, PROPOSING_SHARE)
                .filter(|left| best.is_none_or(|(numbered, _)| *left != numbered))
            {
                let agreement = hold(left, &mut flop)?;
                if best.is_none_or(|(_, held)| agreement.share() > held.share()) {
                    best = Some((left, agreement));
                }
            }
        }
        if let Some((left, agreement)) = best {
            let is_found = numbered(right) != Some(left);
            stage.matches.push(BlockMatch {
                left: blocks_l[left].clone(),
                right: right.clone(),
                agreement,
                is_found,
            });
        }
    }
    clock.stage("probes", flop);
    Ok(stage)
}

/// A few layers and a few experts of each, evenly; all of them at `full`. Of more than two layers never layer 0: it agrees
/// between independent models too.
fn chosen<'a>(blocks: &[&'a Block], effort: Effort) -> Vec<&'a Block> {
    let mut layers: BTreeSet<u32> = blocks.iter().map(|block| block.layer).collect();
    if layers.len() > 2 {
        layers.remove(&0);
    }
    let every = |n: usize, most: usize| if effort == Effort::Full { 1 } else { n.div_ceil(most).max(1) };
    let mut chosen = Vec::new();
    for layer in layers.iter().step_by(every(layers.len(), PROBE_LAYERS)) {
        let experts: Vec<&Block> = blocks.iter().copied().filter(|block| block.layer == *layer).collect();
        chosen.extend(experts.iter().copied().step_by(every(experts.len(), PROBE_EXPERTS)));
    }
    chosen
}

/// The token tables of the text stack.
pub(super) fn token_tables<'a>(pair: &'a Pair<'_>) -> Option<(&'a CanonicalPart, &'a CanonicalPart)> {
    let table = |model: &'a crate::canonical::CanonicalModel| {
        model
            .parts
            .iter()
            .find(|part| part.role.is_some_and(|role| role.part == Part::Embed && !role.is_bias))
    };
    Some((table(&pair.canonical.0)?, table(&pair.canonical.1)?))
}
