//! S6 and S7 on S4: which MLP of A each MLP of B continues, layers and experts alike, found by answers to tokens.
//!
//! A sketch of 64 units of every left MLP is put beside all units of a right MLP. The left MLP most of whose sampled units name
//! one right unit in both views is proposed; S4 between the two in full then decides (`agrees`), so the search can miss but not
//! accuse. Works under any order of units, any basis, any layer numbering, and between experts and dense MLPs.

use std::collections::HashMap;

use super::probes::{self, Answers, Asked, Views};
use super::units::Axis;
use crate::canonical::CanonicalModel;
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
/// Share of the sampled units that must name one partner in both views for a proposal. By chance one in n does, among n units.
pub const PROPOSING_SHARE: f64 = 1.0 / 16.0;

/// An MLP: of a layer, or an expert of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Tower.
    pub component: Component,
    /// Layer.
    pub layer: u32,
    /// Expert; None of a dense MLP.
    pub expert: Expert,
    /// Index of the matrix that leads out (up, fc1).
    pub up: usize,
    /// Index of the gate, where there is one.
    pub gate: Option<usize>,
    /// Index of the matrix that leads back (down, fc2).
    pub down: Option<usize>,
}

impl Block {
    /// Its units in two matrices: gate and up, or up and down; None where one is missing.
    #[must_use]
    pub fn views<'a>(&self, model: &'a CanonicalModel, with_gate: bool) -> Option<Views<'a>> {
        let part = |idx: usize| &model.parts[idx];
        let up = (part(self.up), Axis::Rows);
        Some(Views::Matrices(if with_gate {
            [(part(self.gate?), Axis::Rows), up]
        } else {
            [up, (part(self.down?), Axis::Columns)]
        }))
    }
}

/// MLPs of a model, by layer.
#[must_use]
pub fn blocks(model: &CanonicalModel) -> Vec<Block> {
    let of_part = |part: Part| {
        let roles = model.parts.iter().enumerate().filter_map(|(idx, part)| Some((idx, part.role?)));
        roles.filter(move |(_, role)| role.part == part && !role.is_bias)
    };
    let by_role = |part: Part| -> HashMap<Role, usize> {
        of_part(part).map(|(idx, role)| (Role { part: Part::Up, ..role }, idx)).collect()
    };
    let (gates, downs) = (by_role(Part::Gate), by_role(Part::Down));
    let view = |idx: usize| &model.parts[idx].stored.view;
    let mut found: Vec<Block> = of_part(Part::Up)
        .filter_map(|(up, role)| {
            let gate = gates.get(&role).copied().filter(|gate| view(*gate).n_rows == view(up).n_rows);
            let down = downs.get(&role).copied().filter(|down| view(*down).n_cols == view(up).n_rows);
            let (component, expert) = (role.component, role.expert);
            Some(Block { component, layer: role.layer?, expert, up, gate, down })
        })
        .collect();
    found.sort_by_key(|block| block.layer);
    found
}

/// Sketches of several groups of units.
#[derive(Debug)]
pub struct Sketches {
    answers: Answers,
    /// Group of each sketched unit.
    group_of: Vec<usize>,
    n_groups: usize,
}

impl Sketches {
    /// Asks some units of every group, or of an even choice of groups where there are very many.
    ///
    /// # Errors
    /// A read or the device failed.
    pub fn new(
        backend: &Backend,
        asked: &Asked<'_>,
        groups: &[Views<'_>],
        seed: u64,
        meter: &ReadMeter,
        flop: &mut u64,
    ) -> Result<Sketches, Error> {
        let step = (groups.len() * FEWEST_SKETCH_UNITS).div_ceil(MAX_SKETCHED_UNITS).max(1);
        let n_sketched = groups.len().div_ceil(step);
        let n_most = (MAX_SKETCHED_UNITS / n_sketched.max(1)).min(SKETCH_UNITS);
        let (mut answers, mut group_of) = (Vec::new(), Vec::new());
        for (idx, views) in groups.iter().enumerate().step_by(step) {
            let n_units = views.n_units();
            let mut rng = Rng::new(&[seed, 0x626c_6f63, idx as u64]);
            let sample = rng.sample(usize::try_from(n_units).unwrap_or(0), n_most);
            let units: Vec<u64> = sample.into_iter().map(|unit| unit as u64).collect();
            let of_group = probes::answers(backend, asked, *views, Some(&units), meter, flop)?;
            group_of.extend(std::iter::repeat_n(idx, of_group.n_units()));
            answers.push(of_group);
        }
        Ok(Sketches { answers: Answers::under_each_other(&answers), group_of, n_groups: groups.len() })
    }

    /// Share of each group's sampled units whose best partner among these units is the same in both views.
    ///
    /// # Errors
    /// The device failed.
    pub fn found(&self, backend: &Backend, right: &Answers, flop: &mut u64) -> Result<Vec<f64>, Error> {
        let mut counts = vec![(0_usize, 0_usize); self.n_groups];
        let found = probes::find_partner(backend, &self.answers, right, flop)?;
        for (found, group) in found.into_iter().zip(&self.group_of) {
            counts[*group].0 += usize::from(found);
            counts[*group].1 += 1;
        }
        Ok(counts.into_iter().map(|(n_found, n)| n_found as f64 / n.max(1) as f64).collect())
    }
}

/// Index of the largest share, the first of equals; None if none reaches the least.
#[must_use]
pub fn proposed(shares: &[f64], least: f64) -> Option<usize> {
    let best = (0..shares.len()).rev().max_by(|&a, &b| shares[a].total_cmp(&shares[b]))?;
    (shares[best] >= least).then_some(best)
}
