//! W + scale · L·R as bytes by position, L and R the factors as the matrix is stored.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::checkpoint::kept::Kept;
use crate::cpu::Cpu;
use crate::reductions::Elements;
use crate::source::{Below, Error, Source};
use crate::tensor::Dtype;

/// How the changed matrix is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Orientation {
    /// Outputs are rows.
    OutIn,
    /// Inputs are rows: Conv1D of GPT-2, token tables.
    InOut,
}

/// A stored factor.
#[derive(Clone, Debug)]
pub(super) struct Factor {
    pub file: Arc<dyn Source>,
    pub offset: u64,
    pub dtype: Dtype,
    pub n_elements: u64,
}

/// The matrix under an adapter.
#[derive(Clone, Debug)]
pub(super) struct Base {
    pub file: Arc<dyn Source>,
    pub offset: u64,
    pub dtype: Dtype,
}

/// Both factors in memory, for a matrix [rows, cols]: left [rows, rank], right [rank, cols], and the magnitudes.
#[derive(Debug)]
pub(super) struct Pair {
    left: Vec<f32>,
    right: Vec<f32>,
    magnitude: Vec<f32>,
}

/// A matrix with an adapter laid over it.
#[derive(Debug)]
pub(super) struct Lora {
    base: Option<Base>,
    a: Factor,
    b: Factor,
    magnitude: Option<Factor>,
    n_rows: usize,
    n_cols: usize,
    rank: usize,
    orientation: Orientation,
    scale: f32,
    kept: Arc<Kept<Pair>>,
    owner: u64,
    /// Lengths of the columns, which need the whole matrix once: DoRA over a matrix stored [in, out].
    column_lengths: Mutex<Option<Arc<Vec<f32>>>>,
}

impl Lora {
    /// `ab`: A [rank, in] and B [out, rank]; `outs_ins`: [out, in].
    pub(super) fn new(
        base: Option<Base>,
        ab: [Factor; 2],
        magnitude: Option<Factor>,
        outs_ins: [u64; 2],
        orientation: Orientation,
        scale: f32,
        kept: Arc<Kept<Pair>>,
    ) -> Lora {
        let [n_outs, n_ins] = outs_ins.map(to_usize);
        let [a, b] = ab;
        let rank = to_usize(a.n_elements) / n_ins.max(1);
        let (n_rows, n_cols) = match orientation {
            Orientation::OutIn => (n_outs, n_ins),
            Orientation::InOut => (n_ins, n_outs),
        };
        let owner = kept.owner();
        let column_lengths = Mutex::new(None);
        Lora { base, a, b, magnitude, n_rows, n_cols, rank, orientation, scale, kept, owner, column_lengths }
    }

    fn pair(&self) -> Result<Arc<Pair>, Error> {
        if let Some(pair) = self.kept.find((self.owner, 0)) {
            return Ok(pair);
        }
        let read = |factor: &Factor| {
            let mut values = vec![0.0; to_usize(factor.n_elements)];
            read_floats(&factor.file, factor.offset, factor.dtype, 0, &mut values).map(|()| values)
        };
        let (a, b) = (read(&self.a)?, read(&self.b)?);
        let (left, right) = match self.orientation {
            Orientation::OutIn => (b, a),
            Orientation::InOut => (transposed(&a, self.rank), transposed(&b, self.n_cols)),
        };
        let magnitude = self.magnitude.as_ref().map(read).transpose()?.unwrap_or_default();
        let size_bytes = 4 * (left.len() + right.len() + magnitude.len());
        let pair = Arc::new(Pair { left, right, magnitude });
        self.kept.keep((self.owner, 0), &pair, size_bytes);
        Ok(pair)
    }

    /// Columns from `first_col` on of one row of the sum, without magnitudes. The change is formed first, as PEFT does: its roundings are
    /// then as small as it is, and what is left of them against a merged file is the rounding of one addition.
    fn sum(&self, pair: &Pair, row: usize, first_col: usize, out: &mut [f32]) -> Result<(), Error> {
        match &self.base {
            Some(base) => {
                read_floats(&base.file, base.offset, base.dtype, row * self.n_cols + first_col, out)?;
            }
            None => out.fill(0.0),
        }
        let left = &pair.left[row * self.rank..(row + 1) * self.rank];
        let mut change = vec![0.0_f32; out.len()];
        for (factor, right) in left.iter().zip(pair.right.chunks_exact(self.n_cols)) {
            for (value, right) in change.iter_mut().zip(&right[first_col..]) {
                *value += factor * right;
            }
        }
        for (value, change) in out.iter_mut().zip(&change) {
            *value += self.scale * change;
        }
        Ok(())
    }

    /// Columns of one row as the adapted model has them.
    fn row(&self, pair: &Pair, row: usize, first_col: usize, out: &mut [f32]) -> Result<(), Error> {
        if self.magnitude.is_none() {
            return self.sum(pair, row, first_col, out);
        }
        match self.orientation {
            Orientation::OutIn => {
                let mut whole = vec![0.0; self.n_cols];
                self.sum(pair, row, 0, &mut whole)?;
                let factor = pair.magnitude[row] / length(&whole);
                for (value, sum) in out.iter_mut().zip(&whole[first_col..]) {
                    *value = sum * factor;
                }
            }
            Orientation::InOut => {
                self.sum(pair, row, first_col, out)?;
                let lengths = self.lengths(pair)?;
                for (col, value) in (first_col..).zip(out) {
                    *value *= pair.magnitude[col] / lengths[col];
                }
            }
        }
        Ok(())
    }

    fn lengths(&self, pair: &Pair) -> Result<Arc<Vec<f32>>, Error> {
        let mut known = self.column_lengths.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lengths) = &*known {
            return Ok(Arc::clone(lengths));
        }
        let (mut squares, mut row_values) = (vec![0.0_f64; self.n_cols], vec![0.0; self.n_cols]);
        for row in 0..self.n_rows {
            self.sum(pair, row, 0, &mut row_values)?;
            for (square, value) in squares.iter_mut().zip(&row_values) {
                *square += f64::from(*value) * f64::from(*value);
            }
        }
        let lengths: Arc<Vec<f32>> =
            Arc::new(squares.into_iter().map(|square| narrowed(square.sqrt())).collect());
        *known = Some(Arc::clone(&lengths));
        Ok(lengths)
    }
}

/// The nearest f32.
#[expect(clippy::cast_possible_truncation, reason = "rounding to nearest is what is meant")]
pub(super) fn narrowed(value: f64) -> f32 {
    value as f32
}

fn length(values: &[f32]) -> f32 {
    narrowed(values.iter().map(|value| f64::from(*value) * f64::from(*value)).sum::<f64>().sqrt())
}

/// A row-major [n_rows, n] matrix turned: [n, n_rows].
fn transposed(values: &[f32], n_rows: usize) -> Vec<f32> {
    let n = values.len() / n_rows.max(1);
    (0..n).flat_map(|col| (0..n_rows).map(move |row| values[row * n + col])).collect()
}

/// Elements from `first` on of a tensor that begins at byte `offset`.
fn read_floats(
    file: &Arc<dyn Source>,
    offset: u64,
    dtype: Dtype,
    first: usize,
    out: &mut [f32],
) -> Result<(), Error> {
    let size = dtype.size_bytes().unwrap_or(1);
    let mut bytes = vec![0; out.len() * size];
    file.read_at(offset + (first * size) as u64, &mut bytes)?;
    Cpu::portable().decode(Elements { dtype, bytes: &bytes }, out);
    Ok(())
}

fn to_usize(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

impl Source for Lora {
    fn name(&self) -> &str {
        self.a.file.name()
    }

    fn size_bytes(&self) -> u64 {
        (self.n_rows * self.n_cols) as u64 * 4
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        let wanted_end = offset.saturating_add(buffer.len() as u64);
        if wanted_end > self.size_bytes() {
            let path = PathBuf::from(self.name());
            return Err(Error::Short { path, first_missing: self.size_bytes(), wanted_end });
        }
        let pair = self.pair()?;
        let (mut at, mut buffer) = (offset, buffer);
        let mut values = Vec::new();
        while !buffer.is_empty() {
            let (first, skip) = (to_usize(at / 4), to_usize(at % 4));
            let (row, col) = (first / self.n_cols, first % self.n_cols);
            let n = (skip + buffer.len()).div_ceil(4).min(self.n_cols - col);
            values.resize(n, 0.0);
            self.row(&pair, row, col, &mut values)?;
            let (now, rest) = buffer.split_at_mut(buffer.len().min(4 * n - skip));
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).skip(skip);
            now.iter_mut().zip(bytes).for_each(|(to, byte)| *to = byte);
            at += now.len() as u64;
            buffer = rest;
        }
        Ok(())
    }

    fn cost_bytes(&self, offset: u64, n_bytes: u64) -> u64 {
        let factors = match self.kept.find((self.owner, 0)) {
            Some(_) => 0,
            None => [&self.a, &self.b].iter().map(|f| f.n_elements * f.dtype.size_bits() / 8).sum(),
        };
        let base = self.base.as_ref().map_or(0, |base| {
            let size = base.dtype.size_bits() / 8;
            base.file.cost_bytes(base.offset + offset / 4 * size, n_bytes / 4 * size)
        });
        base + factors
    }

    fn is_remote(&self) -> bool {
        let factors = [Some(&self.a), Some(&self.b), self.magnitude.as_ref()];
        factors.into_iter().flatten().any(|factor| factor.file.is_remote())
            || self.base.as_ref().is_some_and(|base| base.file.is_remote())
    }

    fn below(&self, ranges: &[Range<u64>]) -> Vec<Below> {
        let mut below = Vec::new();
        if self.kept.find((self.owner, 0)).is_none() {
            for factor in [Some(&self.a), Some(&self.b), self.magnitude.as_ref()].into_iter().flatten() {
                let n_bytes = factor.n_elements * factor.dtype.size_bits() / 8;
                let whole = factor.offset..factor.offset + n_bytes;
                below.push((Arc::clone(&factor.file), std::iter::once(whole).collect()));
            }
        }
        if let Some(base) = &self.base {
            let size = base.dtype.size_bits() / 8;
            let element = |at: u64| base.offset + at * size;
            let of_base = |range: &Range<u64>| element(range.start / 4)..element(range.end.div_ceil(4));
            let inside =
                ranges.iter().filter(|range| range.start < range.end && range.end <= self.size_bytes());
            below.push((Arc::clone(&base.file), inside.map(of_base).collect()));
        }
        below
    }

    fn verify_unchanged(&self) -> Result<(), Error> {
        self.a.file.verify_unchanged()
    }
}
