//! S6 and S7 on S4: which MLP of A each MLP of B continues, layers and experts alike, found by answers to tokens.
//!
//! A sketch of 64 units of every left MLP is put beside all units of a right MLP. The left MLP most of whose sampled units name
//! one right unit in both views is proposed; S4 between the two in full then decides (`agrees`), so the search can miss but not
//! accuse. Works under any order of units, any basis, any layer numbering, and between experts and dense MLPs.

use std::collections::HashMap;

use super::probes::{self, Answers, Asked};
use crate::canonical::{CanonicalModel, CanonicalPart};
use crate::kernels::Backend;
use crate::numerics::Rng;
use crate::roles::{Component, Expert, Part, Role};
use crate::stream::{Error, ReadMeter};

/// Sampled units of a left MLP, fewer where there are many MLPs.
const SKETCH_UNITS: usize = 64;
/// Below this a sketch proposes nothing worth a look.
const FEWEST_SKETCH_UNITS: usize = 16;
/// Sampled units of all left MLPs together: their answers to 512 tokens are 32 MiB.
const MAX_SKETCHED_UNITS: usize = 8192;
/// Sampled units that must name one partner in both views for a proposal: by chance 64 of them do so 64/n times among n units.
const PROPOSING_UNITS: usize = 4;

/// An MLP: of a layer, or an expert of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Tower.
    pub component: Component,
    /// Layer.
    pub layer: u32,
    /// Expert; None of a dense MLP.
    pub expert: Expert,
    /// Index of the gate, where there is one.
    pub gate: Option<usize>,
    /// Index of the matrix that leads out (up, fc1).
    pub up: usize,
}

impl Block {
    /// Matrices whose rows are units, in an order that both sides share.
    #[must_use]
    pub fn parts<'a>(&self, model: &'a CanonicalModel, with_gate: bool) -> Vec<&'a CanonicalPart> {
        let gate = self.gate.filter(|_| with_gate);
        gate.into_iter().chain([self.up]).map(|idx| &model.parts[idx]).collect()
    }
}

/// MLPs of a model, by layer.
#[must_use]
pub fn blocks(model: &CanonicalModel) -> Vec<Block> {
    let of_part = |part: Part| {
        let roles = model.parts.iter().enumerate().filter_map(|(idx, part)| Some((idx, part.role?)));
        roles.filter(move |(_, role)| role.part == part && !role.is_bias)
    };
    let n_units = |idx: usize| model.parts[idx].stored.view.n_rows;
    let gates: HashMap<Role, usize> = of_part(Part::Gate).map(|(idx, role)| (role, idx)).collect();
    let mut found: Vec<Block> = of_part(Part::Up)
        .filter_map(|(up, role)| {
            let gate = gates.get(&Role { part: Part::Gate, ..role }).copied();
            let gate = gate.filter(|gate| n_units(*gate) == n_units(up));
            Some(Block { component: role.component, layer: role.layer?, expert: role.expert, gate, up })
        })
        .collect();
    found.sort_by_key(|block| block.layer);
    found
}

/// Sketches of the left MLPs.
#[derive(Debug)]
pub struct Sketches {
    answers: Answers,
    /// Block of each sketched unit.
    block_of: Vec<usize>,
    n_blocks: usize,
}

impl Sketches {
    /// Asks some units of every block, or of an even choice of blocks where there are very many.
    ///
    /// # Errors
    /// A read or the device failed.
    pub fn new(
        backend: &Backend,
        asked: &Asked<'_>,
        blocks: &[Block],
        with_gate: bool,
        seed: u64,
        meter: &ReadMeter,
        flop: &mut u64,
    ) -> Result<Sketches, Error> {
        let step = (blocks.len() * FEWEST_SKETCH_UNITS).div_ceil(MAX_SKETCHED_UNITS).max(1);
        let n_sketched = blocks.len().div_ceil(step);
        let n_most = (MAX_SKETCHED_UNITS / n_sketched.max(1)).min(SKETCH_UNITS);
        let (mut answers, mut block_of) = (Vec::new(), Vec::new());
        for (idx, block) in blocks.iter().enumerate().step_by(step) {
            let model = asked.model.canonical;
            let n_units = usize::try_from(model.parts[block.up].stored.view.n_rows).unwrap_or(0);
            let mut rng = Rng::new(&[seed, 0x626c_6f63, idx as u64]);
            let units: Vec<u64> = rng.sample(n_units, n_most).into_iter().map(|unit| unit as u64).collect();
            let parts = block.parts(model, with_gate);
            let of_block = probes::answers(backend, asked, &parts, Some(&units), meter, flop)?;
            block_of.extend(std::iter::repeat_n(idx, of_block.n_units()));
            answers.push(of_block);
        }
        Ok(Sketches { answers: Answers::under_each_other(&answers), block_of, n_blocks: blocks.len() })
    }

    /// The left block whose sampled units most often find one partner in this right block; None below the least.
    ///
    /// # Errors
    /// The device failed.
    pub fn propose(
        &self,
        backend: &Backend,
        right: &Answers,
        flop: &mut u64,
    ) -> Result<Option<usize>, Error> {
        let mut n_found = vec![0_usize; self.n_blocks];
        for (found, block) in
            probes::find_partner(backend, &self.answers, right, flop)?.iter().zip(&self.block_of)
        {
            n_found[*block] += usize::from(*found);
        }
        // of equals the first
        let best = (0..self.n_blocks).rev().max_by_key(|block| n_found[*block]);
        Ok(best.filter(|block| n_found[*block] >= PROPOSING_UNITS))
    }
}
