// gemm_small: C = Â·B̂ᵀ for rows divided by their norms.  [n_a, k] × [n_b, k] → tiles of 64 × 64 for the epilogue.
// One workgroup = one tile, 64 threads of 8 × 8 scores: rows 4·ty … + 3 and 32 + 4·ty … + 3, columns likewise.
// Slabs of 16 columns in 8 KiB of workgroup memory.
// Expects: load_a, load_b (stage), finish_strip, finish_tile (finish_*).
struct Params { n_a: u32, n_b: u32, row_quads: u32, first_row_tile: u32, n_col_tiles: u32, by_magnitude: u32 }

@group(0) @binding(0) var<uniform> params: Params;

const TILE: u32 = 64u;
const STRIP_ROWS: u32 = 32u;
const THREADS: u32 = 64u;
const HALF: u32 = 256u;

// While multiplying: [16 columns][64 rows] of a, then of b. Afterwards: a strip of 32 rows of scores.
var<workgroup> tile: array<vec4<f32>, 512>;

fn score_at(row: u32, col: u32) -> f32 { return tile[row * (TILE / 4u) + col / 4u][col % 4u]; }

fn scores_at(row: u32, quad: u32) -> vec4<f32> { return tile[row * (TILE / 4u) + quad]; }

@compute @workgroup_size(THREADS)
fn gemm_small(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row0 = (params.first_row_tile + group.y) * TILE;
    let col0 = group.x * TILE;
    let tx = lane % 8u;
    let ty = lane / 8u;
    // every thread stages one block of 4 rows × 4 columns of each operand
    let stage_row_quad = lane % 16u;
    let stage_quad = lane / 16u;
    let stage_out = stage_quad * 64u + stage_row_quad;

    // cRS: row R of the eight, first (0) or second (1) four columns
    var c00 = vec4(0.0); var c10 = vec4(0.0); var c20 = vec4(0.0); var c30 = vec4(0.0);
    var c40 = vec4(0.0); var c50 = vec4(0.0); var c60 = vec4(0.0); var c70 = vec4(0.0);
    var c01 = vec4(0.0); var c11 = vec4(0.0); var c21 = vec4(0.0); var c31 = vec4(0.0);
    var c41 = vec4(0.0); var c51 = vec4(0.0); var c61 = vec4(0.0); var c71 = vec4(0.0);
    for (var quad0 = 0u; quad0 < params.row_quads; quad0 += 4u) {
        let block_a = load_a(row0 / 4u + stage_row_quad, quad0 + stage_quad);
        let block_b = load_b(col0 / 4u + stage_row_quad, quad0 + stage_quad);
        tile[stage_out] = block_a.k0;
        tile[stage_out + 16u] = block_a.k1;
        tile[stage_out + 32u] = block_a.k2;
        tile[stage_out + 48u] = block_a.k3;
        tile[HALF + stage_out] = block_b.k0;
        tile[HALF + stage_out + 16u] = block_b.k1;
        tile[HALF + stage_out + 32u] = block_b.k2;
        tile[HALF + stage_out + 48u] = block_b.k3;
        workgroupBarrier();
        for (var k = 0u; k < 16u; k++) {
            let x0 = tile[k * 16u + ty];
            let x1 = tile[k * 16u + 8u + ty];
            let y0 = tile[HALF + k * 16u + tx];
            let y1 = tile[HALF + k * 16u + 8u + tx];
            c00 += x0.x * y0; c01 += x0.x * y1;
            c10 += x0.y * y0; c11 += x0.y * y1;
            c20 += x0.z * y0; c21 += x0.z * y1;
            c30 += x0.w * y0; c31 += x0.w * y1;
            c40 += x1.x * y0; c41 += x1.x * y1;
            c50 += x1.y * y0; c51 += x1.y * y1;
            c60 += x1.z * y0; c61 += x1.z * y1;
            c70 += x1.w * y0; c71 += x1.w * y1;
        }
        workgroupBarrier();
    }

    // two strips: rows 0 … 31 are the first four of every thread, 32 … 63 the second four
    let strip_out = ty * 4u * 16u + tx;
    tile[strip_out] = c00; tile[strip_out + 8u] = c01;
    tile[strip_out + 16u] = c10; tile[strip_out + 24u] = c11;
    tile[strip_out + 32u] = c20; tile[strip_out + 40u] = c21;
    tile[strip_out + 48u] = c30; tile[strip_out + 56u] = c31;
    workgroupBarrier();
    finish_strip(group.xy, lane, row0, col0, 0u);
    workgroupBarrier();
    tile[strip_out] = c40; tile[strip_out + 8u] = c41;
    tile[strip_out + 16u] = c50; tile[strip_out + 24u] = c51;
    tile[strip_out + 32u] = c60; tile[strip_out + 40u] = c61;
    tile[strip_out + 48u] = c70; tile[strip_out + 56u] = c71;
    workgroupBarrier();
    finish_strip(group.xy, lane, row0, col0, 32u);
    finish_tile(group.xy, lane);
}
