//! A matrix as it lies in a tensor, and views of some of its outputs.

use super::cut::SHAPE;
use crate::tensor::{RowOrder, View};

/// Whether the product of any of the dimensions can be formed: [0, 2⁶³, 2⁶³] holds nothing, yet half of it overflows.
pub(super) fn is_countable(shape: &[u64]) -> bool {
    shape.iter().try_fold(1u64, |product, dim| product.checked_mul((*dim).max(1))).is_some()
}

/// A matrix as it lies in the file; `n_ins` is 1 and `is_vector` set for a bias or a norm.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored {
    pub(super) base: u64,
    pub(super) n_outs: u64,
    pub(super) n_ins: u64,
    pub(super) out_stride: u64,
    pub(super) in_stride: u64,
    pub(super) is_vector: bool,
}

impl Stored {
    /// A stored tensor: a matrix [first dimension, rest], or a vector.
    pub(super) fn of(shape: &[u64], is_bias: bool) -> Result<Stored, &'static str> {
        // [1, n, d] position tables and [1, 1, d] class tokens of vision models carry empty leading axes
        let mut dims = shape;
        while let [1, rest @ ..] = dims
            && rest.len() >= 2
        {
            dims = rest;
        }
        match dims {
            [] => Ok(Stored::vector(0, 1)),
            [n] => Ok(Stored::vector(0, *n)),
            _ if is_bias => Err(SHAPE),
            [n_outs, rest @ ..] => Ok(Stored::matrix(0, *n_outs, rest.iter().product())),
        }
    }

    /// n elements from `base` on.
    pub(super) fn vector(base: u64, n: u64) -> Stored {
        Stored { base, n_outs: n, n_ins: 1, out_stride: 1, in_stride: 1, is_vector: true }
    }

    /// Row-major [out, in] from `base` on.
    pub(super) fn matrix(base: u64, n_outs: u64, n_ins: u64) -> Stored {
        Stored { base, n_outs, n_ins, out_stride: n_ins, in_stride: 1, is_vector: false }
    }

    /// The same bytes read as [in, out]; a vector stays one.
    pub(super) fn transposed(self) -> Stored {
        if self.is_vector {
            return self;
        }
        Stored {
            n_outs: self.n_ins,
            n_ins: self.n_outs,
            out_stride: self.in_stride,
            in_stride: self.out_stride,
            ..self
        }
    }

    /// The view of some of the outputs.
    pub(super) fn view(self, runs: Runs, row_order: RowOrder) -> View {
        let Runs { first, n_rows, stride, n_runs } = runs;
        let base = self.base + first * self.out_stride;
        // single rows at one distance are one block with a longer row stride
        let (block_rows, n_runs, row_stride, block_stride) = match (n_rows, n_runs) {
            (1, 2..) => (n_runs, 1, stride * self.out_stride, n_runs * stride * self.out_stride),
            (_, 1) => (n_rows, 1, self.out_stride, n_rows * self.out_stride),
            _ => (n_rows, n_runs, self.out_stride, stride * self.out_stride),
        };
        let n_rows = block_rows * n_runs;
        // a vector is one row, unless its elements are permuted or lie in blocks: then one element a row
        if self.is_vector && n_runs == 1 && row_order == RowOrder::Plain {
            return View {
                base,
                n_rows: 1,
                n_cols: n_rows,
                block_rows: 1,
                block_stride: n_rows * row_stride,
                row_stride: n_rows * row_stride,
                col_stride: row_stride,
                row_order,
            };
        }
        View {
            base,
            n_rows,
            n_cols: self.n_ins,
            block_rows: block_rows.max(1),
            block_stride,
            row_stride,
            col_stride: self.in_stride,
            row_order,
        }
    }

    /// All outputs in stored order.
    pub(super) fn whole(self) -> View {
        self.view(Runs::at(0, self.n_outs), RowOrder::Plain)
    }
}

/// Outputs in equal runs at one distance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Runs {
    pub(super) first: u64,
    pub(super) n_rows: u64,
    pub(super) stride: u64,
    pub(super) n_runs: u64,
}

impl Runs {
    /// Consecutive outputs.
    pub(super) fn at(first: u64, n_rows: u64) -> Runs {
        Runs { first, n_rows, stride: n_rows, n_runs: 1 }
    }
}

/// Whole tensor of a type without a role: [first dimension, rest], a vector as one row.
pub(super) fn whole(shape: &[u64]) -> View {
    match shape {
        [] => View::whole(1, 1),
        [n] => View::whole(1, *n),
        [n_rows, rest @ ..] => View::whole(*n_rows, rest.iter().product()),
    }
}
