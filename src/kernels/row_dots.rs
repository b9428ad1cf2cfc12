//! Σab, Σa², Σb² of row i of a with row i of b. [n, k] × 2 → n.
//!
//! The cosine of aligned rows is made of these. They say nothing about reordered rows. A row with NaN or Inf has NaN
//! or infinite sums.

use std::ops::Range;

use super::Backend;
use super::moments::{squares_fit, to_u32};
use super::operand::{BLOCK, Rows, element_bytes};
use crate::gpu::{self, Call, Edit, Gpu, Kernel, Resident, Submitted};
use crate::reductions::RowDots;
use crate::tensor::Matrix;

/// Σab, Σa², Σb² of row i of a with row i of b. [n, k] × 2 → n.
///
/// # Errors
/// The GPU failed or returned a wrong canary.
pub fn row_dots(backend: &Backend, a: &Matrix, b: &Matrix) -> Result<Vec<RowDots>, gpu::Error> {
    match backend {
        Backend::Cpu(cpu) => Ok(cpu.row_dots(a, b)),
        Backend::Gpu(gpu) => on_gpu(gpu, a, b),
    }
}

gpu::params! {
    /// Uniform of shaders/row_dots.wgsl.
    struct Params { n_rows: u32, row_quads: u32, n_blocks: u32 }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    label: "row_dots",
    entry: "row_dots",
    source: concat!(
        include_str!("../../shaders/shared/consts.wgsl"),
        include_str!("../../shaders/shared/decode.wgsl"),
        include_str!("../../shaders/shared/operands.wgsl"),
        include_str!("../../shaders/shared/reduce.wgsl"),
        include_str!("../../shaders/row_dots.wgsl"),
    ),
    first_output: 5,
    params: Params::FIELDS,
    broken: &[
        Edit { name: "skipped stride", find: "quad += WG", replace: "quad += 2u * WG" },
        Edit {
            name: "lost row",
            find: "raw_quad_b(row * params.row_quads",
            replace: "raw_quad_b((row / 2u) * params.row_quads",
        },
        Edit { name: "wrong operand", find: "bb += y * y;", replace: "bb += x * y;" },
        Edit {
            name: "factor ignored",
            find: "* b_factors[quad]",
            replace: "* min(b_factors[quad], vec4(1.0))",
        },
        Edit { name: "gain", find: "ab += x * y;", replace: "ab += x * y * 1.0005;" },
    ],
};

/// Words of one partial (`RECORD` in the shader).
const RECORD: usize = 11;

fn on_gpu(gpu: &Gpu, a: &Matrix, b: &Matrix) -> Result<Vec<RowDots>, gpu::Error> {
    let (n_rows, n_cols) = (a.n_rows.min(b.n_rows), a.n_cols.min(b.n_cols));
    let mut dots = vec![RowDots::default(); n_rows];
    let width = element_bytes(a).max(element_bytes(b));
    let mut first_col = 0;
    while first_col < n_cols {
        let cols = first_col..n_cols.min(first_col + gpu.max_chunk_bytes() / width / BLOCK * BLOCK);
        let mut next_row = 0;
        gpu.in_steps(
            n_rows,
            |first_row| {
                let rows = first_row..n_rows.min(first_row + rows_per_chunk(gpu, cols.len(), width));
                let sides =
                    (Rows::new(a, rows.clone(), cols.clone()), Rows::new(b, rows.clone(), cols.clone()));
                let (device_a, device_b) =
                    (OnDevice::upload(gpu, &sides.0, 0)?, OnDevice::upload(gpu, &sides.1, 0)?);
                let submitted = submit(gpu, (&sides.0, &device_a), (&sides.1, &device_b))?;
                Ok((rows.len(), (rows, sides, submitted)))
            },
            |(rows, sides, submitted)| {
                let partials = finish(gpu, &sides.0, &sides.1, submitted)?;
                checked_sums(gpu, (a, b), rows, cols.clone(), partials)
            },
            |sums| {
                for (dots, sum) in dots[next_row..].iter_mut().zip(&sums) {
                    dots.ab += sum.ab;
                    dots.aa += sum.aa;
                    dots.bb += sum.bb;
                }
                next_row += sums.len();
            },
        )?;
        first_col = cols.end;
    }
    Ok(dots)
}

/// Sums of some rows over some columns: blocks that f32 cannot hold are summed on the host, and one in
/// [`RECHECK_EVERY`] is compared with the host's.
fn checked_sums(
    gpu: &Gpu,
    (a, b): (&Matrix, &Matrix),
    rows: Range<usize>,
    cols: Range<usize>,
    partials: Vec<Vec<Partial>>,
) -> Result<Vec<RowDots>, gpu::Error> {
    let mut sums = Vec::with_capacity(rows.len());
    for (row, blocks) in rows.zip(partials) {
        let mut sum = RowDots::default();
        for (block_idx, partial) in blocks.into_iter().enumerate() {
            let first = cols.start + block_idx * BLOCK;
            let block_cols = first..cols.end.min(first + BLOCK);
            let on_host = || host_block(a, b, row, block_cols.clone());
            let part = if partial.fits { partial.dots } else { on_host() };
            if partial.fits && (row * a.n_cols.min(b.n_cols) + first).is_multiple_of(RECHECK_EVERY) {
                recheck(gpu, &part, &on_host(), block_cols.len())?;
            }
            sum.ab += part.ab;
            sum.aa += part.aa;
            sum.bb += part.bb;
        }
        sums.push(sum);
    }
    Ok(sums)
}

/// Blocks whose first element has an index divisible by this are summed again on the host.
const RECHECK_EVERY: usize = 1024;

/// Rows that fit one upload and one dispatch.
fn rows_per_chunk(gpu: &Gpu, n_cols: usize, element_bytes: usize) -> usize {
    rows_within(gpu, gpu.max_chunk_bytes(), n_cols, element_bytes)
}

/// Rows that fit so many bytes and one dispatch; at least one.
pub(super) fn rows_within(gpu: &Gpu, n_bytes: usize, n_cols: usize, element_bytes: usize) -> usize {
    let row_bytes = n_cols.next_multiple_of(super::operand::COLUMN_PAD) * element_bytes;
    let max_groups = usize::try_from(gpu.info().max_workgroups).unwrap_or(usize::MAX);
    (n_bytes / row_bytes.max(1)).min(max_groups / n_cols.div_ceil(BLOCK).max(1)).max(1)
}

/// Rows and column factors in device memory.
pub(super) struct OnDevice {
    pub(super) values: Resident,
    pub(super) factors: Resident,
}

impl OnDevice {
    /// Kernels may read up to `readable_rows`; those beyond the given ones hold anything.
    pub(super) fn upload(gpu: &Gpu, rows: &Rows<'_>, readable_rows: usize) -> Result<OnDevice, gpu::Error> {
        let row_bytes = rows.bytes.len() / rows.n_rows.max(1);
        Ok(OnDevice {
            values: gpu.upload(&KERNEL, &rows.bytes, readable_rows * row_bytes)?,
            factors: gpu.upload(&KERNEL, bytemuck::cast_slice(&rows.factors), 0)?,
        })
    }
}

/// Sums over one block of one row.
#[derive(Clone, Copy)]
pub(super) struct Partial {
    pub(super) dots: RowDots,
    /// Largest magnitude of a; NaN where an element is not finite.
    pub(super) largest_a: f32,
    /// Whether every value is finite and every square stays inside f32; otherwise the sums mean nothing.
    pub(super) fits: bool,
}

/// Per row, the partials of its blocks.
pub(super) fn run(
    gpu: &Gpu,
    a: (&Rows<'_>, &OnDevice),
    b: (&Rows<'_>, &OnDevice),
) -> Result<Vec<Vec<Partial>>, gpu::Error> {
    finish(gpu, a.0, b.0, submit(gpu, a, b)?)
}

fn submit(
    gpu: &Gpu,
    (rows_a, device_a): (&Rows<'_>, &OnDevice),
    (rows_b, device_b): (&Rows<'_>, &OnDevice),
) -> Result<Submitted, gpu::Error> {
    let n_blocks = rows_a.padded_cols.div_ceil(BLOCK);
    let n_groups = rows_a.n_rows * n_blocks;
    let params = Params {
        n_rows: to_u32(rows_a.n_rows),
        row_quads: to_u32(rows_a.padded_cols / 4),
        n_blocks: to_u32(n_blocks),
    };
    gpu.submit(&Call {
        kernel: &KERNEL,
        constants: &[("A_DTYPE", rows_a.code), ("B_DTYPE", rows_b.code)],
        params: bytemuck::bytes_of(&params),
        inputs: &[&device_a.values, &device_b.values, &device_a.factors, &device_b.factors],
        outputs: &[n_groups * RECORD],
        groups: [to_u32(n_groups), 1, 1],
    })
}

/// Checksums of both uploads and their counts of NaN and Inf must be the host's.
fn finish(
    gpu: &Gpu,
    rows_a: &Rows<'_>,
    rows_b: &Rows<'_>,
    submitted: Submitted,
) -> Result<Vec<Vec<Partial>>, gpu::Error> {
    // while the device works
    let on_host = [rows_a, rows_b].map(Rows::classes);
    let outputs = gpu.finish(submitted)?;
    let records = || outputs[0].chunks_exact(RECORD);
    let half_sum = |low: usize| records().fold(0_u32, |sum, r| sum.wrapping_add(r[low] | r[low + 1] << 16));
    gpu.expect_equal(&KERNEL, "checksum of a", half_sum(1), on_host[0].checksum)?;
    gpu.expect_equal(&KERNEL, "checksum of b", half_sum(3), on_host[1].checksum)?;
    for (what, shift, on_host) in
        [("count of NaN and Inf in a", 0, on_host[0]), ("count of NaN and Inf in b", 16, on_host[1])]
    {
        let found: u64 = records().map(|record| u64::from(record[10] >> shift & 0xffff)).sum();
        gpu.expect_equal(&KERNEL, what, found, on_host.n_nan + on_host.n_inf)?;
    }
    let n_seen: u64 = records().map(|record| u64::from(record[0])).sum();
    gpu.expect_equal(&KERNEL, "element count", n_seen, (rows_a.n_rows * rows_a.padded_cols) as u64)?;

    let partial = |record: &[u32]| {
        let float = |index: usize| f32::from_bits(record[index]);
        let dots = RowDots { ab: float(7).into(), aa: float(8).into(), bb: float(9).into() };
        Partial { dots, largest_a: float(5), fits: squares_fit(float(5)) && squares_fit(float(6)) }
    };
    let n_blocks = rows_a.padded_cols.div_ceil(BLOCK);
    Ok(outputs[0]
        .chunks(n_blocks * RECORD)
        .map(|row| row.chunks_exact(RECORD).map(partial).collect())
        .collect())
}

/// One block of one row in f64 on the host.
pub(super) fn host_block(a: &Matrix, b: &Matrix, row: usize, cols: std::ops::Range<usize>) -> RowDots {
    let mut dots = RowDots::default();
    for col in cols {
        let (x, y) = (f64::from(a.at(row, col)), f64::from(b.at(row, col)));
        dots.ab += x * y;
        dots.aa += x * x;
        dots.bb += y * y;
    }
    dots
}

fn recheck(gpu: &Gpu, found: &RowDots, wanted: &RowDots, n_cols: usize) -> Result<(), gpu::Error> {
    for (what, found, wanted, magnitudes) in [
        // Σ|ab| ≤ √(Σa² Σb²)
        ("recomputed Σab", found.ab, wanted.ab, (wanted.aa * wanted.bb).sqrt()),
        ("recomputed Σa²", found.aa, wanted.aa, wanted.aa),
        ("recomputed Σb²", found.bb, wanted.bb, wanted.bb),
    ] {
        if (found - wanted).abs() > error_bound(n_cols, magnitudes) {
            return Err(gpu.canary(&KERNEL, what, found, wanted));
        }
    }
    Ok(())
}

/// How far a sum may be from the exact one, given Σ|ab| (or Σa², Σb²). As in [`super::moments::error_bound`], with one
/// more rounding for each of the two column factors; the f64 definition multiplies values already rounded.
#[must_use]
pub fn error_bound(n_cols: usize, magnitudes: f64) -> f64 {
    super::moments::error_bound(n_cols, magnitudes) + 2_f64.powi(-22) * magnitudes
}
