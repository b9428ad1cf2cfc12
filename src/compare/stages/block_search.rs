//! S4 between single MLPs: the left one that a right one continues, by the numbering or by a search.

use crate::align::Alignment;
use crate::canonical::{CanonicalModel, CanonicalPart};
use crate::compare::{Error, Options, Pair};
use crate::evidence::agrees;
use crate::kernels::Backend;
use crate::measure::agreement::Agreement;
use crate::measure::blocks::{Block, PROPOSING_SHARE, Sketches, blocks, proposed};
use crate::measure::family_test::Model;
use crate::measure::probes::{Answers, Asked, Views, answers, held_against, probe_tokens};
use crate::measure::trace::Trace;
use crate::roles::{Expert, Part};
use crate::stream::ReadMeter;

/// Share of sampled units that shows a left layer to be continued, beside the one that was placed: a copy of a layer, trained apart.
const CONTINUED_SHARE: f64 = 0.25;

/// A right-hand MLP and the left-hand one it was held against.
#[derive(Clone, Debug)]
pub(in crate::compare) struct BlockMatch {
    pub(in crate::compare) left: Block,
    pub(in crate::compare) right: Block,
    pub(in crate::compare) agreement: Agreement,
    /// Proposed by the data, not by the numbering.
    pub(in crate::compare) is_found: bool,
    /// Whether unit i answers as unit i, of the MLP that the numbering names; with its left layer.
    pub(in crate::compare) order: Option<(u32, Trace)>,
}

/// Both models' MLPs with the tokens that they are asked.
pub(in crate::compare) struct BlockSearch<'a> {
    backend: &'a Backend,
    alignment: &'a Alignment,
    models: (Model<'a>, Model<'a>),
    with_gate: bool,
    blocks_l: Vec<Block>,
    pub(super) blocks_r: Vec<Block>,
    asked: (Asked<'a>, Asked<'a>),
    sketches: Option<Sketches>,
    seed: u64,
    pub(super) asks_order: bool,
    meter: &'a ReadMeter,
    /// Floating-point operations so far.
    pub(super) flop: u64,
    /// ln of the number of left MLPs that were tried for the right ones.
    pub(super) ln_tried: f64,
    /// Pairs of MLPs that were held against each other, by all units or by sketches.
    pub(super) n_held: u64,
}

impl<'a> BlockSearch<'a> {
    /// None where no tokens are shared or no MLP reads the token stream. `asks_order`: MLPs that the numbering names are tested unit by unit.
    pub(super) fn new(
        backend: &'a Backend,
        pair: &'a Pair<'_>,
        alignment: &'a Alignment,
        asks_order: bool,
        options: &Options,
        meter: &'a ReadMeter,
    ) -> Result<Option<BlockSearch<'a>>, Error> {
        let Some((embed_l, embed_r)) = token_tables(pair) else { return Ok(None) };
        let tokens = probe_tokens(alignment.tokens.as_ref(), (embed_l, embed_r), options.seed);
        let Some((tokens_l, tokens_r)) = tokens else { return Ok(None) };
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
        if blocks_l.is_empty() || blocks_r.is_empty() {
            return Ok(None);
        }
        let models = pair.models();
        let asked = (
            Asked::new(models.0, embed_l, &tokens_l, meter)?,
            Asked::new(models.1, embed_r, &tokens_r, meter)?,
        );
        let seed = options.seed;
        let (sketches, flop, ln_tried) = (None, 0, 0.0);
        Ok(Some(BlockSearch {
            backend,
            alignment,
            models,
            with_gate,
            blocks_l,
            blocks_r,
            asked,
            sketches,
            seed,
            asks_order,
            meter,
            flop,
            ln_tried,
            n_held: 0,
        }))
    }

    /// Both models and the tokens that they were asked.
    pub(super) fn asked(&self) -> (&Asked<'a>, &Asked<'a>) {
        (&self.asked.0, &self.asked.1)
    }

    /// The left MLP that the numbering names.
    pub(super) fn numbered(&self, right: &Block) -> Option<usize> {
        let layer = self.alignment.layer_map.left(right.component, right.layer)?;
        self.blocks_l.iter().position(|left| {
            (left.component, left.layer, left.expert) == (right.component, layer, right.expert)
        })
    }

    /// The left MLP that the right one continues: the numbered one if it agrees, else the better of it and what a search proposes.
    pub(super) fn best(&mut self, right: &Block) -> Result<Option<BlockMatch>, Error> {
        let Some(of_right) = self.of_right(right)? else { return Ok(None) };
        let numbered = self.numbered(right);
        let (mut best, mut order) = (None, None);
        if let Some(left) = numbered
            && let Some(of_left) = self.of_left(left)?
        {
            let expert = match right.expert {
                Expert::None => 0,
                Expert::Routed(expert) => 2 * u64::from(expert) + 1,
                Expert::Shared(expert) => 2 * u64::from(expert) + 2,
            };
            let labels = [self.seed, u64::from(right.layer), expert];
            let labels = self.asks_order.then_some(&labels[..]);
            self.n_held += 1;
            let held = held_against(self.backend, &of_left, &of_right, labels, &mut self.flop)?;
            best = Some((left, held.0));
            order = held.1.map(|trace| (self.blocks_l[left].layer, trace));
        }
        if !best.as_ref().is_some_and(|(_, agreement)| agrees(agreement)) {
            self.ln_tried += (self.blocks_l.len() as f64).ln();
            self.n_held += self.blocks_l.len() as u64;
            if let Some(left) = proposed(&self.searched(&of_right)?, PROPOSING_SHARE)
                .filter(|left| best.is_none_or(|(numbered, _)| *left != numbered))
                && let Some(of_left) = self.of_left(left)?
            {
                let (agreement, _) = held_against(self.backend, &of_left, &of_right, None, &mut self.flop)?;
                if best.is_none_or(|(_, held)| agreement.share() > held.share()) {
                    best = Some((left, agreement));
                }
            }
        }
        Ok(best.map(|(left, agreement)| BlockMatch {
            left: self.blocks_l[left].clone(),
            right: right.clone(),
            agreement,
            is_found: numbered != Some(left),
            order,
        }))
    }

    /// Operations of holding one right MLP against one left MLP: both answer every token in two matrices.
    pub(super) fn cost_of_one(&self) -> u64 {
        let elements = |blocks: &[Block], model: &Model<'_>| {
            blocks.first().map_or(0, |block| model.canonical.parts[block.up].stored.view.n_elements())
        };
        let n_tokens = self.asked.0.tokens().n_rows as u64;
        let both = elements(&self.blocks_l, &self.models.0) + elements(&self.blocks_r, &self.models.1);
        both.saturating_mul(4 * n_tokens)
    }

    /// Operations of a unit map of a match.
    pub(super) fn cost_of_map(&self, found: &BlockMatch) -> u64 {
        let n_units = |block: &Block, model: &Model<'_>| model.canonical.parts[block.up].stored.view.n_rows;
        let pairs =
            n_units(&found.left, &self.models.0).saturating_mul(n_units(&found.right, &self.models.1));
        pairs.saturating_mul(4 * self.asked.0.tokens().n_rows as u64)
    }

    /// The models have dense MLPs in different numbers of layers.
    pub(super) fn depths_differ(&self) -> bool {
        let n_dense = |blocks: &[Block]| blocks.iter().filter(|block| block.expert == Expert::None).count();
        n_dense(&self.blocks_l) != n_dense(&self.blocks_r)
    }

    /// (left layer, right layer) for every dense left MLP that a dense right one continues, by sketches.
    pub(super) fn continued_by(&mut self, right: &Block) -> Result<Vec<(u32, u32)>, Error> {
        let Some(of_right) = self.of_right(right)? else { return Ok(Vec::new()) };
        let shares = self.searched(&of_right)?;
        let found = shares.iter().zip(&self.blocks_l).filter(|(share, left)| {
            **share >= CONTINUED_SHARE && left.expert == Expert::None && right.expert == Expert::None
        });
        Ok(found.map(|(_, left)| (left.layer, right.layer)).collect())
    }

    /// Answers of both MLPs of a match.
    pub(super) fn answers_of(&mut self, found: &BlockMatch) -> Result<Option<(Answers, Answers)>, Error> {
        let left = self.blocks_l.iter().position(|block| *block == found.left);
        let (Some(left), Some(right)) = (left, self.of_right(&found.right)?) else { return Ok(None) };
        Ok(self.of_left(left)?.map(|left| (left, right)))
    }

    fn of_left(&mut self, left: usize) -> Result<Option<Answers>, Error> {
        let views = self.blocks_l[left].views(self.models.0.canonical, self.with_gate);
        let Some(views) = views else { return Ok(None) };
        Ok(Some(answers(self.backend, &self.asked.0, views, None, self.meter, &mut self.flop)?))
    }

    fn of_right(&mut self, right: &Block) -> Result<Option<Answers>, Error> {
        let views = right.views(self.models.1.canonical, self.with_gate);
        let Some(views) = views else { return Ok(None) };
        Ok(Some(answers(self.backend, &self.asked.1, views, None, self.meter, &mut self.flop)?))
    }

    /// Share of the sampled units of every left MLP that find one partner.
    fn searched(&mut self, of_right: &Answers) -> Result<Vec<f64>, Error> {
        if self.sketches.is_none() {
            let views: Vec<Views<'_>> = self
                .blocks_l
                .iter()
                .filter_map(|block| block.views(self.models.0.canonical, self.with_gate))
                .collect();
            let flop = &mut self.flop;
            self.sketches =
                Some(Sketches::new(self.backend, &self.asked.0, &views, self.seed, self.meter, flop)?);
        }
        match &self.sketches {
            Some(sketches) => Ok(sketches.found(self.backend, of_right, &mut self.flop)?),
            None => Ok(Vec::new()),
        }
    }
}

/// The token tables of the text stack.
pub(super) fn token_tables<'a>(pair: &'a Pair<'_>) -> Option<(&'a CanonicalPart, &'a CanonicalPart)> {
    let table = |model: &'a CanonicalModel| {
        model
            .parts
            .iter()
            .find(|part| part.role.is_some_and(|role| role.part == Part::Embed && !role.is_bias))
    };
    Some((table(&pair.canonical.0)?, table(&pair.canonical.1)?))
}
