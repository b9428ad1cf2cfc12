//! Kernels for matrix units on adapters that have none: the few operations of the units are written out in plain WGSL, and
//! everything else (packing, staging, indices, barriers, padding, epilogues) runs as it is.
//!
//! A fragment of an operand is where it lies in workgroup memory; a fragment of sums is spread over the threads that make up
//! a subgroup. What this cannot show is whether a driver's units compute what they should: that is for the real ones.

use cognate::gpu::{Kernel, Tier};
use cognate::kernels::gemm;

/// The kernels of a tier with matrix units: partners, scores, energy.
pub(crate) fn kernels(tier: Tier) -> [&'static Kernel; 3] {
    match tier {
        Tier::Coop16 | Tier::Coop16Wide => [&gemm::COOP16_BEST, &gemm::COOP16_STORE, &gemm::COOP16_ENERGY],
        Tier::Coop8 => [&gemm::COOP8_BEST, &gemm::COOP8_STORE, &gemm::COOP8_ENERGY],
        Tier::Coop8F32 => [&gemm::COOP8_F32_BEST, &gemm::COOP8_F32_STORE, &gemm::COOP8_F32_ENERGY],
        Tier::Tile | Tier::Small => panic!("{} has no matrix units", tier.name()),
    }
}

const OPERATIONS: &str = "
struct Sums { of_lane: array<f32, 8> }
var<private> sub_lane: u32;

fn multiply_add(x: u32, y: u32, sums: Sums) -> Sums {
    var out = sums;
    let per_lane = SIZE * SIZE * SUBGROUPS / THREADS;
    for (var e = 0u; e < per_lane; e++) {
        let i = sub_lane * per_lane + e;
        for (var k = 0u; k < SIZE; k++) {
            out.of_lane[e] += element_at(x, i / SIZE, k) * element_at(y, i % SIZE, k);
        }
    }
    return out;
}

fn store(sums: Sums, at: u32, stride: u32) {
    var values = sums;
    let per_lane = SIZE * SIZE * SUBGROUPS / THREADS;
    for (var e = 0u; e < per_lane; e++) {
        let i = sub_lane * per_lane + e;
        strip[at + i / SIZE * stride + i % SIZE] = values.of_lane[e];
    }
}
";

/// The source with the operations of the units written out.
pub(crate) fn written_out(source: &str) -> String {
    let is_16 = source.contains("coop_mat16x16");
    let (size, element) = if is_16 {
        ("16u", "unpack2x16float(stage[at + row * STRIDE + k / 4u][k % 4u / 2u])[k % 2u]")
    } else {
        ("8u", "stage[at + row * 8u + k]")
    };
    // the same values, for adapters without the type f16: as packed words in as much memory, or as f32
    let mut text = source.replace(
        include_str!("../../shaders/shared/head_f16.wgsl"),
        include_str!("../../shaders/shared/head_f32.wgsl"),
    );
    if is_16 {
        text = text
            .replace("array<vec4<Element>, 2560>", "array<vec2<u32>, 2560>")
            .replace("= elements_of(", "= (");
    }
    for (find, replace) in [
        ("enable wgpu_cooperative_matrix;", ""),
        ("    @builtin(subgroup_id) subgroup_id: u32,\n", ""),
        ("    @builtin(num_subgroups) n_subgroups: u32,\n", ""),
        (
            "    let fits = n_subgroups == SUBGROUPS;\n",
            "    let fits = true;\n    let subgroup_id = lane / (THREADS / SUBGROUPS);\n    sub_lane = lane % (THREADS / SUBGROUPS);\n",
        ),
        ("coopLoadT<coop_mat16x16<f16, A>>(&stage[", "("),
        ("coopLoad<coop_mat16x16<f16, B>>(&stage[", "("),
        ("coopLoadT<coop_mat8x8<Element, A>>(&stage[", "("),
        ("coopLoad<coop_mat8x8<Element, B>>(&stage[", "("),
        ("], STRIDE)", ")"),
        ("], 8u)", ")"),
        ("coop_mat16x16<f32, C>()", "Sums()"),
        ("coop_mat8x8<f32, C>()", "Sums()"),
        ("coopMultiplyAdd(", "multiply_add("),
        ("coopStoreT(", "store("),
        (", &strip[", ", "),
        ("], stride)", ", stride)"),
    ] {
        text = text.replace(find, replace);
    }
    assert!(!text.contains("coop_mat") && !text.contains("coopLoad"), "an operation is left");
    format!(
        "{text}\nconst SIZE: u32 = {size};\nfn element_at(at: u32, row: u32, k: u32) -> f32 {{ return {element}; }}\n{OPERATIONS}"
    )
}
