//! AWQ: four bits packed along the outputs, `qweight` [in, out / 8]; `qzeros` [groups, out / 8]; `scales` [groups, out].
//!
//! Nibble k of a word holds output 0 2 4 6 1 3 5 7 of its eight. Layout: `packing_utils` and `WQLinear_GEMM` of AutoAWQ 0.2.
//! Before rounding AWQ multiplies columns by factors that it divides out of the norm or matrix in front.

use std::ops::Range;
use std::sync::Arc;

use super::Quantisation;
use super::form::{Form, Found, Layout, Rows};
use super::gptq::{MAX_INPUTS, band_rows, group_size, groups_of, steps_of, word_columns};
use super::levels::Levels;
use super::piece::{Piece, Pieces, SCALES, rounding_of, to_usize};
use crate::source::Error;
use crate::tensor::Dtype;

/// Output of each nibble of a word.
const ORDER: [usize; 8] = [0, 2, 4, 6, 1, 3, 5, 7];

#[derive(Debug)]
struct Awq {
    layout: Layout,
    qweight: Piece,
    qzeros: Piece,
    scales: Piece,
    band_rows: u64,
}

/// Whether the codes are packed along the outputs: an eighth as many columns as there are scales.
pub(super) fn is_awq(stem: &str, pieces: &Pieces<'_>) -> bool {
    let cols = |part: &str| Some(*pieces.get(&format!("{stem}.{part}"))?.shape.get(1)?);
    match (cols("qweight"), cols("scales")) {
        (Some(words), Some(n_outs)) => words.checked_mul(8) == Some(n_outs),
        _ => false,
    }
}

pub(super) fn find(stem: &str, pieces: &Pieces<'_>, config: &Quantisation) -> Result<Found, String> {
    let of = |part: &str| format!("{stem}.{part}");
    let qweight = pieces.need(&of("qweight"))?;
    let (qzeros, scales) = (pieces.need(&of("qzeros"))?, pieces.need(&of("scales"))?);
    qweight.typed(&[Dtype::I32, Dtype::U32])?;
    qzeros.typed(&[Dtype::I32, Dtype::U32])?;
    scales.typed(&SCALES)?;
    let ([n_ins, n_words], [n_groups, n_outs]) = (qweight.matrix()?, scales.matrix()?);
    qzeros.shaped(&[n_groups, n_words])?;
    if n_ins > MAX_INPUTS {
        return Err(format!("{n_ins} inputs are more than {MAX_INPUTS}"));
    }
    let group_cols = group_size(n_ins, n_groups, config)?;
    let layout = Layout {
        step_rounding: rounding_of(scales.dtype),
        ..Layout::matrix(n_outs, n_ins, 4, group_cols, Levels::whole(4))
    };
    Ok(Found {
        name: of("weight"),
        shape: vec![n_outs, n_ins],
        says: format!("awq int4, {}", groups_of(group_cols, n_ins)),
        members: pieces.present(&["qweight", "qzeros", "scales"].map(of)),
        form: Arc::new(Awq {
            band_rows: band_rows(n_ins.div_ceil(2), n_outs),
            layout,
            qweight,
            qzeros,
            scales,
        }),
    })
}

impl Form for Awq {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn band_rows(&self) -> Option<u64> {
        Some(self.band_rows)
    }

    fn read(&self, outs: Range<u64>, _: Range<u64>) -> Result<Rows, Error> {
        let Layout { n_rows: n_outs, n_cols: n_ins, .. } = self.layout;
        let n = to_usize(outs.end - outs.start);
        // bands and the number of outputs are multiples of 8
        let words = outs.start / 8..outs.end / 8;
        let words_a_row = to_usize(words.end - words.start);
        let row_bytes = to_usize(n_ins.div_ceil(2));
        let packed = word_columns(&self.qweight, n_ins, n_outs / 8, &words)?;
        let mut codes = vec![0_u8; n * row_bytes];
        for (input, of_input) in packed.chunks_exact(words_a_row).enumerate() {
            let shift = 4 * (input % 2);
            for (word, bits) in of_input.iter().enumerate() {
                for (nibble, byte) in ORDER.iter().zip(nibbles(*bits)) {
                    codes[(8 * word + nibble) * row_bytes + input / 2] |= byte << shift;
                }
            }
        }
        let n_groups = self.scales.shape[0];
        let steps = steps_of(&self.scales, n_groups, n_outs, &outs)?;
        let mut zeros = vec![0.0; steps.len()];
        let packed = word_columns(&self.qzeros, n_groups, n_outs / 8, &words)?;
        for (group, of_group) in packed.chunks_exact(words_a_row).enumerate() {
            for (word, bits) in of_group.iter().enumerate() {
                for (nibble, zero) in ORDER.iter().zip(nibbles(*bits)) {
                    zeros[(8 * word + nibble) * to_usize(n_groups) + group] = f32::from(zero);
                }
            }
        }
        Ok(Rows { row_bytes, codes, first_col: 0, groups: 0..n_groups, steps, zeros, group_of: None })
    }
}

/// The eight nibbles of a word, lowest first.
fn nibbles(word: u32) -> [u8; 8] {
    let [a, b, c, d] = word.to_le_bytes();
    [a & 15, a >> 4, b & 15, b >> 4, c & 15, c >> 4, d & 15, d >> 4]
}
