// gemm_small: C = Â·B̂ᵀ for rows divided by their norms.  [n_a, k] × [n_b, k] → tiles of 32 × 32 for the epilogue.
// One workgroup = one tile, 64 threads of 4 × 4 scores. Both operands are read in slabs of 16 columns.
// Expects: load_a, load_b (stage), finish_strip, finish_tile (finish_best or finish_store).
struct Params { n_a: u32, n_b: u32, row_quads: u32, first_row_tile: u32, n_col_tiles: u32, by_magnitude: u32 }

@group(0) @binding(0) var<uniform> params: Params;

const TILE: u32 = 32u;
const STRIP_ROWS: u32 = 32u;
const THREADS: u32 = 64u;
const HALF: u32 = 128u;

// While multiplying: [16 columns][32 rows] of a, then of b. Afterwards: the tile of scores.
var<workgroup> tile: array<vec4<f32>, 256>;

@compute @workgroup_size(THREADS)
fn gemm_small(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row0 = (params.first_row_tile + group.y) * TILE;
    let col0 = group.x * TILE;
    let tx = lane % 8u;
    let ty = lane / 8u;
    // threads 0 … 31 stage a, the others b: one block of 4 rows × 4 columns each
    let part = lane % 32u;
    let stage_row_quad = part % 8u;
    let stage_quad = part / 8u;
    let stage_out = (lane / 32u) * HALF + stage_quad * 32u + stage_row_quad;

    var c0 = vec4(0.0); var c1 = vec4(0.0); var c2 = vec4(0.0); var c3 = vec4(0.0);
    for (var quad0 = 0u; quad0 < params.row_quads; quad0 += 4u) {
        var block: Block;
        if lane < 32u {
            block = load_a(row0 / 4u + stage_row_quad, quad0 + stage_quad);
        } else {
            block = load_b(col0 / 4u + stage_row_quad, quad0 + stage_quad);
        }
        tile[stage_out] = block.k0;
        tile[stage_out + 8u] = block.k1;
        tile[stage_out + 16u] = block.k2;
        tile[stage_out + 24u] = block.k3;
        workgroupBarrier();
        for (var k = 0u; k < 16u; k++) {
            let x = tile[k * 8u + ty];
            let y = tile[HALF + k * 8u + tx];
            c0 += x.x * y;
            c1 += x.y * y;
            c2 += x.z * y;
            c3 += x.w * y;
        }
        workgroupBarrier();
    }
    tile[(ty * 4u) * 8u + tx] = c0;
    tile[(ty * 4u + 1u) * 8u + tx] = c1;
    tile[(ty * 4u + 2u) * 8u + tx] = c2;
    tile[(ty * 4u + 3u) * 8u + tx] = c3;
    workgroupBarrier();
    finish_strip(group.xy, lane, row0, col0, 0u);
    finish_tile(group.xy, lane);
}
