//! GPTQ: codes packed along the inputs, `qweight` [in · bits / 32, out]; `qzeros` [groups, out · bits / 32]; `scales`
//! [groups, out]; `g_idx` [in], the group of each input. 1 to 8 bits as a stream of 32-bit words.
//!
//! Version 1 of the format stores each zero point less one. Layout: `QuantLinear.pack` of AutoGPTQ 0.7.

use std::ops::Range;
use std::sync::Arc;

use super::Quantisation;
use super::form::{Form, Found, Layout, Rows};
use super::levels::Levels;
use super::piece::{Piece, Pieces, SCALES, rounding_of, to_usize};
use crate::cpu::{CodeOrder, unpack_codes};
use crate::source::Error;
use crate::tensor::Dtype;

/// Bytes of codes of a band of outputs.
const BAND_BYTES: u64 = 1 << 20;

/// Most inputs of a matrix packed across its rows: the band of one output must stay small.
pub(super) const MAX_INPUTS: u64 = 1 << 22;

#[derive(Debug)]
struct Gptq {
    layout: Layout,
    qweight: Piece,
    qzeros: Piece,
    scales: Piece,
    g_idx: Option<Piece>,
    /// Added to a stored zero point.
    zero_shift: u8,
    band_rows: u64,
}

pub(super) fn find(stem: &str, pieces: &Pieces<'_>, config: &Quantisation) -> Result<Found, String> {
    let of = |part: &str| format!("{stem}.{part}");
    let qweight = pieces.need(&of("qweight"))?;
    let (qzeros, scales) = (pieces.need(&of("qzeros"))?, pieces.need(&of("scales"))?);
    let g_idx = pieces.get(&of("g_idx")).filter(|g_idx| g_idx.n_elements() > 0);
    qweight.typed(&[Dtype::I32, Dtype::U32])?;
    qzeros.typed(&[Dtype::I32, Dtype::U32])?;
    scales.typed(&SCALES)?;
    let ([n_words, n_outs], [n_groups, scale_outs]) = (qweight.matrix()?, scales.matrix()?);
    let [_, zero_words] = qzeros.matrix()?;
    if scale_outs != n_outs {
        return Err(format!("scales are for {scale_outs} outputs, codes for {n_outs}"));
    }
    let bits = (1..=8_u64).find(|bits| (n_outs * bits).div_ceil(32) == zero_words);
    let Some(bits) = bits.filter(|bits| matches!(bits, 2 | 3 | 4 | 8)) else {
        return Err(format!(
            "{zero_words} words of zero points for {n_outs} outputs fit no width of 2, 3, 4 or 8 bits"
        ));
    };
    qzeros.shaped(&[n_groups, zero_words])?;
    let n_ins = match &g_idx {
        Some(g_idx) => {
            g_idx.typed(&[Dtype::I32, Dtype::U32])?;
            g_idx.n_elements()
        }
        None => n_words * 32 / bits,
    };
    if (n_ins * bits).div_ceil(32) != n_words || n_ins > MAX_INPUTS {
        return Err(format!("{n_words} words of codes do not hold {n_ins} inputs of {bits} bits"));
    }
    if let Some(g_idx) = &g_idx {
        g_idx.shaped(&[n_ins])?;
    }
    let group_cols = group_size(n_ins, n_groups, config)?;
    let n_bits = u32::try_from(bits).unwrap_or(8);
    let layout = Layout {
        step_rounding: rounding_of(scales.dtype),
        ..Layout::matrix(n_outs, n_ins, n_bits, group_cols, Levels::whole(n_bits))
    };
    let reordered =
        if g_idx.is_some() && is_reordered(g_idx.as_ref(), group_cols) { ", reordered inputs" } else { "" };
    let members = ["qweight", "qzeros", "scales", "g_idx"].map(of);
    Ok(Found {
        name: of("weight"),
        shape: vec![n_outs, n_ins],
        says: format!("gptq int{bits}, {}{reordered}", groups_of(group_cols, n_ins)),
        members: pieces.present(&members),
        form: Arc::new(Gptq {
            zero_shift: u8::from(!config.is_gptq_v2),
            band_rows: band_rows(n_words * 4, n_outs),
            layout,
            qweight,
            qzeros,
            scales,
            g_idx,
        }),
    })
}

/// Whether the list of groups says more than the order of the inputs; a list that cannot be read fails where it is used.
fn is_reordered(g_idx: Option<&Piece>, group_cols: u64) -> bool {
    /// Inputs looked at: an order that begins with two whole groups is none.
    const MOST: u64 = 1024;
    let Some(g_idx) = g_idx else { return false };
    let Ok(groups) = g_idx.words(0, g_idx.n_elements().min(MOST)) else { return false };
    (0_u64..).zip(groups).any(|(input, group)| u64::from(group) != input / group_cols)
}

/// Outputs of a band, a multiple of 32: a word of any width then belongs to one band.
pub(super) fn band_rows(row_bytes: u64, n_outs: u64) -> u64 {
    (BAND_BYTES / row_bytes.max(1)).clamp(32, n_outs.max(32)).next_multiple_of(32)
}

/// Inputs of a group: declared, or by the number of groups.
pub(super) fn group_size(n_ins: u64, n_groups: u64, config: &Quantisation) -> Result<u64, String> {
    let fits = |size: &u64| n_ins.div_ceil(*size) == n_groups;
    let even = || n_ins.is_multiple_of(n_groups).then(|| n_ins / n_groups);
    config.group_size.filter(fits).or_else(even).ok_or_else(|| {
        format!("{n_groups} groups do not cover {n_ins} inputs, and the config names no group size that does")
    })
}

/// "groups of 128", "one scale an output".
pub(super) fn groups_of(group_cols: u64, n_ins: u64) -> String {
    if group_cols >= n_ins { "one scale an output".to_owned() } else { format!("groups of {group_cols}") }
}

/// Columns `cols` of a row-major matrix [n_rows, n_cols] of words: [n_rows, cols].
pub(super) fn word_columns(
    piece: &Piece,
    n_rows: u64,
    n_cols: u64,
    cols: &Range<u64>,
) -> Result<Vec<u32>, Error> {
    if cols.end - cols.start == n_cols {
        return piece.words(0, n_rows * n_cols);
    }
    let mut words = Vec::with_capacity(to_usize(n_rows * (cols.end - cols.start)));
    for row in 0..n_rows {
        words.extend(piece.words(row * n_cols + cols.start, cols.end - cols.start)?);
    }
    Ok(words)
}

/// Steps of outputs `outs` from `scales` [groups, out]: [outs, groups].
pub(super) fn steps_of(
    scales: &Piece,
    n_groups: u64,
    n_outs: u64,
    outs: &Range<u64>,
) -> Result<Vec<f32>, Error> {
    let (n, n_groups_here) = (to_usize(outs.end - outs.start), to_usize(n_groups));
    let mut steps = vec![0.0; n * n_groups_here];
    for group in 0..n_groups_here {
        let of_group = scales.floats(group as u64 * n_outs + outs.start, n as u64)?;
        for (out, step) in of_group.into_iter().enumerate() {
            steps[out * n_groups_here + group] = step;
        }
    }
    Ok(steps)
}

impl Form for Gptq {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn band_rows(&self) -> Option<u64> {
        Some(self.band_rows)
    }

    fn read(&self, outs: Range<u64>, _: Range<u64>) -> Result<Rows, Error> {
        let Layout { n_rows: n_outs, n_bits, .. } = self.layout;
        let n = to_usize(outs.end - outs.start);
        let n_words = self.qweight.shape[0];
        let row_bytes = to_usize(n_words) * 4;
        let words = word_columns(&self.qweight, n_words, n_outs, &outs)?;
        let mut codes = vec![0; n * row_bytes];
        for (word, of_word) in words.chunks_exact(n).enumerate() {
            for (out, bits) in of_word.iter().enumerate() {
                let at = out * row_bytes + 4 * word;
                codes[at..at + 4].copy_from_slice(&bits.to_le_bytes());
            }
        }
        let n_groups = self.scales.shape[0];
        let steps = steps_of(&self.scales, n_groups, n_outs, &outs)?;
        // a band begins at a multiple of 32 outputs, where a word of zero points begins too
        let bits = u64::from(n_bits);
        let zero_cols = outs.start * bits / 32..(outs.end * bits).div_ceil(32);
        let zero_words = word_columns(&self.qzeros, n_groups, self.qzeros.shape[1], &zero_cols)?;
        let mut zeros = vec![0.0; steps.len()];
        let mut of_outs = vec![0; n];
        let mask = u8::try_from((1_u32 << n_bits) - 1).unwrap_or(u8::MAX);
        for (group, words) in zero_words.chunks_exact(to_usize(zero_cols.end - zero_cols.start)).enumerate() {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            unpack_codes(&bytes, n_bits, CodeOrder::LowFirst, 0, &mut of_outs);
            for (out, zero) in of_outs.iter().enumerate() {
                zeros[out * to_usize(n_groups) + group] =
                    f32::from(zero.wrapping_add(self.zero_shift) & mask);
            }
        }
        let group_of = match &self.g_idx {
            Some(g_idx) => Some(groups_in_order(g_idx, n_groups)?),
            None => None,
        };
        Ok(Rows { row_bytes, codes, first_col: 0, groups: 0..n_groups, steps, zeros, group_of })
    }
}

/// The group of every input, each of which must exist.
pub(super) fn groups_in_order(g_idx: &Piece, n_groups: u64) -> Result<Vec<u32>, Error> {
    let groups = g_idx.words(0, g_idx.n_elements())?;
    if let Some(at) = groups.iter().position(|group| u64::from(*group) >= n_groups) {
        let found = groups[at].cast_signed().to_string();
        let wanted = format!("0 to {}", n_groups - 1);
        let says = "the list of groups names a group that has no scale";
        return Err(g_idx.refuse("QT-GROUP", says, at as u64, found, wanted));
    }
    Ok(groups)
}
