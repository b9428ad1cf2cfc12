//! Cuts one stored tensor into canonical matrices: only offsets and strides, never a copy.

use super::family::{Cut, Rope, Stacked};
use super::stored::{Runs, Stored, is_countable};
use super::{Expert, Part};
use crate::tensor::{RowOrder, View};

/// One matrix found in a tensor.
pub(super) type Piece = (Part, Expert, View);

/// What the cut of one tensor may need to know about the rest of its layer and model.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    /// Width of the residual stream.
    pub(super) hidden: Option<u64>,
    /// Query heads.
    pub(super) n_heads: Option<u64>,
    /// Rows of one head.
    pub(super) head_dim: Option<u64>,
    /// Rows of a head that rotate, where the config says so.
    pub(super) rotary_rows: Option<u64>,
    /// Inputs of this layer's output projection: query heads × head rows (value rows under latent attention).
    pub(super) attention_width: Option<u64>,
    /// Length of this layer's latent norm and rows of its `kv_a`: their difference is the shared rotary part.
    pub(super) latent_rotary_rows: Option<u64>,
    /// Rows of this layer's q projection under latent attention.
    pub(super) latent_q_rows: Option<u64>,
    /// Matrices of the layers lie with rows and columns exchanged against the table.
    pub(super) is_exchanged: bool,
}

/// More experts than any model stacks in one tensor: a larger first dimension is something else.
const MAX_STACKED_EXPERTS: u64 = 65_536;

/// Fewer elements than this make no expert: describing each would take more memory than the tensor itself.
const MIN_EXPERT_ELEMENTS: u64 = 16;

/// The reason given where a name and a shape contradict each other.
pub(super) const SHAPE: &str = "the shape does not fit the layout that the name promises";
const NO_HEADS: &str =
    "the layout depends on the number of heads, which neither the config nor the shapes give";

/// Canonical matrices inside a tensor of this shape, or why it cannot be cut.
pub(super) fn cut(
    cut: Cut,
    shape: &[u64],
    is_bias: bool,
    rope: Rope,
    facts: &Facts,
) -> Result<Vec<Piece>, &'static str> {
    if !is_countable(shape) {
        return Err(SHAPE);
    }
    let stored = || {
        let stored = Stored::of(shape, is_bias)?;
        Ok::<_, &'static str>(if facts.is_exchanged { stored.transposed() } else { stored })
    };
    match cut {
        Cut::Is(part) => one(part, Expert::None, stored()?, rope, facts),
        Cut::Shared(part) => one(part, Expert::Shared(0), stored()?, rope, facts),
        Cut::Conv1d(part) => one(part, Expert::None, stored()?.transposed(), rope, facts),
        Cut::QkvBlocks => qkv_blocks(stored()?, rope, facts),
        Cut::QkvColumns => qkv_blocks(stored()?.transposed(), rope, facts),
        Cut::QkvGroups => qkv_groups(stored()?, rope, facts),
        Cut::QkvBlocksIfOneKv => {
            let (q, kv) = attention_widths(stored()?, facts)?;
            if kv < q { qkv_blocks(stored()?, rope, facts) } else { qkv_groups(stored()?, rope, facts) }
        }
        Cut::QkvFour => qkv_four(stored()?, rope, facts),
        Cut::KvB => kv_b(stored()?, facts),
        Cut::Heads(part) => heads(shape, part, false),
        Cut::HeadsTransposed(part) => heads(shape, part, true),
        Cut::GateUp => halves(stored()?, [Part::Gate, Part::Up], Expert::None),
        Cut::UpGate => halves(stored()?, [Part::Up, Part::Gate], Expert::None),
        Cut::Experts(part, axes) => {
            let whole = |stored, expert| one(part, expert, stored, rope, facts);
            per_expert(shape, is_bias, |rows, cols| is_in_out(part, rows, cols, axes, facts), whole)
        }
        Cut::ExpertsGateUp(axes) => {
            let split = |stored, expert| halves(stored, [Part::Gate, Part::Up], expert);
            per_expert(shape, is_bias, |rows, cols| is_in_out(Part::Gate, rows, cols, axes, facts), split)
        }
        Cut::ExpertsAlternating(axes) => per_expert(
            shape,
            is_bias,
            |rows, cols| is_in_out(Part::Gate, rows, cols, axes, facts),
            alternating,
        ),
        Cut::Fixed(_) => Err("constant by construction"),
    }
}

fn one(
    part: Part,
    expert: Expert,
    stored: Stored,
    rope: Rope,
    facts: &Facts,
) -> Result<Vec<Piece>, &'static str> {
    let order = row_order(part, stored.n_outs, rope, facts)?;
    let view = if order == RowOrder::Plain {
        stored.whole()
    } else {
        stored.view(Runs::at(0, stored.n_outs), order)
    };
    Ok(vec![(part, expert, view)])
}

/// Interleaved for Q and K of families that store them so.
fn row_order(part: Part, n_rows: u64, rope: Rope, facts: &Facts) -> Result<RowOrder, &'static str> {
    let Rope::Interleaved { one_in } = rope else { return Ok(RowOrder::Plain) };
    if !matches!(part, Part::Q | Part::K) {
        return Ok(RowOrder::Plain);
    }
    let head_rows = head_rows(facts).ok_or(NO_HEADS)?;
    let rotary_rows = facts.rotary_rows.unwrap_or(head_rows / one_in).min(head_rows);
    if !n_rows.is_multiple_of(head_rows) || !rotary_rows.is_multiple_of(2) {
        return Err(SHAPE);
    }
    Ok(RowOrder::InterleavedRope { head_rows, rotary_rows })
}

/// Rows of one head, from the config, else from the width of the attention and the number of heads.
fn head_rows(facts: &Facts) -> Option<u64> {
    let from_width = || {
        let (width, n_heads) = (facts.attention_width?, facts.n_heads?);
        (n_heads > 0 && width.is_multiple_of(n_heads)).then(|| width / n_heads)
    };
    facts.head_dim.or_else(from_width).filter(|rows| *rows > 0)
}

/// Rows of q, and of k (as of v), in a fused tensor: q has one row per input of the output projection.
fn attention_widths(stored: Stored, facts: &Facts) -> Result<(u64, u64), &'static str> {
    let from_heads = || facts.n_heads?.checked_mul(facts.head_dim?);
    let q = facts.attention_width.or_else(from_heads).ok_or(NO_HEADS)?;
    let both =
        stored.n_outs.checked_sub(q).filter(|both| *both > 0 && both.is_multiple_of(2)).ok_or(SHAPE)?;
    if q == 0 || both / 2 > q { Err(SHAPE) } else { Ok((q, both / 2)) }
}

fn qkv_blocks(stored: Stored, rope: Rope, facts: &Facts) -> Result<Vec<Piece>, &'static str> {
    let (q, kv) = attention_widths(stored, facts)?;
    let runs = [(Part::Q, Runs::at(0, q)), (Part::K, Runs::at(q, kv)), (Part::V, Runs::at(q + kv, kv))];
    pieces(stored, runs, rope, facts)
}

fn qkv_groups(stored: Stored, rope: Rope, facts: &Facts) -> Result<Vec<Piece>, &'static str> {
    let (q, kv) = attention_widths(stored, facts)?;
    let head = head_rows(facts).ok_or(NO_HEADS)?;
    if !q.is_multiple_of(head) || !kv.is_multiple_of(head) {
        return Err(SHAPE);
    }
    let n_groups = kv / head;
    if !q.is_multiple_of(n_groups * head) {
        return Err(SHAPE);
    }
    let queries = q / n_groups;
    let runs = |first, n_rows| Runs { first, n_rows, stride: queries + 2 * head, n_runs: n_groups };
    let runs =
        [(Part::Q, runs(0, queries)), (Part::K, runs(queries, head)), (Part::V, runs(queries + head, head))];
    pieces(stored, runs, rope, facts)
}

fn qkv_four(stored: Stored, rope: Rope, facts: &Facts) -> Result<Vec<Piece>, &'static str> {
    if !stored.n_outs.is_multiple_of(12) || stored.n_outs == 0 {
        return Err(SHAPE);
    }
    let n_rows = stored.n_outs / 12;
    let runs = |nth| Runs { first: nth * n_rows, n_rows, stride: 3 * n_rows, n_runs: 4 };
    pieces(stored, [(Part::Q, runs(0)), (Part::V, runs(1)), (Part::K, runs(2))], rope, facts)
}

fn pieces(
    stored: Stored,
    parts: [(Part, Runs); 3],
    rope: Rope,
    facts: &Facts,
) -> Result<Vec<Piece>, &'static str> {
    let piece = |(part, runs): (Part, Runs)| {
        let order = row_order(part, runs.n_rows * runs.n_runs, rope, facts)?;
        Ok((part, Expert::None, stored.view(runs, order)))
    };
    parts.into_iter().map(piece).collect()
}

/// Per head [k_b; v_b]. Heads from the config, else from the shapes: q has nope + rotary rows a head, this tensor
/// nope + value rows, the output projection value columns, so (q − kv_b + o) / rotary is the number of heads.
fn kv_b(stored: Stored, facts: &Facts) -> Result<Vec<Piece>, &'static str> {
    let values = facts.attention_width.ok_or(NO_HEADS)?;
    let from_shapes = || {
        let (q, rotary) = (facts.latent_q_rows?, facts.latent_rotary_rows?);
        let rows = q.checked_add(values)?.checked_sub(stored.n_outs)?;
        (rotary > 0 && rows.is_multiple_of(rotary)).then(|| rows / rotary)
    };
    let n_heads = facts.n_heads.or_else(from_shapes).filter(|n| *n > 0).ok_or(NO_HEADS)?;
    let keys = stored.n_outs.checked_sub(values).ok_or(SHAPE)?;
    if !keys.is_multiple_of(n_heads) || !values.is_multiple_of(n_heads) || keys == 0 || values == 0 {
        return Err(SHAPE);
    }
    let (key_rows, value_rows) = (keys / n_heads, values / n_heads);
    let runs = |first, n_rows| Runs { first, n_rows, stride: key_rows + value_rows, n_runs: n_heads };
    let view = |runs| stored.view(runs, RowOrder::Plain);
    Ok(vec![
        (Part::KB, Expert::None, view(runs(0, key_rows))),
        (Part::VB, Expert::None, view(runs(key_rows, value_rows))),
    ])
}

/// All heads of a stack below each other; the rows of a transposed head lie at distance 1, its columns a row apart.
fn heads(shape: &[u64], part: Part, is_transposed: bool) -> Result<Vec<Piece>, &'static str> {
    let &[n_heads, first, second] = shape else { return Err(SHAPE) };
    let (n_rows, n_cols) = if is_transposed { (second, first) } else { (first, second) };
    let view = View {
        base: 0,
        n_rows: n_heads * n_rows,
        n_cols,
        block_rows: n_rows.max(1),
        block_stride: first * second,
        row_stride: if is_transposed { 1 } else { n_cols },
        col_stride: if is_transposed { n_rows } else { 1 },
        row_order: RowOrder::Plain,
    };
    Ok(vec![(part, Expert::None, view)])
}

fn halves(stored: Stored, parts: [Part; 2], expert: Expert) -> Result<Vec<Piece>, &'static str> {
    if !stored.n_outs.is_multiple_of(2) {
        return Err(SHAPE);
    }
    let half = stored.n_outs / 2;
    let view = |first| stored.view(Runs::at(first, half), RowOrder::Plain);
    let [first, second] = parts;
    Ok(vec![(first, expert, view(0)), (second, expert, view(half))])
}

fn alternating(stored: Stored, expert: Expert) -> Result<Vec<Piece>, &'static str> {
    if !stored.n_outs.is_multiple_of(2) {
        return Err(SHAPE);
    }
    let runs = |first| Runs { first, n_rows: 1, stride: 2, n_runs: stored.n_outs / 2 };
    let view = |first| stored.view(runs(first), RowOrder::Plain);
    Ok(vec![(Part::Gate, expert, view(0)), (Part::Up, expert, view(1))])
}

/// Cuts a stack [E, …] expert by expert; `is_in_out(rows, cols)` says which of the two inner axes is the input.
fn per_expert(
    shape: &[u64],
    is_bias: bool,
    is_in_out: impl Fn(u64, u64) -> bool,
    cut: impl Fn(Stored, Expert) -> Result<Vec<Piece>, &'static str>,
) -> Result<Vec<Piece>, &'static str> {
    let (n_experts, matrix): (u64, Box<dyn Fn(u64) -> Stored>) = match *shape {
        [n_experts, n] if is_bias => (n_experts, Box::new(move |expert| Stored::vector(expert * n, n))),
        [n_experts, rows, cols] if !is_bias => {
            let stored = move |expert| Stored::matrix(expert * rows * cols, rows, cols);
            if is_in_out(rows, cols) {
                (n_experts, Box::new(move |expert| stored(expert).transposed()))
            } else {
                (n_experts, Box::new(stored))
            }
        }
        _ => return Err(SHAPE),
    };
    let n_elements: u64 = shape.iter().skip(1).product();
    if n_experts > MAX_STACKED_EXPERTS || n_elements < MIN_EXPERT_ELEMENTS {
        return Err(SHAPE);
    }
    let mut pieces = Vec::new();
    for expert in 0..n_experts {
        let index = u32::try_from(expert).map_err(|_| SHAPE)?;
        pieces.extend(cut(matrix(expert), Expert::Routed(index))?);
    }
    Ok(pieces)
}

/// Whether the inner axes are [in, out]: read from the hidden size where exactly one axis has it (`down` ends in the
/// residual stream, `gate` and `up` begin there), else the family's habit.
fn is_in_out(part: Part, rows: u64, cols: u64, axes: Stacked, facts: &Facts) -> bool {
    match facts.hidden {
        Some(hidden) if (rows == hidden) != (cols == hidden) => (rows == hidden) != (part == Part::Down),
        _ => axes == Stacked::InOut,
    }
}
