// finish_best: best match, runner-up, Σ and Σ² of a tile of scores.  Per tile: TILE row records of 3 words
// (score, column, runner-up), then TILE column records of 6 (score, row, runner-up, Σ, Σ², rows counted).
// The first TILE threads own a column each, the last STRIP_ROWS threads a row each. Ties go to the lower index; rows and
// columns beyond the operands take no part. Indices count inside the operand block.
// Expects: TILE, STRIP_ROWS, THREADS, score_at, scores_at, params (gemm_*).
@group(0) @binding(7) var<storage, read_write> records: array<u32>;

const TILE_WORDS: u32 = TILE * 9u;
// below every cosine
const NO_SCORE: f32 = -4.0;

struct Best { score: f32, index: u32, second: f32 }

var<private> column: Best;
var<private> column_sum: f32;
var<private> column_sum_squares: f32;
var<private> column_count: u32;

fn better(best: Best, score: f32, index: u32) -> Best {
    if score > best.score || (score == best.score && index < best.index) { return Best(score, index, best.score); }
    return Best(best.score, best.index, max(best.second, score));
}

fn ranked(score: f32) -> f32 { return select(score, abs(score), params.by_magnitude == 1u); }

// Rows `strip_row0` … of the tile, seen from operand row and column `row0`, `col0`.
fn finish_strip(group: vec2<u32>, lane: u32, row0: u32, col0: u32, strip_row0: u32) {
    if strip_row0 == 0u {
        column = Best(NO_SCORE, 0u, NO_SCORE);
        column_sum = 0.0;
        column_sum_squares = 0.0;
        column_count = 0u;
    }
    if lane < TILE {
        if col0 + lane < params.n_b {
            for (var i = 0u; i < STRIP_ROWS; i++) {
                let row = row0 + strip_row0 + i;
                if row < params.n_a {
                    let score = score_at(i, lane);
                    column = better(column, ranked(score), row);
                    column_sum += score;
                    column_sum_squares += score * score;
                    column_count += 1u;
                }
            }
        }
    }
    if lane >= THREADS - STRIP_ROWS {
        let i = lane - (THREADS - STRIP_ROWS);
        var best = Best(NO_SCORE, 0u, NO_SCORE);
        if row0 + strip_row0 + i < params.n_a {
            for (var step = 0u; step < TILE / 4u; step++) {
                // neighbours start at different columns: no two read the same bank
                let quad = (step + i) % (TILE / 4u);
                let scores = scores_at(i, quad);
                let col = col0 + quad * 4u;
                if col < params.n_b { best = better(best, ranked(scores.x), col); }
                if col + 1u < params.n_b { best = better(best, ranked(scores.y), col + 1u); }
                if col + 2u < params.n_b { best = better(best, ranked(scores.z), col + 2u); }
                if col + 3u < params.n_b { best = better(best, ranked(scores.w), col + 3u); }
            }
        }
        let out = (group.y * params.n_col_tiles + group.x) * TILE_WORDS + (strip_row0 + i) * 3u;
        records[out] = bitcast<u32>(best.score);
        records[out + 1u] = best.index;
        records[out + 2u] = bitcast<u32>(best.second);
    }
}

fn finish_tile(group: vec2<u32>, lane: u32) {
    if lane < TILE {
        let out = (group.y * params.n_col_tiles + group.x) * TILE_WORDS + TILE * 3u + lane * 6u;
        records[out] = bitcast<u32>(column.score);
        records[out + 1u] = column.index;
        records[out + 2u] = bitcast<u32>(column.second);
        records[out + 3u] = bitcast<u32>(column_sum);
        records[out + 4u] = bitcast<u32>(column_sum_squares);
        records[out + 5u] = column_count;
    }
}
