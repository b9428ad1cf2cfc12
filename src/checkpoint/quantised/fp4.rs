//! Four-bit floats (E2M1) in blocks: MXFP4 of gpt-oss, and NVFP4 of compressed-tensors and ModelOpt.
//!
//! Two codes a byte, the lower half first. MXFP4: `_blocks` [.., out, in / 32, 16] and `_scales` [.., out, in / 32], exponents with
//! bias 127 (OCP Microscaling Formats 1.0). NVFP4: groups of 16 with FP8 scales under one scale for the tensor, by which
//! compressed-tensors divides and ModelOpt multiplies.

use std::ops::Range;
use std::sync::Arc;

use super::Quantisation;
use super::form::{Form, Found, Layout, Rows, code_span};
use super::levels::{E2M1, Levels};
use super::piece::{Piece, Pieces, SCALES, to_usize};
use crate::source::Error;
use crate::tensor::Dtype;

#[derive(Debug)]
struct Fp4 {
    layout: Layout,
    codes: Piece,
    /// [n_rows, groups].
    scales: Piece,
    overall: Overall,
}

/// What the scales of groups are to the steps.
#[derive(Debug)]
enum Overall {
    /// Powers of two with bias 127.
    Exponents,
    /// Divided by this element.
    Divided(Piece),
    /// Multiplied by it.
    Multiplied(Piece),
}

pub(super) fn find_mxfp4(stem: &str, pieces: &Pieces<'_>, _: &Quantisation) -> Result<Found, String> {
    let codes = pieces.need(&format!("{stem}_blocks"))?;
    let scales = pieces.need(&format!("{stem}_scales"))?;
    codes.typed(&[Dtype::U8])?;
    scales.typed(&[Dtype::U8, Dtype::F8E8m0])?;
    let [outer @ .., n_blocks, n_bytes] = &codes.shape[..] else {
        return Err(format!("blocks of shape {:?} have no axis of blocks", codes.shape));
    };
    if *n_bytes != 16 || codes.n_elements() == 0 || outer.is_empty() || outer.len() > 2 {
        return Err(format!("blocks of shape {:?} are not […, outputs, blocks, 16]", codes.shape));
    }
    scales.shaped(&codes.shape[..codes.shape.len() - 1])?;
    let (n_rows, n_cols) = (outer.iter().product(), n_blocks * 32);
    let shape = outer.iter().copied().chain([n_cols]).collect();
    Ok(Found {
        // unquantised stacks of experts have their inputs as rows, blocks their outputs: the name tells them apart
        name: if stem.contains(".experts.") { codes.name.clone() } else { format!("{stem}.weight") },
        shape,
        says: "mxfp4, groups of 32".to_owned(),
        members: vec![codes.idx, scales.idx],
        form: Arc::new(Fp4 {
            layout: Layout::matrix(n_rows, n_cols, 4, 32, Levels::of(&E2M1)),
            codes,
            scales,
            overall: Overall::Exponents,
        }),
    })
}

pub(super) fn find_nvfp4_packed(stem: &str, pieces: &Pieces<'_>, _: &Quantisation) -> Result<Found, String> {
    let of = |part: &str| format!("{stem}.{part}");
    let overall = pieces.need(&of("weight_global_scale"))?;
    nvfp4(stem, pieces.need(&of("weight_packed"))?, pieces, overall, Overall::Divided)
}

pub(super) fn find_nvfp4_plain(stem: &str, pieces: &Pieces<'_>, _: &Quantisation) -> Result<Found, String> {
    let of = |part: &str| format!("{stem}.{part}");
    let overall = pieces.need(&of("weight_scale_2"))?;
    nvfp4(stem, pieces.need(&of("weight"))?, pieces, overall, Overall::Multiplied)
}

fn nvfp4(
    stem: &str,
    codes: Piece,
    pieces: &Pieces<'_>,
    overall: Piece,
    meaning: fn(Piece) -> Overall,
) -> Result<Found, String> {
    let of = |part: &str| format!("{stem}.{part}");
    let scales = pieces.need(&of("weight_scale"))?;
    codes.typed(&[Dtype::U8])?;
    scales.typed(&[Dtype::F8E4m3])?;
    overall.typed(&SCALES)?;
    if overall.n_elements() != 1 {
        return Err(format!("the scale of the tensor has shape {:?}, not one element", overall.shape));
    }
    let ([n_rows, row_bytes], [_, n_groups]) = (codes.matrix()?, scales.matrix()?);
    let n_cols = row_bytes * 2;
    scales.shaped(&[n_rows, n_cols.div_ceil(16)])?;
    let mut members = vec![codes.idx, scales.idx, overall.idx];
    members.extend(pieces.present(&["input_scale", "input_global_scale"].map(of)));
    Ok(Found {
        name: of("weight"),
        shape: vec![n_rows, n_cols],
        says: format!("nvfp4, groups of {}", n_cols.div_ceil(n_groups)),
        members,
        form: Arc::new(Fp4 {
            layout: Layout::matrix(n_rows, n_cols, 4, 16, Levels::of(&E2M1)),
            codes,
            scales,
            overall: meaning(overall),
        }),
    })
}

impl Form for Fp4 {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn read(&self, rows: Range<u64>, cols: Range<u64>) -> Result<Rows, Error> {
        let Layout { n_cols, group_cols, .. } = self.layout;
        let n_rows = rows.end - rows.start;
        let (first_col, span) = code_span(&self.layout, &cols);
        let row_bytes = span.end - span.start;
        let codes = self.codes.bytes(rows.start * n_cols / 2 + span.start, n_rows * row_bytes)?;
        let groups = cols.start / group_cols..cols.end.div_ceil(group_cols);
        let n_groups = n_cols.div_ceil(group_cols);
        let first = rows.start * n_groups + groups.start;
        let n = n_rows * (groups.end - groups.start);
        let steps = match &self.overall {
            Overall::Exponents => self.scales.bytes(first, n)?.into_iter().map(power_of_two).collect(),
            Overall::Divided(overall) => {
                let overall = overall.floats(0, 1)?[0];
                self.scales.floats(first, n)?.into_iter().map(|scale| scale / overall).collect()
            }
            Overall::Multiplied(overall) => {
                let overall = overall.floats(0, 1)?[0];
                self.scales.floats(first, n)?.into_iter().map(|scale| scale * overall).collect()
            }
        };
        let row_bytes = to_usize(row_bytes);
        Ok(Rows { row_bytes, codes, first_col, groups, steps, ..Rows::default() })
    }
}

/// 2^(exponent − 127); 255 is NaN (OCP Microscaling Formats 1.0, 5.4.1).
fn power_of_two(exponent: u8) -> f32 {
    match exponent {
        255 => f32::NAN,
        // 2^−127 is subnormal
        0 => f32::from_bits(0x0040_0000),
        _ => f32::from_bits(u32::from(exponent) << 23),
    }
}
