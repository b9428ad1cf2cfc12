// moments: n, non-finite counts, equal and same-sign pairs, Σa Σb Σa² Σb² Σab Σ(a−b)² max|a−b| over pairs (a, b).
// [n] twice → [n_blocks, RECORD] words. One workgroup = one block of BLOCK elements; f32 inside, f64 on the host.
// A pair with NaN or Inf on either side enters no sum. The two largest magnitudes tell the host whether f32 squares
// could leave their range; the checksum of all words read is the canary of the upload.
// Expects: BLOCK, WG (consts), decode_quad, is_non_finite (decode), raw_quad_a, raw_quad_b (operands), workgroup_* (reduce).
struct Params { n_elements: u32, n_quads: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read_write> partials: array<u32>;

const RECORD: u32 = 24u;

@compute @workgroup_size(WG)
fn moments(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    var sum_a = vec4(0.0); var sum_b = vec4(0.0);
    var sum_aa = vec4(0.0); var sum_bb = vec4(0.0); var sum_ab = vec4(0.0); var sum_squared_diff = vec4(0.0);
    var n_seen = vec4(0u); var n_bad_a = vec4(0u); var n_bad_b = vec4(0u);
    var n_equal = vec4(0u); var n_same_sign = vec4(0u);
    var largest_a = vec4(0u); var largest_b = vec4(0u); var largest_diff = vec4(0u);
    var checksum_a = 0u; var checksum_b = 0u;

    let one = vec4(1u);
    let none = vec4(0u);
    let first = group.x * QUADS_PER_BLOCK;
    let end = min(first + QUADS_PER_BLOCK, params.n_quads);
    for (var quad = first + lane; quad < end; quad += WG) {
        let raw_a = raw_quad_a(quad);
        let raw_b = raw_quad_b(quad);
        checksum_a += across_count(raw_a);
        checksum_b += across_count(raw_b);
        let bits_a = decode_quad(A_DTYPE, raw_a);
        let bits_b = decode_quad(B_DTYPE, raw_b);

        let seen = (vec4(quad * 4u) + vec4(0u, 1u, 2u, 3u)) < vec4(params.n_elements);
        let bad_a = is_non_finite(bits_a);
        let bad_b = is_non_finite(bits_b);
        let used = seen & !(bad_a | bad_b);
        n_seen += select(none, one, seen);
        n_bad_a += select(none, one, seen & bad_a);
        n_bad_b += select(none, one, seen & bad_b);

        let magnitude_a = bits_a & vec4(0x7fffffffu);
        let magnitude_b = bits_b & vec4(0x7fffffffu);
        let both_zero = (magnitude_a | magnitude_b) == none;
        n_equal += select(none, one, used & ((bits_a == bits_b) | both_zero));
        let same_sign = ((bits_a ^ bits_b) >> vec4(31u)) == none;
        n_same_sign += select(none, one, used & same_sign & (magnitude_a != none) & (magnitude_b != none));
        largest_a = max(largest_a, select(none, magnitude_a, used));
        largest_b = max(largest_b, select(none, magnitude_b, used));

        let x = bitcast<vec4<f32>>(select(none, bits_a, used));
        let y = bitcast<vec4<f32>>(select(none, bits_b, used));
        let difference = x - y;
        sum_a += x;
        sum_b += y;
        sum_aa += x * x;
        sum_bb += y * y;
        sum_ab += x * y;
        sum_squared_diff += difference * difference;
        // non-negative floats order like their bit patterns
        largest_diff = max(largest_diff, bitcast<vec4<u32>>(abs(difference)));
    }

    let sums = workgroup_two_sum(lane, vec4(across(sum_a), across(sum_b), across(sum_aa), across(sum_bb)));
    let more = workgroup_two_sum(lane, vec4(across(sum_ab), across(sum_squared_diff), 0.0, 0.0));
    let seen = workgroup_count(lane, vec4(across_count(n_seen), across_count(n_bad_a), across_count(n_bad_b), across_count(n_equal)));
    let rest = workgroup_count(lane, vec4(across_count(n_same_sign), checksum_a, checksum_b, 0u));
    let largest = workgroup_largest(lane, vec4(across_largest(largest_a), across_largest(largest_b), across_largest(largest_diff), 0u));
    if lane == 0u {
        let out = group.x * RECORD;
        partials[out] = seen.x;
        partials[out + 1u] = seen.y;
        partials[out + 2u] = seen.z;
        partials[out + 3u] = seen.w;
        partials[out + 4u] = rest.x;
        // halves, so that no checksum can look like the word that marks unwritten memory
        partials[out + 5u] = rest.y & 0xffffu;
        partials[out + 6u] = rest.y >> 16u;
        partials[out + 7u] = rest.z & 0xffffu;
        partials[out + 8u] = rest.z >> 16u;
        partials[out + 9u] = largest.x;
        partials[out + 10u] = largest.y;
        partials[out + 11u] = largest.z;
        for (var i = 0u; i < 4u; i++) {
            partials[out + 12u + i] = bitcast<u32>(sums.high[i]);
            partials[out + 18u + i] = bitcast<u32>(sums.low[i]);
        }
        for (var i = 0u; i < 2u; i++) {
            partials[out + 16u + i] = bitcast<u32>(more.high[i]);
            partials[out + 22u + i] = bitcast<u32>(more.low[i]);
        }
    }
}
