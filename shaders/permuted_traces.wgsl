// permuted_traces: Σᵢ C[i][π(i)] for many permutations π.  [n, n], [R, n] → [R, n_blocks, RECORD] words.
// One workgroup = one permutation × one block of BLOCK rows. f32 inside the block; the host adds blocks in f64.
// Expects: BLOCK, WG (consts), workgroup_* (reduce).
struct Params { n: u32, n_permutations: u32, n_blocks: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> scores: array<f32>;
@group(0) @binding(2) var<storage, read> permutations: array<u32>;
@group(0) @binding(3) var<storage, read_write> traces: array<u32>;

const RECORD: u32 = 3u;

@compute @workgroup_size(WG)
fn permuted_traces(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let permutation = group.x / params.n_blocks;
    let block = group.x % params.n_blocks;
    if permutation >= params.n_permutations { return; }
    let end = min((block + 1u) * BLOCK, params.n);
    var sum = 0.0;
    var n_seen = 0u;
    var checksum = 0u;
    for (var row = block * BLOCK + lane; row < end; row += WG) {
        let col = permutations[permutation * params.n + row];
        checksum += col;
        n_seen += 1u;
        sum += scores[row * params.n + min(col, params.n - 1u)];
    }
    let trace = workgroup_sum(lane, vec4(sum, 0.0, 0.0, 0.0)).x;
    let counts = workgroup_count(lane, vec4(n_seen, checksum, 0u, 0u));
    if lane == 0u {
        let out = group.x * RECORD;
        traces[out] = counts.x;
        // n ≤ 4096: the sum of a block's columns stays far below the word that marks unwritten memory
        traces[out + 1u] = counts.y;
        traces[out + 2u] = bitcast<u32>(trace);
    }
}
