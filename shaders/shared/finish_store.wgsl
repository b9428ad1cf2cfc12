// finish_store: keeps the scores, row-major [rows of this dispatch, n_b].
// Expects: TILE, STRIP_ROWS, THREADS, score_at, params (gemm_*).
@group(0) @binding(7) var<storage, read_write> scores: array<f32>;

fn finish_strip(group: vec2<u32>, lane: u32, row0: u32, col0: u32, strip_row0: u32) {
    for (var element = lane; element < STRIP_ROWS * TILE; element += THREADS) {
        let i = element / TILE;
        let j = element % TILE;
        let col = col0 + j;
        if row0 + strip_row0 + i < params.n_a && col < params.n_b {
            let out_row = group.y * TILE + strip_row0 + i;
            scores[out_row * params.n_b + col] = score_at(i, j);
        }
    }
}

fn finish_tile(group: vec2<u32>, lane: u32) {}
