//! What the shaders can read: element types by number, rows padded to whole slabs.

use std::borrow::Cow;
use std::ops::Range;

use crate::cpu::Cpu;
use crate::reductions::{ClassCounts, Elements};
use crate::tensor::{Dtype, Matrix, Values};

/// Elements of one f32 partial sum (`BLOCK` in shaders/shared/consts.wgsl).
pub(super) const BLOCK: usize = 4096;

/// Columns are padded with zeros to a multiple of this: one slab of the all-pairs kernels.
pub(super) const COLUMN_PAD: usize = 16;

/// Constants of shaders/shared/consts.wgsl by name; a test compares them.
pub const SHADER_CODES: [(&str, Dtype); 11] = [
    ("F32", Dtype::F32),
    ("BF16", Dtype::Bf16),
    ("F16", Dtype::F16),
    ("F8_E4M3", Dtype::F8E4m3),
    ("F8_E5M2", Dtype::F8E5m2),
    ("F8_E4M3FNUZ", Dtype::F8E4m3Fnuz),
    ("F8_E5M2FNUZ", Dtype::F8E5m2Fnuz),
    ("I8", Dtype::I8),
    ("U8", Dtype::U8),
    ("I16", Dtype::I16),
    ("U16", Dtype::U16),
];

/// The number of an element type in shaders/shared/consts.wgsl: its position in [`SHADER_CODES`]. None for the types
/// that f32 cannot hold.
pub(super) fn shader_code(dtype: Dtype) -> Option<u32> {
    (0..).zip(SHADER_CODES).find(|(_, (_, known))| *known == dtype).map(|(code, _)| code)
}

/// A run of elements in a type that the shaders decode.
pub(super) struct Operand<'a> {
    pub(super) code: u32,
    pub(super) element_bytes: usize,
    elements: Elements<'a>,
}

impl<'a> Operand<'a> {
    /// None for the types that the shaders do not know.
    pub(super) fn new(elements: Elements<'a>) -> Option<Operand<'a>> {
        let code = shader_code(elements.dtype)?;
        Some(Operand { code, element_bytes: elements.dtype.size_bytes()?, elements })
    }

    /// Whole elements.
    pub(super) fn n_elements(&self) -> usize {
        self.elements.bytes.len() / self.element_bytes
    }

    /// Elements `first..first + count`, cut at the end.
    pub(super) fn elements(&self, first: usize, count: usize) -> Elements<'a> {
        let end = (first + count).min(self.n_elements());
        let bytes = &self.elements.bytes[first.min(end) * self.element_bytes..end * self.element_bytes];
        Elements { bytes, ..self.elements }
    }
}

/// Some rows and columns of a matrix, each row padded to whole slabs, in the stored type.
pub(super) struct Rows<'a> {
    pub(super) code: u32,
    dtype: Dtype,
    pub(super) n_rows: usize,
    pub(super) padded_cols: usize,
    pub(super) bytes: Cow<'a, [u8]>,
    /// One factor per padded column.
    pub(super) factors: Vec<f32>,
}

impl<'a> Rows<'a> {
    /// Borrows whole rows that need no padding, copies others.
    pub(super) fn new(matrix: &'a Matrix, rows: Range<usize>, cols: Range<usize>) -> Rows<'a> {
        let padded_cols = cols.len().next_multiple_of(COLUMN_PAD);
        let (dtype, bytes) = match &matrix.values {
            Values::Bf16(bits) => (Dtype::Bf16, padded(bits, matrix.n_cols, &rows, &cols)),
            Values::F16(bits) => (Dtype::F16, padded(bits, matrix.n_cols, &rows, &cols)),
            Values::F32(values) => (Dtype::F32, padded(values, matrix.n_cols, &rows, &cols)),
        };
        let mut factors = match &matrix.column_scale {
            Some(scale) => scale[cols].to_vec(),
            None => vec![1.0; cols.len()],
        };
        factors.resize(padded_cols, 0.0);
        let code = shader_code(dtype).expect("the types of a matrix are in the table");
        Rows { code, dtype, n_rows: rows.len(), padded_cols, bytes, factors }
    }

    /// Checksum and counts of the bytes, padding included, as the host sees them.
    pub(super) fn classes(&self) -> ClassCounts {
        Cpu::detect().classify(Elements { dtype: self.dtype, bytes: &self.bytes })
    }
}

/// Bytes of one stored element.
pub(super) fn element_bytes(matrix: &Matrix) -> usize {
    match &matrix.values {
        Values::Bf16(_) | Values::F16(_) => 2,
        Values::F32(_) => 4,
    }
}

fn padded<'a, T: bytemuck::Pod>(
    values: &'a [T],
    n_cols: usize,
    rows: &Range<usize>,
    cols: &Range<usize>,
) -> Cow<'a, [u8]> {
    let padded_cols = cols.len().next_multiple_of(COLUMN_PAD);
    if padded_cols == n_cols {
        return Cow::Borrowed(bytemuck::cast_slice(&values[rows.start * n_cols..rows.end * n_cols]));
    }
    let width = size_of::<T>();
    let mut bytes = vec![0; rows.len() * padded_cols * width];
    for (row, out) in rows.clone().zip(bytes.chunks_exact_mut((padded_cols * width).max(1))) {
        let stored = &values[row * n_cols..][cols.clone()];
        out[..cols.len() * width].copy_from_slice(bytemuck::cast_slice(stored));
    }
    Cow::Owned(bytes)
}
