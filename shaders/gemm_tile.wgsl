// gemm_tile: C = Â·B̂ᵀ for rows divided by their norms.  [n_a, k] × [n_b, k] → tiles of 128 × 128 for the epilogue.
// One workgroup = one tile, 256 threads of 8 × 8 scores: rows 4·ty … + 3 and 64 + 4·ty … + 3, columns likewise.
// Slabs of 16 columns; the next one is fetched into registers while this one is multiplied.
// Expects: load_a, load_b (stage), finish_strip, finish_tile (finish_*).
struct Params { n_a: u32, n_b: u32, row_quads: u32, first_row_tile: u32, n_col_tiles: u32, by_magnitude: u32 }

@group(0) @binding(0) var<uniform> params: Params;

const TILE: u32 = 128u;
const STRIP_ROWS: u32 = 32u;
const THREADS: u32 = 256u;
const HALF: u32 = 512u;

// While multiplying: [16 columns][128 rows] of a, then of b. Afterwards: a strip of 32 rows of scores.
var<workgroup> tile: array<vec4<f32>, 1024>;

fn score_at(row: u32, col: u32) -> f32 { return tile[row * (TILE / 4u) + col / 4u][col % 4u]; }

fn scores_at(row: u32, quad: u32) -> vec4<f32> { return tile[row * (TILE / 4u) + quad]; }

// Threads 0 … 127 fetch a, the others b: one block of 4 rows × 4 columns each.
fn fetch(lane: u32, row0: u32, col0: u32, row_quad: u32, quad: u32) -> Block {
    if lane < 128u { return load_a(row0 / 4u + row_quad, quad); }
    return load_b(col0 / 4u + row_quad, quad);
}

@compute @workgroup_size(THREADS)
fn gemm_tile(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row0 = (params.first_row_tile + group.y) * TILE;
    let col0 = group.x * TILE;
    let tx = lane % 16u;
    let ty = lane / 16u;
    // eight neighbours write eight consecutive vectors; four groups of them read one row's 16 columns
    let part = lane % 128u;
    let stage_row_quad = (part & 7u) | ((part >> 5u) << 3u);
    let stage_quad = (part >> 3u) & 3u;
    let stage_out = (lane / 128u) * HALF + stage_quad * 128u + stage_row_quad;

    // cRS: row R of the eight, first (0) or second (1) four columns
    var c00 = vec4(0.0); var c10 = vec4(0.0); var c20 = vec4(0.0); var c30 = vec4(0.0);
    var c40 = vec4(0.0); var c50 = vec4(0.0); var c60 = vec4(0.0); var c70 = vec4(0.0);
    var c01 = vec4(0.0); var c11 = vec4(0.0); var c21 = vec4(0.0); var c31 = vec4(0.0);
    var c41 = vec4(0.0); var c51 = vec4(0.0); var c61 = vec4(0.0); var c71 = vec4(0.0);

    var next = fetch(lane, row0, col0, stage_row_quad, stage_quad);
    for (var quad0 = 0u; quad0 < params.row_quads; quad0 += 4u) {
        tile[stage_out] = next.k0;
        tile[stage_out + 32u] = next.k1;
        tile[stage_out + 64u] = next.k2;
        tile[stage_out + 96u] = next.k3;
        workgroupBarrier();
        if quad0 + 4u < params.row_quads {
            next = fetch(lane, row0, col0, stage_row_quad, quad0 + 4u + stage_quad);
        }
        for (var k = 0u; k < 16u; k++) {
            let x0 = tile[k * 32u + ty];
            let x1 = tile[k * 32u + 16u + ty];
            let y0 = tile[HALF + k * 32u + tx];
            let y1 = tile[HALF + k * 32u + 16u + tx];
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

    // four strips: rows 0 … 31 belong to ty < 8, 32 … 63 to ty ≥ 8, and so on with the second four rows
    let strip_out = (ty % 8u) * 4u * 32u + tx;
    for (var half = 0u; half < 2u; half++) {
        if ty / 8u == half {
            tile[strip_out] = c00; tile[strip_out + 16u] = c01;
            tile[strip_out + 32u] = c10; tile[strip_out + 48u] = c11;
            tile[strip_out + 64u] = c20; tile[strip_out + 80u] = c21;
            tile[strip_out + 96u] = c30; tile[strip_out + 112u] = c31;
        }
        workgroupBarrier();
        finish_strip(group.xy, lane, row0, col0, half * 32u);
        workgroupBarrier();
    }
    for (var half = 0u; half < 2u; half++) {
        if ty / 8u == half {
            tile[strip_out] = c40; tile[strip_out + 16u] = c41;
            tile[strip_out + 32u] = c50; tile[strip_out + 48u] = c51;
            tile[strip_out + 64u] = c60; tile[strip_out + 80u] = c61;
            tile[strip_out + 96u] = c70; tile[strip_out + 112u] = c71;
        }
        workgroupBarrier();
        finish_strip(group.xy, lane, row0, col0, 64u + half * 32u);
        workgroupBarrier();
    }
    finish_tile(group.xy, lane);
}
