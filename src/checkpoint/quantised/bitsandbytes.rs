//! bitsandbytes: int8 with one scale an output (`SCB`), and blocks of 4-bit codes under a stored table of 16 levels.
//!
//! 4 bits: `weight` is flat, two codes a byte, the first in the upper half; `weight.absmax` one scale a block, itself 8-bit codes where
//! `nested_*` are there; `weight.quant_map` the levels; `weight.quant_state.bitsandbytes__nf4` JSON as bytes, with shape and
//! block size. Layout: `QuantState.as_dict` and `dequantize_blockwise` of bitsandbytes 0.50.

use std::ops::Range;
use std::sync::Arc;

use serde::Deserialize;

use super::Quantisation;
use super::form::{Form, Found, Layout, Rows, code_span};
use super::levels::Levels;
use super::piece::{Piece, Pieces, to_usize};
use super::scaled::Scaled;
use crate::checkpoint::json;
use crate::cpu::CodeOrder;
use crate::source::{self, Error, shown};
use crate::tensor::Dtype;

/// Longest JSON of a quantisation state; real ones have some 200 bytes.
const MAX_STATE_BYTES: u64 = 4096;

/// int8: `weight` [out, in], `SCB` [out]: code · SCB / 127.
pub(super) fn find_eight_bit(stem: &str, pieces: &Pieces<'_>, _: &Quantisation) -> Result<Found, String> {
    let of = |part: &str| format!("{stem}.{part}");
    let (codes, scale) = (pieces.need(&of("weight"))?, pieces.need(&of("SCB"))?);
    codes.typed(&[Dtype::I8])?;
    scale.typed(&[Dtype::F32])?;
    let format = pieces.get(&of("weight_format"));
    if let Some(format) = &format {
        let words = format.bytes(0, format.size_bytes.min(1)).map_err(|error| error.to_string())?;
        if words.first().is_some_and(|word| *word != 0) {
            return Err("its rows are tiled for one kind of GPU (weight_format is not row)".to_owned());
        }
    }
    let shape = codes.shape.clone();
    Ok(Found {
        name: of("weight"),
        shape,
        says: "bitsandbytes int8, one scale an output".to_owned(),
        members: pieces.present(&["weight", "SCB", "weight_format"].map(of)),
        form: Arc::new(Scaled::by_row(codes, scale, 1.0 / 127.0)?),
    })
}

#[derive(Debug)]
struct FourBit {
    layout: Layout,
    codes: Piece,
    absmax: Piece,
    nested: Option<Nested>,
}

/// Scales that are codes themselves: level · scale of 256 of them, plus an offset.
#[derive(Debug)]
struct Nested {
    levels: Vec<f32>,
    absmax: Piece,
    block: u64,
    offset: f32,
}

/// What the JSON says; fields that nobody needs are not read.
#[derive(Deserialize)]
struct State {
    quant_type: String,
    blocksize: u64,
    shape: Vec<u64>,
    #[serde(default)]
    nested_blocksize: Option<u64>,
    #[serde(default)]
    nested_offset: Option<f32>,
}

pub(super) fn find_four_bit(stem: &str, pieces: &Pieces<'_>, _: &Quantisation) -> Result<Found, String> {
    let of = |part: &str| format!("{stem}.weight{part}");
    let codes = pieces.need(&of(""))?;
    let (absmax, quant_map) = (pieces.need(&of(".absmax"))?, pieces.need(&of(".quant_map"))?);
    let state_names = ["nf4", "fp4"].map(|kind| of(&format!(".quant_state.bitsandbytes__{kind}")));
    let [stored_state] = &state_names.iter().filter_map(|name| pieces.get(name)).collect::<Vec<_>>()[..]
    else {
        return Err(format!(
            "'{}' is missing, or there are two",
            shown(&of(".quant_state.bitsandbytes__nf4"))
        ));
    };
    let state = state(stored_state)?;
    codes.typed(&[Dtype::U8, Dtype::I8, Dtype::Bf16, Dtype::F16, Dtype::F32])?;
    quant_map.typed(&[Dtype::F32])?;
    quant_map.shaped(&[16])?;
    let n_elements = state
        .shape
        .iter()
        .try_fold(1_u64, |product, dim| product.checked_mul(*dim))
        .filter(|n| *n > 0 && n.div_ceil(2) == codes.size_bytes)
        .ok_or_else(|| {
            format!("{} bytes of codes do not hold the shape {:?}", codes.size_bytes, state.shape)
        })?;
    if state.shape.len() > 2
        || !(16..=65_536).contains(&state.blocksize)
        || !state.blocksize.is_multiple_of(16)
    {
        return Err(format!("blocks of {} over the shape {:?}", state.blocksize, state.shape));
    }
    let n_blocks = n_elements.div_ceil(state.blocksize);
    if absmax.n_elements() != n_blocks {
        return Err(format!("{} scales for {n_blocks} blocks", absmax.n_elements()));
    }
    let nested = match absmax.dtype {
        Dtype::F32 => None,
        Dtype::U8 => Some(nested(&of, pieces, &state, n_blocks)?),
        _ => return Err(format!("scales of type {}", absmax.dtype.name())),
    };
    let levels = quant_map.floats(0, 16).map_err(|error| error.to_string())?;
    let layout = Layout {
        n_elements,
        order: CodeOrder::HighHalfFirst,
        ..Layout::matrix(n_blocks, state.blocksize, 4, state.blocksize, Levels::of(&levels))
    };
    let twice = if nested.is_some() { ", scales quantised too" } else { "" };
    let mut names = ["", ".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map"].map(of).to_vec();
    names.extend(state_names);
    Ok(Found {
        name: of(""),
        shape: state.shape.clone(),
        says: format!("bitsandbytes {}, blocks of {}{twice}", state.quant_type, state.blocksize),
        members: pieces.present(&names),
        form: Arc::new(FourBit { layout, codes, absmax, nested }),
    })
}

fn state(stored: &Piece) -> Result<State, String> {
    stored.typed(&[Dtype::U8])?;
    if stored.size_bytes > MAX_STATE_BYTES {
        return Err(format!(
            "a quantisation state of {} bytes is no such state",
            source::grouped(stored.size_bytes)
        ));
    }
    let bytes = stored.bytes(0, stored.size_bytes).map_err(|error| error.to_string())?;
    let text = json::text(bytes, "QT-FORM").map_err(|fault| fault.message)?;
    let state: State = serde_json::from_str(&text)
        .map_err(|cause| format!("the quantisation state: {}", json::says(&cause)))?;
    if !matches!(state.quant_type.as_str(), "nf4" | "fp4") || !stored.name.ends_with(&state.quant_type) {
        return Err(format!("the quantisation state is of the kind '{}'", shown(&state.quant_type)));
    }
    Ok(state)
}

fn nested(
    of: &impl Fn(&str) -> String,
    pieces: &Pieces<'_>,
    state: &State,
    n_blocks: u64,
) -> Result<Nested, String> {
    let (absmax, quant_map) = (pieces.need(&of(".nested_absmax"))?, pieces.need(&of(".nested_quant_map"))?);
    absmax.typed(&[Dtype::F32])?;
    quant_map.typed(&[Dtype::F32])?;
    quant_map.shaped(&[256])?;
    let (Some(block), Some(offset)) =
        (state.nested_blocksize.filter(|block| *block > 0), state.nested_offset)
    else {
        return Err("the quantisation state lacks the block size or offset of its scales".to_owned());
    };
    absmax.shaped(&[n_blocks.div_ceil(block)])?;
    let levels = quant_map.floats(0, 256).map_err(|error| error.to_string())?;
    Ok(Nested { levels, absmax, block, offset })
}

impl Form for FourBit {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn read(&self, rows: Range<u64>, cols: Range<u64>) -> Result<Rows, Error> {
        let n_rows = rows.end - rows.start;
        let stored_row = self.layout.n_cols / 2;
        let (first_col, span) = match n_rows {
            1 => code_span(&self.layout, &cols),
            _ => (0, 0..stored_row),
        };
        let start = rows.start * stored_row + span.start;
        let end = ((rows.end - 1) * stored_row + span.end).min(self.codes.size_bytes);
        let mut codes = self.codes.bytes(start, end - start)?;
        let row_bytes = to_usize(span.end - span.start);
        // the last block may not be full
        codes.resize(to_usize(n_rows) * row_bytes, 0);
        let steps = match &self.nested {
            None => self.absmax.floats(rows.start, n_rows)?,
            Some(nested) => {
                let blocks = rows.start / nested.block..rows.end.div_ceil(nested.block);
                let outer = nested.absmax.floats(blocks.start, blocks.end - blocks.start)?;
                let codes = self.absmax.bytes(rows.start, n_rows)?;
                let step = |(row, code): (u64, u8)| {
                    let outer = outer[to_usize(row / nested.block - blocks.start)];
                    nested.levels[usize::from(code)] * outer + nested.offset
                };
                rows.clone().zip(codes).map(step).collect()
            }
        };
        Ok(Rows { row_bytes, codes, first_col, groups: 0..1, steps, ..Rows::default() })
    }
}
