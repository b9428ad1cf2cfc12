// gemm_coop16: C = Â·B̂ᵀ on 16 × 16 × 16 matrix units, f16 operands and f32 sums.  Packed rows (pack) → tiles of 128 × 128.
// One workgroup = one tile, 256 threads. With 8 subgroups each multiplies 64 × 32 scores (4 × 2 fragments), with 4
// subgroups 64 × 64 (4 × 4): SUBGROUPS is fixed when the pipeline is made.
// Slabs of 32 columns; the next one is fetched into registers while this one is multiplied.
// Expects: Element, Packed, elements_of (head_f16), finish (matrix_strip), finish_tile (finish_*).
struct Params { n_a: u32, n_b: u32, row_quads: u32, first_row_tile: u32, n_col_tiles: u32, by_magnitude: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Packed>;
@group(0) @binding(2) var<storage, read> b: array<Packed>;

override SUBGROUPS: u32 = 8u;

const TILE: u32 = 128u;
const STRIP_ROWS: u32 = 16u;
const THREADS: u32 = 256u;
// Vectors of four of one operand's slab: 128 rows of 32 columns.
const SLAB_VECTORS: u32 = 1024u;
// Vectors from row to row: 32 columns and 8 of skew, so that eight rows lie in different banks.
const STRIDE: u32 = 10u;
const B_ROWS: u32 = 1280u;
const BEHIND: u32 = STRIP_ROWS * TILE;

// A slab of a, then of b.
var<workgroup> stage: array<vec4<Element>, 2560>;
// A strip of sums, and a fragment for each of up to four subgroups that own none of it.
var<workgroup> strip: array<f32, 3072>;

// Eight rows of tiles at a time, column by column: neighbours in time share operands in the cache.
fn tile_of(group: vec3<u32>, n_row_tiles: u32) -> vec2<u32> {
    let index = group.y * params.n_col_tiles + group.x;
    let band = index / (8u * params.n_col_tiles);
    let n_rows = min(8u, n_row_tiles - band * 8u);
    let inside = index - band * 8u * params.n_col_tiles;
    return vec2(inside / n_rows, band * 8u + inside % n_rows);
}

@compute @workgroup_size(THREADS)
fn gemm_coop16(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) n_groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup_id: u32,
    @builtin(num_subgroups) n_subgroups: u32,
) {
    let fits = n_subgroups == SUBGROUPS;
    let tile = tile_of(group, n_groups.y);
    let n_slabs = params.row_quads / 8u;
    let a_first = (params.first_row_tile + tile.y) * n_slabs * SLAB_VECTORS + lane;
    let b_first = tile.x * n_slabs * SLAB_VECTORS + lane;
    // thread = four columns of rows lane / 8, 32 + lane / 8, 64 + …, 96 + …
    let stage_out = lane / 8u * STRIDE + lane % 8u;

    let subgroup = subgroup_id % SUBGROUPS;
    let across = select(2u, 4u, SUBGROUPS == 8u);
    let sub_row = subgroup / across;
    let sub_col = subgroup % across * (TILE / across);
    let a_at = sub_row * 64u * STRIDE;
    let b_at = B_ROWS + sub_col * STRIDE;

    // cRS: fragment row R of four, column S; columns 2 and 3 only with 4 subgroups
    var c00 = coop_mat16x16<f32, C>(); var c01 = coop_mat16x16<f32, C>();
    var c10 = coop_mat16x16<f32, C>(); var c11 = coop_mat16x16<f32, C>();
    var c20 = coop_mat16x16<f32, C>(); var c21 = coop_mat16x16<f32, C>();
    var c30 = coop_mat16x16<f32, C>(); var c31 = coop_mat16x16<f32, C>();
    var c02 = coop_mat16x16<f32, C>(); var c03 = coop_mat16x16<f32, C>();
    var c12 = coop_mat16x16<f32, C>(); var c13 = coop_mat16x16<f32, C>();
    var c22 = coop_mat16x16<f32, C>(); var c23 = coop_mat16x16<f32, C>();
    var c32 = coop_mat16x16<f32, C>(); var c33 = coop_mat16x16<f32, C>();

    var next_a0 = a[a_first]; var next_a1 = a[a_first + 256u];
    var next_a2 = a[a_first + 512u]; var next_a3 = a[a_first + 768u];
    var next_b0 = b[b_first]; var next_b1 = b[b_first + 256u];
    var next_b2 = b[b_first + 512u]; var next_b3 = b[b_first + 768u];
    for (var slab = 0u; slab < n_slabs; slab++) {
        stage[stage_out] = elements_of(next_a0);
        stage[stage_out + 32u * STRIDE] = elements_of(next_a1);
        stage[stage_out + 64u * STRIDE] = elements_of(next_a2);
        stage[stage_out + 96u * STRIDE] = elements_of(next_a3);
        stage[B_ROWS + stage_out] = elements_of(next_b0);
        stage[B_ROWS + stage_out + 32u * STRIDE] = elements_of(next_b1);
        stage[B_ROWS + stage_out + 64u * STRIDE] = elements_of(next_b2);
        stage[B_ROWS + stage_out + 96u * STRIDE] = elements_of(next_b3);
        workgroupBarrier();
        if slab + 1u < n_slabs {
            let ahead = (slab + 1u) * SLAB_VECTORS;
            next_a0 = a[a_first + ahead]; next_a1 = a[a_first + ahead + 256u];
            next_a2 = a[a_first + ahead + 512u]; next_a3 = a[a_first + ahead + 768u];
            next_b0 = b[b_first + ahead]; next_b1 = b[b_first + ahead + 256u];
            next_b2 = b[b_first + ahead + 512u]; next_b3 = b[b_first + ahead + 768u];
        }
        for (var k = 0u; k < 8u; k += 4u) {
            let x0 = coopLoadT<coop_mat16x16<f16, A>>(&stage[a_at + k], STRIDE);
            let x1 = coopLoadT<coop_mat16x16<f16, A>>(&stage[a_at + 16u * STRIDE + k], STRIDE);
            let x2 = coopLoadT<coop_mat16x16<f16, A>>(&stage[a_at + 32u * STRIDE + k], STRIDE);
            let x3 = coopLoadT<coop_mat16x16<f16, A>>(&stage[a_at + 48u * STRIDE + k], STRIDE);
            let y0 = coopLoad<coop_mat16x16<f16, B>>(&stage[b_at + k], STRIDE);
            let y1 = coopLoad<coop_mat16x16<f16, B>>(&stage[b_at + 16u * STRIDE + k], STRIDE);
            c00 = coopMultiplyAdd(x0, y0, c00); c01 = coopMultiplyAdd(x0, y1, c01);
            c10 = coopMultiplyAdd(x1, y0, c10); c11 = coopMultiplyAdd(x1, y1, c11);
            c20 = coopMultiplyAdd(x2, y0, c20); c21 = coopMultiplyAdd(x2, y1, c21);
            c30 = coopMultiplyAdd(x3, y0, c30); c31 = coopMultiplyAdd(x3, y1, c31);
            if SUBGROUPS == 4u {
                let y2 = coopLoad<coop_mat16x16<f16, B>>(&stage[b_at + 32u * STRIDE + k], STRIDE);
                let y3 = coopLoad<coop_mat16x16<f16, B>>(&stage[b_at + 48u * STRIDE + k], STRIDE);
                c02 = coopMultiplyAdd(x0, y2, c02); c03 = coopMultiplyAdd(x0, y3, c03);
                c12 = coopMultiplyAdd(x1, y2, c12); c13 = coopMultiplyAdd(x1, y3, c13);
                c22 = coopMultiplyAdd(x2, y2, c22); c23 = coopMultiplyAdd(x2, y3, c23);
                c32 = coopMultiplyAdd(x3, y2, c32); c33 = coopMultiplyAdd(x3, y3, c33);
            }
        }
        workgroupBarrier();
    }

    // naga 30 writes a store before what it computes for its arguments: everything has a name first
    // strips of 16 rows: the upper half of the tile, then the lower
    for (var half = 0u; half < 2u; half++) {
        let owns = sub_row == half;
        let stride = select(16u, TILE, owns);
        let out0 = select(BEHIND + subgroup % 4u * 256u, sub_col, owns);
        let next = select(0u, 16u, owns);
        let out1 = out0 + next;
        let out2 = out1 + next;
        let out3 = out2 + next;
        let s00 = c00; let s01 = c01;
        coopStoreT(s00, &strip[out0], stride);
        coopStoreT(s01, &strip[out1], stride);
        if SUBGROUPS == 4u {
            let s02 = c02; let s03 = c03;
            coopStoreT(s02, &strip[out2], stride);
            coopStoreT(s03, &strip[out3], stride);
        }
        finish(tile, lane, half * 64u, fits);
        let s10 = c10; let s11 = c11;
        coopStoreT(s10, &strip[out0], stride);
        coopStoreT(s11, &strip[out1], stride);
        if SUBGROUPS == 4u {
            let s12 = c12; let s13 = c13;
            coopStoreT(s12, &strip[out2], stride);
            coopStoreT(s13, &strip[out3], stride);
        }
        finish(tile, lane, half * 64u + 16u, fits);
        let s20 = c20; let s21 = c21;
        coopStoreT(s20, &strip[out0], stride);
        coopStoreT(s21, &strip[out1], stride);
        if SUBGROUPS == 4u {
            let s22 = c22; let s23 = c23;
            coopStoreT(s22, &strip[out2], stride);
            coopStoreT(s23, &strip[out3], stride);
        }
        finish(tile, lane, half * 64u + 32u, fits);
        let s30 = c30; let s31 = c31;
        coopStoreT(s30, &strip[out0], stride);
        coopStoreT(s31, &strip[out1], stride);
        if SUBGROUPS == 4u {
            let s32 = c32; let s33 = c33;
            coopStoreT(s32, &strip[out2], stride);
            coopStoreT(s33, &strip[out3], stride);
        }
        finish(tile, lane, half * 64u + 48u, fits);
    }
    finish_tile(tile, lane);
}
