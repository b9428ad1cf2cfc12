//! compressed-tensors, "pack-quantized": `weight_packed` [out, in · bits / 32], a stream of codes counted from −2^(bits−1);
//! `weight_scale` [out, groups]; `weight_shape`; `weight_zero_point` [out · bits / 32, groups], packed along the outputs;
//! `weight_g_idx` [in]. Layout: `pack_to_int32` of compressed-tensors 0.20.

use std::ops::Range;
use std::sync::Arc;

use super::Quantisation;
use super::form::{Form, Found, Layout, Rows, code_span};
use super::gptq::{group_size, groups_in_order, groups_of};
use super::levels::Levels;
use super::piece::{Piece, Pieces, SCALES, rounding_of, to_usize};
use crate::cpu::{CodeOrder, unpack_codes};
use crate::source::Error;
use crate::tensor::Dtype;

#[derive(Debug)]
struct Packed {
    layout: Layout,
    codes: Piece,
    scales: Piece,
    zero_points: Option<Piece>,
    g_idx: Option<Piece>,
}

pub(super) fn find(stem: &str, pieces: &Pieces<'_>, config: &Quantisation) -> Result<Found, String> {
    let of = |part: &str| format!("{stem}.{part}");
    let codes = pieces.need(&of("weight_packed"))?;
    let (scales, shape) = (pieces.need(&of("weight_scale"))?, pieces.need(&of("weight_shape"))?);
    let zero_points = pieces.get(&of("weight_zero_point"));
    let g_idx = pieces.get(&of("weight_g_idx"));
    codes.typed(&[Dtype::I32, Dtype::U32])?;
    scales.typed(&SCALES)?;
    let ([n_outs, n_words], [n_ins, declared_outs]) = (codes.matrix()?, columns_and_rows(&shape)?);
    if declared_outs != n_outs {
        return Err(format!("codes have {n_outs} rows, the stored shape {declared_outs}"));
    }
    let Some(bits) = [4, 8, 2, 3, 5, 6, 7, 1]
        .into_iter()
        .find(|bits| n_ins.checked_mul(*bits).is_some_and(|n| n.div_ceil(32) == n_words))
    else {
        return Err(format!("{n_words} words of codes do not hold {n_ins} inputs of 1 to 8 bits"));
    };
    let n_groups = match scales.shape[..] {
        [rows, groups] if rows == n_outs && groups > 0 => groups,
        [rows] if rows == n_outs => 1,
        _ => return Err(format!("scales of shape {:?} do not fit {n_outs} outputs", scales.shape)),
    };
    let group_cols = group_size(n_ins, n_groups, config)?;
    if let Some(zero) = &zero_points {
        zero.typed(&[Dtype::I32, Dtype::U32])?;
        zero.shaped(&[(n_outs * bits).div_ceil(32), n_groups])?;
    }
    if let Some(g_idx) = &g_idx {
        g_idx.typed(&[Dtype::I32, Dtype::U32])?;
        g_idx.shaped(&[n_ins])?;
    }
    let n_bits = u32::try_from(bits).unwrap_or(8);
    let layout = Layout {
        step_rounding: rounding_of(scales.dtype),
        ..Layout::matrix(n_outs, n_ins, n_bits, group_cols, Levels::whole(n_bits))
    };
    let zero = if zero_points.is_some() { ", with zero points" } else { "" };
    let parts = [
        "weight_packed",
        "weight_scale",
        "weight_shape",
        "weight_zero_point",
        "weight_g_idx",
        "input_scale",
        "input_zero_point",
    ];
    Ok(Found {
        name: of("weight"),
        shape: vec![n_outs, n_ins],
        says: format!("packed int{bits}, {}{zero}", groups_of(group_cols, n_ins)),
        members: pieces.present(&parts.map(of)),
        form: Arc::new(Packed { layout, codes, scales, zero_points, g_idx }),
    })
}

/// Inputs and outputs from the stored shape.
fn columns_and_rows(shape: &Piece) -> Result<[u64; 2], String> {
    shape.typed(&[Dtype::I64, Dtype::I32])?;
    shape.shaped(&[2])?;
    let size = shape.dtype.size_bits() / 8;
    let bytes = shape.bytes(0, 2 * size).map_err(|error| error.to_string())?;
    let number = |at: usize| {
        let mut wide = [0; 8];
        let size = to_usize(size);
        wide[..size].copy_from_slice(&bytes[at * size..(at + 1) * size]);
        // a negative number of either width is too large to be a dimension
        u64::from_le_bytes(wide)
    };
    let (rows, cols) = (number(0), number(1));
    if rows == 0 || cols == 0 || rows > 1 << 31 || cols > 1 << 31 {
        return Err(format!("the stored shape is [{rows}, {cols}]"));
    }
    Ok([cols, rows])
}

impl Form for Packed {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn read(&self, rows: Range<u64>, cols: Range<u64>) -> Result<Rows, Error> {
        let Layout { n_bits, group_cols, n_cols, .. } = self.layout;
        let n_rows = rows.end - rows.start;
        let stored_row = self.codes.shape[1] * 4;
        // of several rows everything, padding too; of one row the words that hold the columns
        let (first_col, span) = match n_rows {
            1 => code_span(&self.layout, &cols),
            _ => (0, 0..stored_row),
        };
        let row_bytes = span.end - span.start;
        let codes = self.codes.bytes(rows.start * stored_row + span.start, n_rows * row_bytes)?;
        let n_groups = n_cols.div_ceil(group_cols);
        let groups = match &self.g_idx {
            None if n_rows == 1 => cols.start / group_cols..cols.end.div_ceil(group_cols),
            _ => 0..n_groups,
        };
        let n = groups.end - groups.start;
        let steps = self.scales.floats(rows.start * n_groups + groups.start, n_rows * n)?;
        let offset = f32::from(1_u8 << (n_bits - 1));
        let zeros = match &self.zero_points {
            None => vec![offset; steps.len()],
            Some(piece) => zero_points(piece, n_bits, n_groups, &rows, &groups)?,
        };
        let group_of = match &self.g_idx {
            Some(g_idx) => Some(groups_in_order(g_idx, n_groups)?),
            None => None,
        };
        Ok(Rows { row_bytes: to_usize(row_bytes), codes, first_col, groups, steps, zeros, group_of })
    }
}

/// Zero points of rows and groups, [rows, groups], from words that hold those of consecutive rows. Codes and zero points are
/// counted from the same number, which cancels.
fn zero_points(
    piece: &Piece,
    n_bits: u32,
    n_groups: u64,
    rows: &Range<u64>,
    groups: &Range<u64>,
) -> Result<Vec<f32>, Error> {
    let bits = u64::from(n_bits);
    // 32 rows fill whole words
    let first_row = rows.start / 32 * 32;
    let first_word = first_row * bits / 32;
    let n_words = (rows.end * bits).div_ceil(32) - first_word;
    let words = piece.words(first_word * n_groups, n_words * n_groups)?;
    let mut column = vec![0; to_usize(rows.end - rows.start)];
    let n = to_usize(groups.end - groups.start);
    let mut zeros = vec![0.0; column.len() * n];
    for (at, group) in groups.clone().enumerate() {
        let of_group = words.iter().skip(to_usize(group)).step_by(to_usize(n_groups));
        let bytes: Vec<u8> = of_group.flat_map(|word| word.to_le_bytes()).collect();
        unpack_codes(&bytes, n_bits, CodeOrder::LowFirst, to_usize(rows.start - first_row), &mut column);
        for (row, zero) in column.iter().enumerate() {
            zeros[row * n + at] = f32::from(*zero);
        }
    }
    Ok(zeros)
}
