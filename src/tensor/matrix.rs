//! A dense matrix in memory, in the element type it was stored in.

use super::Dtype;

/// Row-major elements of a [`Matrix`]. bf16 and f16 stay packed: the kernels decode them.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// bf16 bit patterns.
    Bf16(Vec<u16>),
    /// f16 bit patterns.
    F16(Vec<u16>),
    /// Everything else, decoded.
    F32(Vec<f32>),
}

/// Dense row-major matrix [n_rows, n_cols], optionally with one factor per column (a folded norm gain).
///
/// The effective element is `values[r * n_cols + c] * column_scale[c]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// Rows.
    pub n_rows: usize,
    /// Columns.
    pub n_cols: usize,
    /// n_rows × n_cols elements.
    pub values: Values,
    /// n_cols factors, or none.
    pub column_scale: Option<Vec<f32>>,
}

impl Matrix {
    /// A matrix of f32 values without column factors; `values.len()` must be `n_rows * n_cols`.
    #[must_use]
    pub fn from_f32(n_rows: usize, n_cols: usize, values: Vec<f32>) -> Matrix {
        assert_eq!(values.len(), n_rows * n_cols, "a matrix needs n_rows × n_cols values");
        Matrix { n_rows, n_cols, values: Values::F32(values), column_scale: None }
    }

    /// Some consecutive rows, copied.
    #[must_use]
    pub fn row_range(&self, rows: std::ops::Range<usize>) -> Matrix {
        let places = rows.start * self.n_cols..rows.end * self.n_cols;
        let values = match &self.values {
            Values::Bf16(bits) => Values::Bf16(bits[places].to_vec()),
            Values::F16(bits) => Values::F16(bits[places].to_vec()),
            Values::F32(values) => Values::F32(values[places].to_vec()),
        };
        Matrix { n_rows: rows.len(), n_cols: self.n_cols, values, column_scale: self.column_scale.clone() }
    }

    /// Element type and bytes as they lie in memory, column factors not applied.
    #[must_use]
    pub fn as_bytes(&self) -> (Dtype, &[u8]) {
        match &self.values {
            Values::Bf16(bits) => (Dtype::Bf16, bytemuck::cast_slice(bits)),
            Values::F16(bits) => (Dtype::F16, bytemuck::cast_slice(bits)),
            Values::F32(values) => (Dtype::F32, bytemuck::cast_slice(values)),
        }
    }

    /// Decoded elements of a row, `n_cols` of them, column factors included.
    #[must_use]
    pub fn row(&self, row: usize) -> Vec<f32> {
        let places = row * self.n_cols..(row + 1) * self.n_cols;
        let mut elements: Vec<f32> = match &self.values {
            Values::Bf16(bits) => {
                bits[places].iter().map(|bits| half::bf16::from_bits(*bits).to_f32()).collect()
            }
            Values::F16(bits) => {
                bits[places].iter().map(|bits| half::f16::from_bits(*bits).to_f32()).collect()
            }
            Values::F32(values) => values[places].to_vec(),
        };
        if let Some(scale) = &self.column_scale {
            elements.iter_mut().zip(scale).for_each(|(element, factor)| *element *= factor);
        }
        elements
    }

    /// Decoded element (row, col), column factor included.
    #[must_use]
    pub fn at(&self, row: usize, col: usize) -> f32 {
        let index = row * self.n_cols + col;
        let value = match &self.values {
            Values::Bf16(bits) => half::bf16::from_bits(bits[index]).to_f32(),
            Values::F16(bits) => half::f16::from_bits(bits[index]).to_f32(),
            Values::F32(values) => values[index],
        };
        self.column_scale.as_ref().map_or(value, |scale| value * scale[col])
    }
}
