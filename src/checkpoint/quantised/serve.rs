//! The decoded elements of a quantised matrix as bytes by position.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::form::{Form, Layout, Rows};
use super::piece::to_usize;
use crate::checkpoint::kept::Kept;
use crate::cpu::{scale_codes, scale_levels, unpack_codes};
use crate::source::{Error, Source};

/// What is served for each element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Serve {
    /// The value itself.
    Values,
    /// The lowest value that its level stands for.
    Low,
    /// The highest.
    High,
}

/// Bands read last, for forms in which the codes of one output lie all over the tensor.
pub(super) type Bands = Kept<Rows>;

/// A quantised matrix, decoded while it is read: little-endian f32, row-major.
#[derive(Clone, Debug)]
pub(super) struct Decoded {
    pub form: Arc<dyn Form>,
    pub serve: Serve,
    /// The file of the codes.
    pub file: Arc<dyn Source>,
    pub bands: Arc<Bands>,
    /// Number of the form among the bands.
    pub number: u64,
    /// Bytes of all pieces.
    pub stored_bytes: u64,
}

impl Decoded {
    /// Rows from files, or from the bands read before.
    fn rows(&self, rows: Range<u64>, cols: Range<u64>) -> Result<(Arc<Rows>, u64), Error> {
        let Some(band_rows) = self.form.band_rows() else {
            let first = rows.start;
            return Ok((Arc::new(self.form.read(rows, cols)?), first));
        };
        let band = rows.start / band_rows;
        let first = band * band_rows;
        if let Some(found) = self.bands.find((self.number, band)) {
            return Ok((found, first));
        }
        let layout = self.form.layout();
        let whole = first..(first + band_rows).min(layout.n_rows);
        let read = Arc::new(self.form.read(whole, 0..layout.n_cols)?);
        self.bands.keep((self.number, band), &read, read.size_bytes());
        Ok((read, first))
    }

    /// Elements from `first` on, as many as `out` is long; all of them exist.
    fn decode(&self, first: u64, out: &mut [f32]) -> Result<(), Error> {
        let layout = self.form.layout();
        let end = first + out.len() as u64;
        let (mut at, mut out) = (first, out);
        let mut codes = Vec::new();
        while at < end {
            let (row, col) = (at / layout.n_cols, at % layout.n_cols);
            let n_whole = (end - at) / layout.n_cols;
            let is_part = col != 0 || n_whole == 0;
            let cols = if is_part { col..layout.n_cols.min(col + end - at) } else { 0..layout.n_cols };
            let mut rows = if is_part { row..row + 1 } else { row..row + n_whole };
            if let Some(band_rows) = self.form.band_rows() {
                rows.end = rows.end.min((row / band_rows + 1) * band_rows);
            }
            let (read, first_row) = self.rows(rows.clone(), cols.clone())?;
            for row in rows {
                let (now, rest) = out.split_at_mut(to_usize(cols.end - cols.start));
                decode_row(layout, &read, to_usize(row - first_row), &cols, self.serve, &mut codes, now);
                at += now.len() as u64;
                out = rest;
            }
        }
        Ok(())
    }
}

/// Columns `cols` of one row.
fn decode_row(
    layout: &Layout,
    rows: &Rows,
    row: usize,
    cols: &Range<u64>,
    serve: Serve,
    codes: &mut Vec<u8>,
    out: &mut [f32],
) {
    let row_codes = rows.codes.get(row * rows.row_bytes..(row + 1) * rows.row_bytes).unwrap_or_default();
    codes.resize(out.len(), 0);
    unpack_codes(row_codes, layout.n_bits, layout.order, to_usize(cols.start - rows.first_col), codes);
    let n_groups = to_usize(rows.groups.end - rows.groups.start);
    let of_group = |group: u64| {
        let at = row * n_groups + to_usize(group.saturating_sub(rows.groups.start));
        let step = rows.steps.get(at).copied().unwrap_or(f32::NAN);
        (rows.zeros.get(at).copied().unwrap_or(0.0), step)
    };
    let mut done = 0;
    while done < out.len() {
        let col = cols.start + done as u64;
        let (group, n) = match &rows.group_of {
            Some(group_of) => (group_of.get(to_usize(col)).copied().unwrap_or(0).into(), 1),
            None => (col / layout.group_cols, layout.group_cols - col % layout.group_cols),
        };
        let end = out.len().min(done + to_usize(n));
        let (zero, step) = of_group(group);
        serve_run(layout, &codes[done..end], zero, step, serve, &mut out[done..end]);
        done = end;
    }
}

/// Codes that share a step.
fn serve_run(layout: &Layout, codes: &[u8], zero: f32, step: f32, serve: Serve, out: &mut [f32]) {
    let levels = &layout.levels;
    let (bounds, sign) = match serve {
        Serve::Values if levels.is_whole => return scale_codes(codes, zero, step, out),
        Serve::Values => return scale_levels(codes, &levels.values, zero, step, out),
        Serve::Low => (&levels.low, -1.0),
        Serve::High => (&levels.high, 1.0),
    };
    scale_levels(codes, bounds, zero, step, out);
    for (bound, code) in out.iter_mut().zip(codes) {
        let value = (levels.values[usize::from(*code)] - zero) * step.abs();
        *bound += sign * step.signum() * layout.step_rounding * value.abs();
    }
}

impl Source for Decoded {
    fn name(&self) -> &str {
        self.file.name()
    }

    fn size_bytes(&self) -> u64 {
        self.form.layout().n_elements * 4
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        /// Elements decoded at a time.
        const BLOCK: usize = 1 << 16;
        let wanted_end = offset.saturating_add(buffer.len() as u64);
        if wanted_end > self.size_bytes() {
            let path = PathBuf::from(self.file.name());
            return Err(Error::Short { path, first_missing: self.size_bytes(), wanted_end });
        }
        let mut values = Vec::new();
        let (mut at, mut buffer) = (offset, buffer);
        while !buffer.is_empty() {
            let skip = to_usize(at % 4);
            let n = (skip + buffer.len()).div_ceil(4).min(BLOCK);
            values.resize(n, 0.0_f32);
            self.decode(at / 4, &mut values)?;
            let (now, rest) = buffer.split_at_mut(buffer.len().min(4 * n - skip));
            if skip == 0 && now.len() == 4 * n {
                for (bytes, value) in now.as_chunks_mut::<4>().0.iter_mut().zip(&values) {
                    *bytes = value.to_le_bytes();
                }
            } else {
                let bytes = values.iter().flat_map(|value| value.to_le_bytes()).skip(skip);
                now.iter_mut().zip(bytes).for_each(|(to, byte)| *to = byte);
            }
            at += now.len() as u64;
            buffer = rest;
        }
        Ok(())
    }

    fn cost_bytes(&self, offset: u64, n_bytes: u64) -> u64 {
        let layout = self.form.layout();
        let share = |elements: u64| {
            let cost = u128::from(elements) * u128::from(self.stored_bytes);
            let n = u128::from(layout.n_elements.max(1));
            u64::try_from(cost.div_ceil(n)).unwrap_or(u64::MAX)
        };
        let Some(band_rows) = self.form.band_rows().filter(|_| n_bytes > 0) else {
            return share(n_bytes / 4);
        };
        // whole bands are read, and those kept cost nothing
        let band_of = |byte: u64| byte / 4 / layout.n_cols / band_rows;
        let bands = band_of(offset)..=band_of(offset.saturating_add(n_bytes - 1));
        let missing = bands.filter(|band| self.bands.find((self.number, *band)).is_none());
        missing.map(|band| share((layout.n_rows - band * band_rows).min(band_rows) * layout.n_cols)).sum()
    }

    fn verify_unchanged(&self) -> Result<(), Error> {
        self.file.verify_unchanged()
    }
}
