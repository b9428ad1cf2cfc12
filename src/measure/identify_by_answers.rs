//! Nameless tensors of a model whose units or residual basis were disguised: values in place match nothing, answers to tokens do.
//!
//! The token table is the matrix whose tokens lie to each other as in the named table (a rotation keeps angles). Then a sample of the units
//! of every named matrix of MLPs and attention (channels of heads) looks for its like in every nameless matrix of its shape. Only what is
//! found gets a role. How many units are found does not depend on their order, so an order that is tested afterwards is still exact.

use super::blocks::{Sketches, blocks, proposed};
use super::family_test::Model;
use super::probes::{Asked, Views, answers, probe_tokens};
use super::units::{Axis, UnitMatrix};
use crate::align::TokenMatch;
use crate::canonical::{CanonicalModel, CanonicalPart};
use crate::kernels::Backend;
use crate::roles::{Expert, Graph, Part, Role};
use crate::stream::{Error, ReadMeter};
use crate::tensor::Matrix;

/// Share of a sample that must be found for a role: independent models reach .5 % of the units, shared training 82 %.
const NAMING_SHARE: f64 = 0.25;
/// The same of queries, keys, values and outputs: in few dimensions channels of different layers are alike to .41 (64 and 128 dimensions,
/// models of 0.2 M and 1 M parameters and their disguised copies), those of one layer all are.
const NAMING_SHARE_OF_HEADS: f64 = 0.6;

/// Correlation of token cosines from which on a table is taken for a head. It tells what a matrix does, not whose it is: heads of independent models
/// of one text reach .97 (development zoo).
const LEAST_LIKENESS: f64 = 0.5;

/// What a nameless part does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FoundRole {
    /// Its index.
    pub part: usize,
    /// Its role.
    pub role: Role,
    /// It has it the other way round, rows for columns: a square matrix does not show how it was stored.
    pub is_turned: bool,
}

/// Roles for parts of `nameless`, by index; empty where nothing is found. Nothing is changed.
///
/// `tokens` are (named, nameless) rows of shared tokens.
///
/// # Errors
/// A read or the device failed.
pub fn find_roles(
    backend: &Backend,
    (named, graph): (&CanonicalModel, &Graph),
    nameless: &CanonicalModel,
    tokens: Option<&TokenMatch>,
    seed: u64,
    meter: &ReadMeter,
    flop: &mut u64,
) -> Result<Vec<FoundRole>, Error> {
    let roleless = CanonicalModel {
        parts: nameless.parts.iter().map(|part| CanonicalPart { role: None, ..part.clone() }).collect(),
        left_out: Vec::new(),
    };
    let is_table =
        |part: &&CanonicalPart| part.role.is_some_and(|role| role.part == Part::Embed && !role.is_bias);
    let Some(embed) = named.parts.iter().find(is_table) else { return Ok(Vec::new()) };
    let asking = token_table(backend, embed, (&roleless, None), tokens, seed, meter)?;
    let Some(TokenTable { part: embed_idx, rows, .. }) = asking else { return Ok(Vec::new()) };
    let asked_named = Asked::new(Model { canonical: named, graph }, embed, &rows.0, meter)?;
    let table = &roleless.parts[embed_idx];
    let asked_nameless = Asked::new(Model { canonical: &roleless, graph }, table, &rows.1, meter)?;

    // (role, matrix with its axis) of every matrix of the named blocks: channels of heads are found as units of MLPs are
    let mut known: Vec<(Role, UnitMatrix<'_>)> = Vec::new();
    for block in blocks(named).into_iter().filter(|block| block.expert == Expert::None) {
        let rows = block.gate.into_iter().chain([block.up]).map(|idx| (idx, Axis::Rows));
        for (idx, axis) in rows.chain(block.down.map(|idx| (idx, Axis::Columns))) {
            let part = &named.parts[idx];
            known.extend(part.role.filter(|_| reads(part, axis, embed)).map(|role| (role, (part, axis))));
        }
    }
    for part in &named.parts {
        let Some(role) = part.role.filter(|role| !role.is_bias && role.layer.is_some()) else { continue };
        let axis = match role.part {
            Part::Q | Part::K | Part::V => Axis::Rows,
            Part::O => Axis::Columns,
            _ => continue,
        };
        known.extend(reads(part, axis, embed).then_some((role, (part, axis))));
    }
    let groups: Vec<Views<'_>> = known.iter().map(|(_, matrix)| Views::Halves(*matrix)).collect();
    let sketches = Sketches::new(backend, &asked_named, &groups, seed, meter, flop)?;
    let shape = |part: &CanonicalPart| (part.stored.view.n_rows, part.stored.view.n_cols);
    let mut found: Vec<FoundRole> = Vec::new();
    for (idx, part) in roleless.parts.iter().enumerate().filter(|(idx, _)| *idx != embed_idx) {
        for (part, axis, is_turned) in ways(part) {
            let fits =
                |(_, (known, of)): &(Role, UnitMatrix<'_>)| *of == axis && shape(known) == shape(&part);
            if !known.iter().any(fits) {
                continue;
            }
            let views = Views::Halves((&part, axis));
            let of_part = answers(backend, &asked_nameless, views, None, meter, flop)?;
            let mut shares = sketches.found(backend, &of_part, flop)?;
            for (share, known) in shares.iter_mut().zip(&known) {
                // below what its part needs a share names nothing
                if !fits(known) || *share < least_share(known.0.part) {
                    *share = 0.0;
                }
            }
            if let Some(best) = proposed(&shares, NAMING_SHARE) {
                found.push(FoundRole { part: idx, role: known[best].0, is_turned });
                break;
            }
        }
    }
    // two matrices that continue one are not told apart, and one matrix alone of a layer says too little
    let n_of = |role: &Role| found.iter().filter(|other| other.role == *role).count();
    let single: Vec<FoundRole> = found.iter().filter(|found| n_of(&found.role) == 1).copied().collect();
    let n_of_layer = |role: &Role| single.iter().filter(|other| other.role.layer == role.layer).count();
    let mut sure: Vec<FoundRole> =
        single.iter().filter(|found| n_of_layer(&found.role) >= 2).copied().collect();
    if !sure.is_empty() {
        let as_it_lies =
            |part: usize, role: Option<Role>| role.map(|role| FoundRole { part, role, is_turned: false });
        sure.extend(as_it_lies(embed_idx, embed.role));
        // what tells the next token is a table of tokens too
        let is_head =
            |part: &&CanonicalPart| part.role.is_some_and(|role| role.part == Part::Head && !role.is_bias);
        if let Some(head) = named.parts.iter().find(is_head) {
            let table = token_table(backend, head, (&roleless, Some(embed_idx)), tokens, seed, meter)?;
            let is_free = |part: usize| sure.iter().all(|found| found.part != part);
            let table = table.filter(|table| table.likeness >= LEAST_LIKENESS && is_free(table.part));
            sure.extend(table.and_then(|table| as_it_lies(table.part, head.role)));
        }
    }
    Ok(sure)
}

/// Share of a sample that names a matrix of this kind.
fn least_share(part: Part) -> f64 {
    if matches!(part, Part::Q | Part::K | Part::V | Part::O) { NAMING_SHARE_OF_HEADS } else { NAMING_SHARE }
}

/// The ways in which units may lie in a part: along either axis, of a square one also the other way round.
fn ways(part: &CanonicalPart) -> Vec<(CanonicalPart, Axis, bool)> {
    let view = &part.stored.view;
    let turned = view.transposed().filter(|_| view.n_rows == view.n_cols).map(|view| {
        let mut turned = part.clone();
        turned.stored.view = view;
        (turned, true)
    });
    let lies = [(part.clone(), false)].into_iter().chain(turned);
    lies.flat_map(|(part, is_turned)| [Axis::Rows, Axis::Columns].map(|axis| (part.clone(), axis, is_turned)))
        .collect()
}

/// Whether the units of a matrix have one feature per residual dimension.
fn reads(part: &CanonicalPart, axis: Axis, embed: &CanonicalPart) -> bool {
    let view = &part.stored.view;
    embed.stored.view.n_cols == if axis == Axis::Rows { view.n_cols } else { view.n_rows }
}

/// A nameless token table and the rows of shared tokens in the named one and in it.
struct TokenTable {
    part: usize,
    /// Correlation of the cosines of tokens with each other.
    likeness: f64,
    rows: (Vec<u64>, Vec<u64>),
}

/// Of the nameless matrices tall enough for the tokens, but for one, the one whose tokens lie to each other most as in the named table.
fn token_table(
    backend: &Backend,
    embed: &CanonicalPart,
    (nameless, but_for): (&CanonicalModel, Option<usize>),
    tokens: Option<&TokenMatch>,
    seed: u64,
    meter: &ReadMeter,
) -> Result<Option<TokenTable>, Error> {
    let n_tokens =
        tokens.and_then(|tokens| tokens.right.iter().max()).map_or(embed.stored.view.n_rows, |last| last + 1);
    let graph = Graph::default();
    let mut best: Option<TokenTable> = None;
    for (part, table) in nameless.parts.iter().enumerate().filter(|(part, _)| Some(*part) != but_for) {
        let view = &table.stored.view;
        // a table has about as many rows as there are tokens, padding apart
        if view.n_rows < n_tokens || view.n_rows > n_tokens + n_tokens / 4 || view.n_cols < 2 {
            continue;
        }
        let Some(rows) = probe_tokens(tokens, (embed, table), seed) else { continue };
        let model = Model { canonical: nameless, graph: &graph };
        let named = Asked::new(model, embed, &rows.0, meter)?.token_cosines(backend)?;
        let found = Asked::new(model, table, &rows.1, meter)?.token_cosines(backend)?;
        let likeness = correlation(&named, &found);
        if best.as_ref().is_none_or(|held| likeness > held.likeness) {
            best = Some(TokenTable { part, likeness, rows });
        }
    }
    Ok(best)
}

/// Pearson correlation of the elements off the diagonal.
pub(super) fn correlation(a: &Matrix, b: &Matrix) -> f64 {
    let off_diagonal = || (0..a.n_rows).flat_map(|row| (0..row).map(move |col| (row, col)));
    let mean = |matrix: &Matrix| {
        let n = off_diagonal().count().max(1) as f64;
        off_diagonal().map(|(row, col)| f64::from(matrix.at(row, col))).sum::<f64>() / n
    };
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0);
    for (row, col) in off_diagonal() {
        let (x, y) = (f64::from(a.at(row, col)) - mean_a, f64::from(b.at(row, col)) - mean_b);
        aa += x * x;
        bb += y * y;
        ab += x * y;
    }
    if aa > 0.0 && bb > 0.0 { ab / (aa * bb).sqrt() } else { 0.0 }
}
