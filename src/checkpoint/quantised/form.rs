//! A matrix of packed codes: what every quantised form is once its pieces are sorted out.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use super::levels::Levels;
use crate::cpu::CodeOrder;
use crate::source;

/// How the codes of a matrix [n_rows, n_cols] lie, and what they mean: (level − zero) · step.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub n_rows: u64,
    pub n_cols: u64,
    /// Elements in all: n_rows · n_cols, or less where the last row of a flat form is not full.
    pub n_elements: u64,
    pub n_bits: u32,
    pub order: CodeOrder,
    /// Columns that share a step.
    pub group_cols: u64,
    pub levels: Levels,
    /// Relative error that the type of the stored steps may have left: the writer rounded by steps of full width.
    pub step_rounding: f32,
}

impl Layout {
    /// A full matrix with `LowFirst` codes.
    pub(super) fn matrix(n_rows: u64, n_cols: u64, n_bits: u32, group_cols: u64, levels: Levels) -> Layout {
        Layout {
            n_rows,
            n_cols,
            n_elements: n_rows * n_cols,
            n_bits,
            order: CodeOrder::LowFirst,
            group_cols: group_cols.max(1),
            levels,
            step_rounding: 0.0,
        }
    }
}

/// Some rows of such a matrix, as they were read.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// Bytes of the codes of one row.
    pub row_bytes: usize,
    /// [rows, row_bytes].
    pub codes: Vec<u8>,
    /// Column of the first code of each row; a multiple of 8.
    pub first_col: u64,
    /// Groups of each row that are here.
    pub groups: Range<u64>,
    /// [rows, groups].
    pub steps: Vec<f32>,
    /// [rows, groups], or empty: all zeros.
    pub zeros: Vec<f32>,
    /// Group of every column, where inputs were reordered.
    pub group_of: Option<Vec<u32>>,
}

impl Rows {
    pub(super) fn size_bytes(&self) -> usize {
        self.codes.len()
            + 4 * (self.steps.len() + self.zeros.len() + self.group_of.as_ref().map_or(0, Vec::len))
    }
}

/// A quantised form.
pub(super) trait Form: Debug + Send + Sync {
    fn layout(&self) -> &Layout;

    /// Rows that are read together and kept, because the codes of one output lie all over the tensor; None where each
    /// row is one run of bytes.
    fn band_rows(&self) -> Option<u64> {
        None
    }

    /// Codes and steps of these rows. Of a single row at least these columns, of several rows or in bands all of them.
    fn read(&self, rows: Range<u64>, cols: Range<u64>) -> Result<Rows, source::Error>;
}

/// A group of tensors that a form explains.
#[derive(Debug)]
pub(super) struct Found {
    /// Name of the weight.
    pub name: String,
    pub shape: Vec<u64>,
    /// The form in words.
    pub says: String,
    pub form: Arc<dyn Form>,
    /// Indices of all pieces.
    pub members: Vec<usize>,
}

/// First column and bytes of the codes that hold `cols` of a row; starts at a whole byte.
pub(super) fn code_span(layout: &Layout, cols: &Range<u64>) -> (u64, Range<u64>) {
    let bits = u64::from(layout.n_bits);
    let first_col = cols.start / 8 * 8;
    (first_col, first_col * bits / 8..(cols.end * bits).div_ceil(8))
}
