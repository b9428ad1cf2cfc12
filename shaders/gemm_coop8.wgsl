// gemm_coop8: C = Â·B̂ᵀ on 8 × 8 × 8 matrix units, f32 sums.  Packed rows (pack) → tiles of 64 × 64 for the epilogue.
// One workgroup = one tile, 128 threads in 4 subgroups, each 32 × 32 scores (4 × 4 fragments).
// Slabs of 32 columns, stored fragment by fragment: 8 rows of 8 columns lie together. The next slab is fetched into
// registers while this one is multiplied.
// Expects: Element, Packed, elements_of (head_f16 or head_f32), finish (matrix_strip), finish_tile (finish_*).
struct Params { n_a: u32, n_b: u32, row_quads: u32, first_row_tile: u32, n_col_tiles: u32, by_magnitude: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Packed>;
@group(0) @binding(2) var<storage, read> b: array<Packed>;

const TILE: u32 = 64u;
const STRIP_ROWS: u32 = 8u;
const THREADS: u32 = 128u;
const SUBGROUPS: u32 = 4u;
// Vectors of four of one operand's packed slab (128 rows of 32 columns), and of the 64 rows that a tile takes of it.
const SLAB_VECTORS: u32 = 1024u;
const TILE_VECTORS: u32 = 512u;
// Elements of a fragment, of four side by side, and of one operand's slab.
const FRAGMENT: u32 = 64u;
const FRAGMENT_ROW: u32 = 256u;
const B_ROWS: u32 = 2048u;
const BEHIND: u32 = STRIP_ROWS * TILE;

// A slab of a, then of b.
var<workgroup> stage: array<Element, 4096>;
// A strip of sums, and a fragment for each subgroup.
var<workgroup> strip: array<f32, 768>;

fn stage_four(at: u32, packed: Packed) {
    let four = elements_of(packed);
    stage[at] = four.x;
    stage[at + 1u] = four.y;
    stage[at + 2u] = four.z;
    stage[at + 3u] = four.w;
}

// First vector of a tile's first slab: two tiles share a packed tile of 128 rows.
fn first_vector(tile: u32, n_slabs: u32) -> u32 {
    return tile / 2u * n_slabs * SLAB_VECTORS + tile % 2u * TILE_VECTORS;
}

@compute @workgroup_size(THREADS)
fn gemm_coop8(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup_id: u32,
    @builtin(num_subgroups) n_subgroups: u32,
) {
    let fits = n_subgroups == SUBGROUPS;
    let n_slabs = params.row_quads / 8u;
    let a_first = first_vector(params.first_row_tile + group.y, n_slabs) + lane;
    let b_first = first_vector(group.x, n_slabs) + lane;
    // thread = four columns of rows lane / 8, 16 + lane / 8, 32 + …, 48 + …: two rows of fragments further each time
    let stage_out = lane / 64u * FRAGMENT_ROW + lane % 8u / 2u * FRAGMENT + lane / 8u % 8u * 8u + lane % 2u * 4u;

    let subgroup = subgroup_id % SUBGROUPS;
    let sub_row = subgroup / 2u;
    let sub_col = subgroup % 2u * 32u;
    let a_at = sub_row * 4u * FRAGMENT_ROW;
    let b_at = B_ROWS + subgroup % 2u * 4u * FRAGMENT_ROW;

    // cRS: fragment row R of four, column S
    var c00 = coop_mat8x8<f32, C>(); var c01 = coop_mat8x8<f32, C>();
    var c02 = coop_mat8x8<f32, C>(); var c03 = coop_mat8x8<f32, C>();
    var c10 = coop_mat8x8<f32, C>(); var c11 = coop_mat8x8<f32, C>();
    var c12 = coop_mat8x8<f32, C>(); var c13 = coop_mat8x8<f32, C>();
    var c20 = coop_mat8x8<f32, C>(); var c21 = coop_mat8x8<f32, C>();
    var c22 = coop_mat8x8<f32, C>(); var c23 = coop_mat8x8<f32, C>();
    var c30 = coop_mat8x8<f32, C>(); var c31 = coop_mat8x8<f32, C>();
    var c32 = coop_mat8x8<f32, C>(); var c33 = coop_mat8x8<f32, C>();

    var next_a0 = a[a_first]; var next_a1 = a[a_first + 128u];
    var next_a2 = a[a_first + 256u]; var next_a3 = a[a_first + 384u];
    var next_b0 = b[b_first]; var next_b1 = b[b_first + 128u];
    var next_b2 = b[b_first + 256u]; var next_b3 = b[b_first + 384u];
    for (var slab = 0u; slab < n_slabs; slab++) {
        stage_four(stage_out, next_a0);
        stage_four(stage_out + 2u * FRAGMENT_ROW, next_a1);
        stage_four(stage_out + 4u * FRAGMENT_ROW, next_a2);
        stage_four(stage_out + 6u * FRAGMENT_ROW, next_a3);
        stage_four(B_ROWS + stage_out, next_b0);
        stage_four(B_ROWS + stage_out + 2u * FRAGMENT_ROW, next_b1);
        stage_four(B_ROWS + stage_out + 4u * FRAGMENT_ROW, next_b2);
        stage_four(B_ROWS + stage_out + 6u * FRAGMENT_ROW, next_b3);
        workgroupBarrier();
        if slab + 1u < n_slabs {
            let ahead = (slab + 1u) * SLAB_VECTORS;
            next_a0 = a[a_first + ahead]; next_a1 = a[a_first + ahead + 128u];
            next_a2 = a[a_first + ahead + 256u]; next_a3 = a[a_first + ahead + 384u];
            next_b0 = b[b_first + ahead]; next_b1 = b[b_first + ahead + 128u];
            next_b2 = b[b_first + ahead + 256u]; next_b3 = b[b_first + ahead + 384u];
        }
        for (var k = 0u; k < 4u * FRAGMENT; k += FRAGMENT) {
            let x0 = coopLoadT<coop_mat8x8<Element, A>>(&stage[a_at + k], 8u);
            let x1 = coopLoadT<coop_mat8x8<Element, A>>(&stage[a_at + 1u * FRAGMENT_ROW + k], 8u);
            let x2 = coopLoadT<coop_mat8x8<Element, A>>(&stage[a_at + 2u * FRAGMENT_ROW + k], 8u);
            let x3 = coopLoadT<coop_mat8x8<Element, A>>(&stage[a_at + 3u * FRAGMENT_ROW + k], 8u);
            let y0 = coopLoad<coop_mat8x8<Element, B>>(&stage[b_at + k], 8u);
            let y1 = coopLoad<coop_mat8x8<Element, B>>(&stage[b_at + 1u * FRAGMENT_ROW + k], 8u);
            let y2 = coopLoad<coop_mat8x8<Element, B>>(&stage[b_at + 2u * FRAGMENT_ROW + k], 8u);
            let y3 = coopLoad<coop_mat8x8<Element, B>>(&stage[b_at + 3u * FRAGMENT_ROW + k], 8u);
            c00 = coopMultiplyAdd(x0, y0, c00); c01 = coopMultiplyAdd(x0, y1, c01);
            c02 = coopMultiplyAdd(x0, y2, c02); c03 = coopMultiplyAdd(x0, y3, c03);
            c10 = coopMultiplyAdd(x1, y0, c10); c11 = coopMultiplyAdd(x1, y1, c11);
            c12 = coopMultiplyAdd(x1, y2, c12); c13 = coopMultiplyAdd(x1, y3, c13);
            c20 = coopMultiplyAdd(x2, y0, c20); c21 = coopMultiplyAdd(x2, y1, c21);
            c22 = coopMultiplyAdd(x2, y2, c22); c23 = coopMultiplyAdd(x2, y3, c23);
            c30 = coopMultiplyAdd(x3, y0, c30); c31 = coopMultiplyAdd(x3, y1, c31);
            c32 = coopMultiplyAdd(x3, y2, c32); c33 = coopMultiplyAdd(x3, y3, c33);
        }
        workgroupBarrier();
    }

    // naga 30 writes a store before what it computes for its arguments: everything has a name first
    // strips of 8 rows: the upper half of the tile, then the lower
    for (var half = 0u; half < 2u; half++) {
        let owns = sub_row == half;
        let stride = select(8u, TILE, owns);
        let out0 = select(BEHIND + subgroup * FRAGMENT, sub_col, owns);
        let next = select(0u, 8u, owns);
        let out1 = out0 + next;
        let out2 = out1 + next;
        let out3 = out2 + next;
        let s00 = c00; let s01 = c01;
        coopStoreT(s00, &strip[out0], stride);
        coopStoreT(s01, &strip[out1], stride);
        let s02 = c02; let s03 = c03;
        coopStoreT(s02, &strip[out2], stride);
        coopStoreT(s03, &strip[out3], stride);
        finish(group.xy, lane, half * 32u, fits);
        let s10 = c10; let s11 = c11;
        coopStoreT(s10, &strip[out0], stride);
        coopStoreT(s11, &strip[out1], stride);
        let s12 = c12; let s13 = c13;
        coopStoreT(s12, &strip[out2], stride);
        coopStoreT(s13, &strip[out3], stride);
        finish(group.xy, lane, half * 32u + 8u, fits);
        let s20 = c20; let s21 = c21;
        coopStoreT(s20, &strip[out0], stride);
        coopStoreT(s21, &strip[out1], stride);
        let s22 = c22; let s23 = c23;
        coopStoreT(s22, &strip[out2], stride);
        coopStoreT(s23, &strip[out3], stride);
        finish(group.xy, lane, half * 32u + 16u, fits);
        let s30 = c30; let s31 = c31;
        coopStoreT(s30, &strip[out0], stride);
        coopStoreT(s31, &strip[out1], stride);
        let s32 = c32; let s33 = c33;
        coopStoreT(s32, &strip[out2], stride);
        coopStoreT(s33, &strip[out3], stride);
        finish(group.xy, lane, half * 32u + 24u, fits);
    }
    finish_tile(group.xy, lane);
}
