//! FP8 and int8 weights next to a scale: one for all, one a row or column, or one a block (DeepSeek: 128 × 128).
//!
//! The weight is multiplied by the scale, also where that is called `weight_scale_inv`. Layouts: `weight_dequant` of
//! DeepSeek-V3, and "naive-quantized", "float-quantized" and "int-quantized" of compressed-tensors.

use std::ops::Range;
use std::sync::Arc;

use super::Quantisation;
use super::form::{Form, Found, Layout, Rows};
use super::levels::Levels;
use super::piece::{Piece, Pieces, SCALES, rounding_of, to_usize};
use crate::cpu::Cpu;
use crate::reductions::Elements;
use crate::source::Error;
use crate::tensor::Dtype;

/// Block side where the config names none: that of every published model with blocks.
const BLOCK: u64 = 128;
/// Codes of int8 are shifted by this much, so that they are counted from 0.
const INT8_ZERO: f32 = 128.0;

const EIGHT_BIT: [Dtype; 5] = [Dtype::F8E4m3, Dtype::F8E5m2, Dtype::F8E4m3Fnuz, Dtype::F8E5m2Fnuz, Dtype::I8];

/// A matrix of 8-bit elements with the scales of its blocks.
#[derive(Debug)]
pub(super) struct Scaled {
    pub layout: Layout,
    pub codes: Piece,
    pub scale: Piece,
    /// Subtracted from the codes before scaling.
    pub zero_point: Option<Piece>,
    pub grid: Grid,
    /// Multiplies every step.
    pub factor: f32,
}

/// Which scale an element has: dimensions of weight and scale as [stack, rows, cols].
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    n_rows: u64,
    scales: [u64; 3],
    block_rows: u64,
}

impl Grid {
    /// Scale number of the first group of a flat row.
    fn first_scale(&self, flat_row: u64) -> u64 {
        let (matrix, row) = (flat_row / self.n_rows, flat_row % self.n_rows);
        let [stack, rows, cols] = self.scales;
        let matrix = if stack == 1 { 0 } else { matrix };
        (matrix * rows + row / self.block_rows) * cols
    }

    /// Run of scales that these flat rows need: rows follow each other as their scales do, unless the matrices of a stack
    /// share them.
    fn scales_of(&self, rows: &Range<u64>) -> (u64, u64) {
        let [stack, scale_rows, cols] = self.scales;
        let last = rows.end - 1;
        if stack == 1 && rows.start / self.n_rows != last / self.n_rows {
            return (0, scale_rows * cols);
        }
        (self.first_scale(rows.start), self.first_scale(last) + cols)
    }
}

pub(super) fn find(name: &str, pieces: &Pieces<'_>, config: &Quantisation) -> Result<Found, String> {
    let codes = pieces.need(name)?;
    codes.typed(&EIGHT_BIT)?;
    let inverse = pieces.get(&format!("{name}_scale_inv"));
    let scale = match inverse {
        Some(scale) => scale,
        None => pieces.need(&format!("{name}_scale"))?,
    };
    scale.typed(&SCALES)?;
    let zero_point = pieces.get(&format!("{name}_zero_point"));
    if let Some(zero) = &zero_point {
        zero.shaped(&scale.shape)?;
        zero.typed(&[Dtype::I8, Dtype::F32, Dtype::F16, Dtype::Bf16])?;
    }
    let (grid, group_cols, says) = grid(&codes.shape, &scale.shape, config)?;
    let stem = name.strip_suffix(".weight").unwrap_or(name);
    let mut members = vec![codes.idx, scale.idx];
    members.extend(zero_point.as_ref().map(|zero| zero.idx));
    // scales of activations go with the weight; they are no weights themselves
    members.extend(pieces.present(
        &["input_scale", "input_zero_point", "activation_scale"].map(|part| format!("{stem}.{part}")),
    ));
    members.extend(pieces.present(&[format!("{name}_shape")]));
    let shape = codes.shape.clone();
    let n_cols = shape.last().copied().unwrap_or(0);
    let layout = Layout {
        step_rounding: rounding_of(scale.dtype),
        ..Layout::matrix(codes.n_elements() / n_cols.max(1), n_cols, 8, group_cols, levels(codes.dtype))
    };
    let element = codes.dtype.name().replace("F8_", "fp8 ").replace("I8", "int8").to_lowercase();
    Ok(Found {
        name: name.to_owned(),
        shape,
        says: format!("{element}, {says}"),
        members,
        form: Arc::new(Scaled { layout, codes, scale, zero_point, grid, factor: 1.0 }),
    })
}

/// Values of the 256 codes; those of int8 counted from −128 on.
pub(super) fn levels(dtype: Dtype) -> Levels {
    if dtype == Dtype::I8 {
        return Levels::whole(8);
    }
    let codes: Vec<u8> = (0..=255).collect();
    let mut values = [0.0; 256];
    Cpu::portable().decode(Elements { dtype, bytes: &codes }, &mut values);
    Levels::of(&values)
}

/// How the scale lies over the weight, columns of a block, and both in words.
fn grid(weight: &[u64], scale: &[u64], config: &Quantisation) -> Result<(Grid, u64, String), String> {
    let wrong = || format!("a scale of shape {scale:?} does not fit a weight of shape {weight:?}");
    let [stack, n_rows, n_cols] = match *weight {
        [rows, cols] => [1, rows, cols],
        [stack, rows, cols] => [stack, rows, cols],
        _ => return Err(format!("a weight of shape {weight:?} is no matrix and no stack of them")),
    };
    if stack == 0 || n_rows == 0 || n_cols == 0 {
        return Err("it holds no elements".to_owned());
    }
    let scales = match (weight, scale) {
        (_, [] | [1]) => [1, 1, 1],
        (_, [n]) if weight.len() == 2 && *n == n_rows => [1, *n, 1],
        (_, [n]) if weight.len() == 3 && *n == stack => [*n, 1, 1],
        (_, [rows, cols]) if weight.len() == 2 => [1, *rows, *cols],
        (_, [matrices, rows]) if weight.len() == 3 && *matrices == stack && *rows == n_rows => {
            [*matrices, *rows, 1]
        }
        (_, [matrices, rows, cols]) if weight.len() == 3 => [*matrices, *rows, *cols],
        _ => return Err(wrong()),
    };
    let block = |dim: u64, n_scales: u64, declared: Option<u64>| -> Option<u64> {
        let fits = |side: &u64| dim.div_ceil(*side) == n_scales;
        let even = || (n_scales > 0 && dim.is_multiple_of(n_scales)).then(|| dim / n_scales);
        match n_scales {
            1 => Some(dim),
            n if n == dim => Some(1),
            _ => declared.filter(fits).or(Some(BLOCK).filter(fits)).or_else(even),
        }
    };
    let block_rows = block(n_rows, scales[1], config.block.map(|block| block[0])).ok_or_else(wrong)?;
    let block_cols = block(n_cols, scales[2], config.block.map(|block| block[1])).ok_or_else(wrong)?;
    if scales[0] != 1 && scales[0] != stack {
        return Err(wrong());
    }
    let says = match (block_rows, block_cols) {
        (rows, cols) if rows == n_rows && cols == n_cols && (stack == 1 || scales[0] == stack) => {
            "one scale".to_owned()
        }
        (1, cols) if cols == n_cols => "one scale an output".to_owned(),
        (rows, 1) if rows == n_rows => "one scale a column".to_owned(),
        (1, cols) => format!("groups of {cols}"),
        (rows, cols) => format!("blocks of {rows} × {cols}"),
    };
    Ok((Grid { n_rows, scales, block_rows }, block_cols, says))
}

impl Scaled {
    /// One factor per row: `step · factor` is what a code is multiplied by.
    pub(super) fn by_row(codes: Piece, scale: Piece, factor: f32) -> Result<Scaled, String> {
        let [n_rows, n_cols] = codes.matrix()?;
        scale.shaped(&[n_rows])?;
        let layout = Layout {
            step_rounding: rounding_of(scale.dtype),
            ..Layout::matrix(n_rows, n_cols, 8, n_cols, levels(codes.dtype))
        };
        let grid = Grid { n_rows, scales: [1, n_rows, 1], block_rows: 1 };
        Ok(Scaled { layout, codes, scale, zero_point: None, grid, factor })
    }
}

impl Form for Scaled {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn read(&self, rows: Range<u64>, cols: Range<u64>) -> Result<Rows, Error> {
        let Layout { n_cols, group_cols, .. } = self.layout;
        let n_rows = rows.end - rows.start;
        let row_bytes = cols.end - cols.start;
        let first_col = cols.start / 8 * 8;
        let row_bytes = row_bytes + (cols.start - first_col);
        let mut codes = self.codes.bytes(rows.start * n_cols + first_col, n_rows * row_bytes)?;
        let is_int = self.codes.dtype == Dtype::I8;
        if is_int {
            codes.iter_mut().for_each(|code| *code ^= 0x80);
        }
        let groups = cols.start / group_cols..cols.end.div_ceil(group_cols);
        let n_groups = to_usize(groups.end - groups.start);
        let (start, end) = self.grid.scales_of(&rows);
        let scales = self.scale.floats(start, end - start)?;
        let zero_points = match &self.zero_point {
            Some(zero) => Some(zero.floats(start, end - start)?),
            None => None,
        };
        let (mut steps, mut zeros) = (Vec::new(), Vec::new());
        for row in rows {
            let first = to_usize(self.grid.first_scale(row) + groups.start - start);
            steps.extend(scales[first..first + n_groups].iter().map(|scale| scale * self.factor));
            let shift = if is_int { INT8_ZERO } else { 0.0 };
            match &zero_points {
                Some(points) => zeros.extend(points[first..first + n_groups].iter().map(|zero| zero + shift)),
                None => zeros.extend(std::iter::repeat_n(shift, n_groups)),
            }
        }
        Ok(Rows { row_bytes: to_usize(row_bytes), codes, first_col, groups, steps, zeros, group_of: None })
    }
}
