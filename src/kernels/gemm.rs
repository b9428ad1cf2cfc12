//! The all-pairs product as kernels: four tiers × three epilogues, each a list of files.
//!
//! `tile` and `small` multiply normalised f32 in registers. `coop16` and `coop8` multiply packed f16 ([`super::pack`]) on
//! matrix units. `finish_best` finds partners, `finish_store` keeps the scores, `finish_energy` sums their squares.

use crate::gpu::{self, Edit, Kernel, Tier};

gpu::params! {
    /// Uniform of shaders/gemm_*.wgsl. `row_quads`: groups of four columns of a row, all packed parts included.
    pub(super) struct Params {
        n_a: u32,
        n_b: u32,
        row_quads: u32,
        first_row_tile: u32,
        n_col_tiles: u32,
        by_magnitude: u32,
    }
}

/// What becomes of the scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Epilogue {
    /// Best matches and sums.
    Best,
    /// All of them.
    Store,
    /// ΣC².
    Energy,
}

/// f32 in registers, with one epilogue.
macro_rules! in_registers {
    ($entry:literal, $finish:literal, $broken:expr) => {
        Kernel {
            label: concat!($entry, "+", $finish),
            entry: $entry,
            source: concat!(
                include_str!("../../shaders/shared/consts.wgsl"),
                include_str!("../../shaders/shared/decode.wgsl"),
                include_str!("../../shaders/shared/operands.wgsl"),
                include_str!("../../shaders/shared/stage.wgsl"),
                include_str!(concat!("../../shaders/", $entry, ".wgsl")),
                include_str!(concat!("../../shaders/shared/", $finish, ".wgsl")),
            ),
            first_output: 7,
            params: Params::FIELDS,
            broken: $broken,
        }
    };
}

/// Packed rows on matrix units that take `$head` operands, with one epilogue.
macro_rules! on_matrix_units {
    ($label:literal, $entry:literal, $head:literal, $finish:literal, $broken:expr) => {
        Kernel {
            label: $label,
            entry: $entry,
            source: concat!(
                include_str!("../../shaders/shared/head_coop.wgsl"),
                include_str!(concat!("../../shaders/shared/", $head, ".wgsl")),
                include_str!("../../shaders/shared/consts.wgsl"),
                include_str!(concat!("../../shaders/", $entry, ".wgsl")),
                include_str!("../../shaders/shared/matrix_strip.wgsl"),
                include_str!(concat!("../../shaders/shared/", $finish, ".wgsl")),
            ),
            first_output: 7,
            params: Params::FIELDS,
            broken: $broken,
        }
    };
}

/// Mistakes of the epilogue that finds partners.
const LAST_COLUMN: Edit =
    Edit { name: "last column lost", find: "if col + 3u < params.n_b {", replace: "if false {" };
const TIE: Edit = Edit {
    name: "tie to the higher index",
    find: "score == best.score && index < best.index",
    replace: "score == best.score",
};
const RUNNER_UP: Edit =
    Edit { name: "runner-up forgotten", find: "max(best.second, score)", replace: "best.second" };
const PADDING: Edit =
    Edit { name: "padding takes part", find: "if row < params.n_a {", replace: "if true {" };

/// Mistakes of the product in registers.
const SKIPPED_SLAB: Edit = Edit { name: "half of a slab", find: "k < 16u", replace: "k < 8u" };
const GAIN: Edit = Edit {
    name: "gain",
    find: "bitcast<vec4<f32>>(bits) * factors * inverse_norm",
    replace: "bitcast<vec4<f32>>(bits) * factors * inverse_norm * 1.0005",
};
const WRONG_ROW: Edit = Edit {
    name: "wrong operand row",
    find: "first + 3u * params.row_quads)), factors, norms.w),\n    );\n}\n\n// The same",
    replace: "first + 2u * params.row_quads)), factors, norms.w),\n    );\n}\n\n// The same",
};

/// Mistakes of the sum of squares.
const NOT_SQUARED: Edit =
    Edit { name: "not squared", find: "energy += score * score;", replace: "energy += score;" };
const PADDED_ENERGY: Edit = Edit {
    name: "lost rows",
    find: "strip_row0 + i < params.n_a",
    replace: "strip_row0 + i + 1u < params.n_a",
};

/// Mistakes on matrix units; those of the epilogues are the same as in registers and not repeated for every tier.
const SLAB_TWICE: Edit = Edit {
    name: "slab read twice",
    find: "let ahead = (slab + 1u) * SLAB_VECTORS;",
    replace: "let ahead = slab * SLAB_VECTORS;",
};
const NORM_OF_NEIGHBOUR: Edit = Edit {
    name: "norm of a neighbour",
    find: "b_inverse_norms[col0 + element % TILE]",
    replace: "b_inverse_norms[col0 + (element ^ 1u) % TILE]",
};
const WRONG_FRAGMENT: Edit = Edit {
    name: "wrong fragment",
    find: "c31 = coopMultiplyAdd(x3, y1, c31);",
    replace: "c31 = coopMultiplyAdd(x3, y0, c31);",
};

/// Finds partners, 128 × 128 tiles in registers.
pub static TILE_BEST: Kernel = in_registers!(
    "gemm_tile",
    "finish_best",
    &[SKIPPED_SLAB, GAIN, WRONG_ROW, LAST_COLUMN, TIE, RUNNER_UP, PADDING]
);

/// Keeps the scores, 128 × 128 tiles in registers.
pub static TILE_STORE: Kernel = in_registers!(
    "gemm_tile",
    "finish_store",
    &[SKIPPED_SLAB, Edit { name: "wrong strip", find: "64u + half * 32u", replace: "half * 32u" }]
);

/// Sums squares, 128 × 128 tiles in registers.
pub static TILE_ENERGY: Kernel =
    in_registers!("gemm_tile", "finish_energy", &[SKIPPED_SLAB, GAIN, NOT_SQUARED, PADDED_ENERGY]);

/// Finds partners, 64 × 64 tiles in registers.
pub static SMALL_BEST: Kernel = in_registers!(
    "gemm_small",
    "finish_best",
    &[SKIPPED_SLAB, GAIN, WRONG_ROW, LAST_COLUMN, TIE, RUNNER_UP, PADDING]
);

/// Keeps the scores, 64 × 64 tiles in registers.
pub static SMALL_STORE: Kernel = in_registers!(
    "gemm_small",
    "finish_store",
    &[SKIPPED_SLAB, Edit { name: "lost row", find: "c71 += x1.w * y1;", replace: "c71 += x1.z * y1;" }]
);

/// Sums squares, 64 × 64 tiles in registers.
pub static SMALL_ENERGY: Kernel =
    in_registers!("gemm_small", "finish_energy", &[SKIPPED_SLAB, GAIN, NOT_SQUARED, PADDED_ENERGY]);

/// Finds partners on 16 × 16 × 16 units.
pub static COOP16_BEST: Kernel = on_matrix_units!(
    "gemm_coop16+finish_best",
    "gemm_coop16",
    "head_f16",
    "finish_best",
    &[SLAB_TWICE, NORM_OF_NEIGHBOUR, WRONG_FRAGMENT, PADDING]
);

/// Keeps the scores, on 16 × 16 × 16 units.
pub static COOP16_STORE: Kernel = on_matrix_units!(
    "gemm_coop16+finish_store",
    "gemm_coop16",
    "head_f16",
    "finish_store",
    &[SLAB_TWICE, WRONG_FRAGMENT]
);

/// Sums squares on 16 × 16 × 16 units.
pub static COOP16_ENERGY: Kernel = on_matrix_units!(
    "gemm_coop16+finish_energy",
    "gemm_coop16",
    "head_f16",
    "finish_energy",
    &[WRONG_FRAGMENT, PADDED_ENERGY]
);

/// Finds partners on 8 × 8 × 8 units of f16.
pub static COOP8_BEST: Kernel = on_matrix_units!(
    "gemm_coop8+finish_best",
    "gemm_coop8",
    "head_f16",
    "finish_best",
    &[SLAB_TWICE, NORM_OF_NEIGHBOUR, WRONG_FRAGMENT, PADDING]
);

/// Keeps the scores, on 8 × 8 × 8 units of f16.
pub static COOP8_STORE: Kernel = on_matrix_units!(
    "gemm_coop8+finish_store",
    "gemm_coop8",
    "head_f16",
    "finish_store",
    &[SLAB_TWICE, WRONG_FRAGMENT]
);

/// Sums squares on 8 × 8 × 8 units of f16.
pub static COOP8_ENERGY: Kernel = on_matrix_units!(
    "gemm_coop8+finish_energy",
    "gemm_coop8",
    "head_f16",
    "finish_energy",
    &[SLAB_TWICE, PADDED_ENERGY]
);

/// Finds partners on 8 × 8 × 8 units of f32.
pub static COOP8_F32_BEST: Kernel = on_matrix_units!(
    "gemm_coop8_f32+finish_best",
    "gemm_coop8",
    "head_f32",
    "finish_best",
    &[SLAB_TWICE, NORM_OF_NEIGHBOUR, WRONG_FRAGMENT]
);

/// Keeps the scores, on 8 × 8 × 8 units of f32.
pub static COOP8_F32_STORE: Kernel = on_matrix_units!(
    "gemm_coop8_f32+finish_store",
    "gemm_coop8",
    "head_f32",
    "finish_store",
    &[SLAB_TWICE, WRONG_FRAGMENT]
);

/// Sums squares on 8 × 8 × 8 units of f32.
pub static COOP8_F32_ENERGY: Kernel = on_matrix_units!(
    "gemm_coop8_f32+finish_energy",
    "gemm_coop8",
    "head_f32",
    "finish_energy",
    &[SLAB_TWICE, NOT_SQUARED]
);

/// The kernel of a tier with an epilogue.
pub(super) fn kernel(tier: Tier, epilogue: Epilogue) -> &'static Kernel {
    let [best, store, energy]: [&'static Kernel; 3] = match tier {
        Tier::Coop16 | Tier::Coop16Wide => [&COOP16_BEST, &COOP16_STORE, &COOP16_ENERGY],
        Tier::Coop8 => [&COOP8_BEST, &COOP8_STORE, &COOP8_ENERGY],
        Tier::Coop8F32 => [&COOP8_F32_BEST, &COOP8_F32_STORE, &COOP8_F32_ENERGY],
        Tier::Tile => [&TILE_BEST, &TILE_STORE, &TILE_ENERGY],
        Tier::Small => [&SMALL_BEST, &SMALL_STORE, &SMALL_ENERGY],
    };
    match epilogue {
        Epilogue::Best => best,
        Epilogue::Store => store,
        Epilogue::Energy => energy,
    }
}
