//! A matrix inside a stored tensor: fused, split, transposed and interleaved layouts without a copy.

/// Order of the rows inside an attention head (Q and K only).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RowOrder {
    /// As stored.
    Plain,
    /// Rows 2j and 2j+1 of a head form a rotation pair; canonical order pairs j with j + rotary/2.
    InterleavedRope {
        /// Rows of one head.
        head_rows: u64,
        /// The first rows of each head that rotate; the rest keep their place.
        rotary_rows: u64,
    },
}

/// Canonical matrix [n_rows, n_cols], rows = outputs, laid over the flat elements of one tensor.
///
/// Element (r, c) lies at `base + (s / block_rows) * block_stride + (s % block_rows) * row_stride + c * col_stride`
/// with `s` the stored row of canonical row r (`row_order`). All counts are in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// Element index of (0, 0).
    pub base: u64,
    /// Outputs.
    pub n_rows: u64,
    /// Inputs.
    pub n_cols: u64,
    /// Rows that follow each other with `row_stride`; `n_rows` where there is one block.
    pub block_rows: u64,
    /// Distance between the first rows of two blocks.
    pub block_stride: u64,
    /// Distance between two rows of a block.
    pub row_stride: u64,
    /// Distance between two columns: 1 unless the tensor is stored transposed.
    pub col_stride: u64,
    /// Order of rows inside a head.
    pub row_order: RowOrder,
}

impl View {
    /// The whole of a row-major [n_rows, n_cols] tensor.
    #[must_use]
    pub fn whole(n_rows: u64, n_cols: u64) -> View {
        View::rows_of(0, n_rows, n_cols)
    }

    /// `n_rows` consecutive rows of a row-major tensor of `n_cols` columns, from row `first_row` on.
    #[must_use]
    pub fn rows_of(first_row: u64, n_rows: u64, n_cols: u64) -> View {
        View {
            base: first_row * n_cols,
            n_rows,
            n_cols,
            block_rows: n_rows.max(1),
            block_stride: n_rows * n_cols,
            row_stride: n_cols,
            col_stride: 1,
            row_order: RowOrder::Plain,
        }
    }

    /// Flat element index of (row, col).
    #[must_use]
    pub fn element(&self, row: u64, col: u64) -> u64 {
        let stored = match self.row_order {
            RowOrder::Plain => row,
            RowOrder::InterleavedRope { head_rows, rotary_rows } => {
                let (head, j) = (row / head_rows, row % head_rows);
                let half = rotary_rows / 2;
                let inside = if j >= rotary_rows {
                    j
                } else if j < half {
                    2 * j
                } else {
                    2 * (j - half) + 1
                };
                head * head_rows + inside
            }
        };
        self.base
            + (stored / self.block_rows) * self.block_stride
            + (stored % self.block_rows) * self.row_stride
            + col * self.col_stride
    }

    /// n_rows × n_cols.
    #[must_use]
    pub fn n_elements(&self) -> u64 {
        self.n_rows * self.n_cols
    }

    /// Whether canonical order is stored order without a gap, so that the view is one byte range.
    #[must_use]
    pub fn is_contiguous(&self) -> bool {
        self.col_stride == 1
            && self.row_stride == self.n_cols
            && self.row_order == RowOrder::Plain
            && (self.block_rows >= self.n_rows || self.block_stride == self.block_rows * self.row_stride)
    }

    /// The same matrix with rows and columns exchanged; only for views of one block in plain row order.
    #[must_use]
    pub fn transposed(&self) -> Option<View> {
        (self.block_rows >= self.n_rows && self.row_order == RowOrder::Plain).then(|| View {
            base: self.base,
            n_rows: self.n_cols,
            n_cols: self.n_rows,
            block_rows: self.n_cols.max(1),
            block_stride: self.n_cols * self.col_stride,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            row_order: RowOrder::Plain,
        })
    }
}
