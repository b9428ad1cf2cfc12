// matrix_strip: sums of the matrix units, strip by strip, on their way to the epilogue.
// All subgroups store at the same time, because matrix operations must not stand in a branch that they take apart: those
// that own no part of the strip store behind it, where nobody looks.
// Score = sum · 1/‖row of a‖ · 1/‖row of b‖, of the scaled rows.
// Expects: TILE, STRIP_ROWS, THREADS, strip, params (gemm_coop*), finish_strip (finish_*).
@group(0) @binding(3) var<storage, read> a_inverse_norms: array<f32>;
@group(0) @binding(4) var<storage, read> b_inverse_norms: array<f32>;

// A row that no operand has.
const NO_ROW: u32 = 0x40000000u;

fn score_at(row: u32, col: u32) -> f32 { return strip[row * TILE + col]; }

fn scores_at(row: u32, quad: u32) -> vec4<f32> {
    let first = row * TILE + quad * 4u;
    return vec4(strip[first], strip[first + 1u], strip[first + 2u], strip[first + 3u]);
}

// What all subgroups have stored of the strip becomes cosines and goes to the epilogue. `fits`: the workgroup has the
// shape that the kernel was made for; otherwise its rows count as padding, and the host misses them.
fn finish(tile: vec2<u32>, lane: u32, strip_row0: u32, fits: bool) {
    workgroupBarrier();
    let row0 = (params.first_row_tile + tile.y) * TILE;
    let col0 = tile.x * TILE;
    for (var element = lane; element < STRIP_ROWS * TILE; element += THREADS) {
        let row = row0 + strip_row0 + element / TILE;
        strip[element] *= a_inverse_norms[row] * b_inverse_norms[col0 + element % TILE];
    }
    workgroupBarrier();
    finish_strip(tile, lane, select(NO_ROW, row0, fits), col0, strip_row0);
    workgroupBarrier();
}
