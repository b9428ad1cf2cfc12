// row_dots: Σab, Σa², Σb² of row i of a with row i of b.  [n_rows, n_cols] twice → [n_rows, n_blocks, RECORD] words.
// One workgroup = one row × one block of BLOCK columns. f32 inside the block; the host adds blocks in f64.
// Element = value · column factor. Rows are padded with zeros to `row_quads` quads.
// Expects: WG, QUADS_PER_BLOCK (consts), decode_quad, is_non_finite (decode), raw_quad_* (operands), workgroup_* (reduce).
struct Params { n_rows: u32, row_quads: u32, n_blocks: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read> a_factors: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> b_factors: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> partials: array<u32>;

const RECORD: u32 = 11u;

// Magnitude bits of the elements, or a NaN pattern where the stored one is not finite.
fn magnitudes(bits: vec4<u32>, elements: vec4<f32>) -> vec4<u32> {
    return select(bitcast<vec4<u32>>(abs(elements)), vec4(0x7fc00000u), is_non_finite(bits));
}

@compute @workgroup_size(WG)
fn row_dots(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = group.x / params.n_blocks;
    let block = group.x % params.n_blocks;
    if row >= params.n_rows { return; }
    let first = block * QUADS_PER_BLOCK;
    let end = min(first + QUADS_PER_BLOCK, params.row_quads);
    var ab = vec4(0.0); var aa = vec4(0.0); var bb = vec4(0.0);
    var largest_a = vec4(0u); var largest_b = vec4(0u);
    var n_bad = vec4(0u);
    var n_seen = 0u; var checksum_a = 0u; var checksum_b = 0u;
    for (var quad = first + lane; quad < end; quad += WG) {
        let raw_a = raw_quad_a(row * params.row_quads + quad);
        let raw_b = raw_quad_b(row * params.row_quads + quad);
        checksum_a += across_count(raw_a);
        checksum_b += across_count(raw_b);
        n_seen += 4u;
        let bits_a = decode_quad(A_DTYPE, raw_a);
        let bits_b = decode_quad(B_DTYPE, raw_b);
        // of a in the low half, of b in the high one
        n_bad += select(vec4(0u), vec4(1u), is_non_finite(bits_a)) + select(vec4(0u), vec4(0x10000u), is_non_finite(bits_b));
        let x = bitcast<vec4<f32>>(bits_a) * a_factors[quad];
        let y = bitcast<vec4<f32>>(bits_b) * b_factors[quad];
        largest_a = max(largest_a, magnitudes(bits_a, x));
        largest_b = max(largest_b, magnitudes(bits_b, y));
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    let sums = workgroup_sum(lane, vec4(across(ab), across(aa), across(bb), 0.0));
    let counts = workgroup_count(lane, vec4(n_seen, checksum_a, checksum_b, across_count(n_bad)));
    let largest = workgroup_largest(lane, vec4(across_largest(largest_a), across_largest(largest_b), 0u, 0u));
    if lane == 0u {
        let out = group.x * RECORD;
        partials[out] = counts.x;
        // halves, so that no checksum can look like the word that marks unwritten memory
        partials[out + 1u] = counts.y & 0xffffu;
        partials[out + 2u] = counts.y >> 16u;
        partials[out + 3u] = counts.z & 0xffffu;
        partials[out + 4u] = counts.z >> 16u;
        partials[out + 5u] = largest.x;
        partials[out + 6u] = largest.y;
        partials[out + 7u] = bitcast<u32>(sums.x);
        partials[out + 8u] = bitcast<u32>(sums.y);
        partials[out + 9u] = bitcast<u32>(sums.z);
        partials[out + 10u] = counts.w;
    }
}
