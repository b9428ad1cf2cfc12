// finish_energy: ΣC² of a tile, column by column; no score leaves the workgroup.  Per tile: TILE records of 2 words
// (Σ², rows counted). The first TILE threads own a column each. Rows and columns beyond the operands take no part.
// Expects: TILE, STRIP_ROWS, score_at, params (gemm_*).
@group(0) @binding(7) var<storage, read_write> energies: array<u32>;

var<private> energy: f32;
var<private> n_rows_seen: u32;

fn finish_strip(group: vec2<u32>, lane: u32, row0: u32, col0: u32, strip_row0: u32) {
    if strip_row0 == 0u {
        energy = 0.0;
        n_rows_seen = 0u;
    }
    if lane < TILE && col0 + lane < params.n_b {
        for (var i = 0u; i < STRIP_ROWS; i++) {
            if row0 + strip_row0 + i < params.n_a {
                let score = score_at(i, lane);
                energy += score * score;
                n_rows_seen += 1u;
            }
        }
    }
}

fn finish_tile(group: vec2<u32>, lane: u32) {
    if lane < TILE {
        let out = ((group.y * params.n_col_tiles + group.x) * TILE + lane) * 2u;
        energies[out] = bitcast<u32>(energy);
        energies[out + 1u] = n_rows_seen;
    }
}
