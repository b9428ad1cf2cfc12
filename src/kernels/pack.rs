//! Rows become scaled f16 in the order in which the matrix units read them. [n, k] → tiles of 128 rows × 32 columns.
//!
//! A row is multiplied by the power of two that brings its largest magnitude into [2¹⁴, 2¹⁵); a cosine does not see it. All
//! bf16 and f16 values of a row are then exact in f16, down to 2⁻³² of the largest at least (bf16; 2⁻²⁹ where a device
//! flushes subnormals): what is smaller adds less than 2⁻⁵⁶ of the squared norm. Other values keep 11 bits in one part,
//! and 22 in two. Products of two such values are exact in the f32 sums of the units.

use super::moments::to_u32;
use super::operand::Rows;
use crate::gpu::{self, Call, Edit, Gpu, Kernel, Resident};
use crate::tensor::{Matrix, Values};

gpu::params! {
    /// Uniform of shaders/pack.wgsl.
    struct Params {
        n_rows: u32,
        row_quads: u32,
        part_quads: u32,
        n_parts: u32,
        low_parts: u32,
        n_rows_padded: u32,
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    label: "pack",
    entry: "pack",
    source: concat!(
        include_str!("../../shaders/shared/consts.wgsl"),
        include_str!("../../shaders/shared/decode.wgsl"),
        include_str!("../../shaders/shared/operands.wgsl"),
        include_str!("../../shaders/pack.wgsl"),
    ),
    first_output: 4,
    params: Params::FIELDS,
    broken: &[
        Edit { name: "ties away from even", find: "+ vec4(0xfffu) +", replace: "+ vec4(0x1000u) +" },
        Edit { name: "subnormals lost", find: "round(abs(x) * 16777216.0)", replace: "abs(x) * 0.0" },
        Edit {
            name: "factor ignored",
            find: "* a_factors[quad] *",
            replace: "* min(a_factors[quad], vec4(1.0)) *",
        },
        Edit { name: "low part twice", find: "select(hi, lo, ", replace: "select(lo, lo, " },
        Edit { name: "rows of a tile in one place", find: "row % PACK_ROWS) *", replace: "row % 64u) *" },
    ],
};

/// Rows of a packed tile (`PACK_ROWS` in the shader); operands are padded to a multiple.
pub const PACK_ROWS: usize = 128;
/// Columns of a packed slab (`SLAB` in the shader); parts are padded to a multiple.
pub const SLAB: usize = 32;

/// Which parts of its values each operand contributes, so that the products of parts side by side are the products of the
/// values. A bit is set where the low part stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) n_parts: usize,
    low_a: u32,
    low_b: u32,
}

impl Parts {
    /// One part where f16 holds the values of both, three where of neither: ab = hi·hi + hi·lo + lo·hi up to 2⁻²².
    pub(super) fn of(a: &Matrix, b: &Matrix) -> Parts {
        match (is_exact(a), is_exact(b)) {
            (true, true) => Parts { n_parts: 1, low_a: 0, low_b: 0 },
            (true, false) => Parts { n_parts: 2, low_a: 0b00, low_b: 0b10 },
            (false, true) => Parts { n_parts: 2, low_a: 0b10, low_b: 0b00 },
            (false, false) => Parts { n_parts: 3, low_a: 0b100, low_b: 0b010 },
        }
    }

    /// Columns of a packed row.
    pub(super) fn n_packed_cols(self, n_cols: usize) -> usize {
        n_cols.next_multiple_of(SLAB).max(SLAB) * self.n_parts
    }
}

/// Which operand is packed: they contribute different parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    Left,
    Right,
}

/// Whether f16 holds every scaled value: half-width elements that no column factor has widened.
fn is_exact(matrix: &Matrix) -> bool {
    matrix.column_scale.is_none() && matches!(matrix.values, Values::Bf16(_) | Values::F16(_))
}

/// 2^s that brings a row with this largest magnitude into [2¹⁴, 2¹⁵); 0 for a row without direction, which packs to zeros.
pub(super) fn row_scale(largest: f32) -> f32 {
    if !(largest.is_normal() && largest > 0.0) {
        return 0.0;
    }
    let exponent = i32::try_from(largest.to_bits() >> 23).unwrap_or(0) - 127;
    // the callers keep rows far from the ends of f32
    2_f32.powi((14 - exponent).clamp(-126, 127))
}

/// Packs rows that lie on the device; `scales` has one entry a row.
pub(super) fn pack(
    gpu: &Gpu,
    rows: &Rows<'_>,
    device: (&Resident, &Resident),
    scales: &[f32],
    parts: Parts,
    operand: Operand,
) -> Result<Resident, gpu::Error> {
    with_call(gpu, rows, device, scales, parts, operand, |call| gpu.transform(call))
}

/// Packed rows as the device wrote them, for tests. [n, k] → words of the packed tiles: the rows themselves, or their parts
/// (hi, hi, lo) side by side.
///
/// # Errors
/// The GPU failed.
#[doc(hidden)]
pub fn packed_words(
    gpu: &Gpu,
    matrix: &Matrix,
    scales: &[f32],
    in_three: bool,
) -> Result<Vec<u32>, gpu::Error> {
    let rows = Rows::new(matrix, 0..matrix.n_rows, 0..matrix.n_cols);
    let parts = if in_three {
        Parts { n_parts: 3, low_a: 0b100, low_b: 0b010 }
    } else {
        Parts { n_parts: 1, low_a: 0, low_b: 0 }
    };
    let values = gpu.upload(&KERNEL, &rows.bytes, 0)?;
    let factors = gpu.upload(&KERNEL, bytemuck::cast_slice(&rows.factors), 0)?;
    let read = |call: &Call<'_>| gpu.run(call);
    let outputs = with_call(gpu, &rows, (&values, &factors), scales, parts, Operand::Left, read)?;
    Ok(outputs.into_iter().next().unwrap_or_default())
}

fn with_call<T>(
    gpu: &Gpu,
    rows: &Rows<'_>,
    (values, factors): (&Resident, &Resident),
    scales: &[f32],
    parts: Parts,
    operand: Operand,
    dispatch: impl FnOnce(&Call<'_>) -> Result<T, gpu::Error>,
) -> Result<T, gpu::Error> {
    let n_rows_padded = rows.n_rows.next_multiple_of(PACK_ROWS);
    let n_packed_cols = parts.n_packed_cols(rows.padded_cols);
    let part_quads = n_packed_cols / parts.n_parts / 4;
    let params = Params {
        n_rows: to_u32(rows.n_rows),
        row_quads: to_u32(rows.padded_cols / 4),
        part_quads: to_u32(part_quads),
        n_parts: to_u32(parts.n_parts),
        low_parts: if operand == Operand::Left { parts.low_a } else { parts.low_b },
        n_rows_padded: to_u32(n_rows_padded),
    };
    let scales = gpu.upload(&KERNEL, bytemuck::cast_slice(scales), 0)?;
    dispatch(&Call {
        kernel: &KERNEL,
        constants: &[("A_DTYPE", rows.code)],
        params: bytemuck::bytes_of(&params),
        inputs: &[values, factors, &scales],
        outputs: &[n_rows_padded * n_packed_cols / 2],
        groups: [to_u32(part_quads.div_ceil(WG)), to_u32(n_rows_padded), 1],
    })
}

/// Threads of a workgroup (`WG` in shaders/shared/consts.wgsl).
const WG: usize = 64;
