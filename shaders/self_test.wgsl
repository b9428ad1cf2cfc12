// self_test: known answers. Part `what` of it is chosen by the host.  [n] words → [n] words.
//   0  decode: pattern i of type `dtype` → f32 bits
//   2  tree: group g adds g + lane + 1 over lanes   3  count: largest lane of the group, by the integer tree
//   4  ids: group g says 3g + 1                    5  dot: group g adds the squares of its BLOCK values of `a`
// Expects: WG, BLOCK (consts), decode_quad (decode), workgroup_* (reduce).
struct Params { what: u32, n_groups_x: u32, n_groups: u32, dtype: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read_write> answers: array<u32>;

@compute @workgroup_size(WG)
fn self_test(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = group_id.y * params.n_groups_x + group_id.x;
    if group >= params.n_groups { return; }
    switch params.what {
        case 0u: {
            let pattern = group * WG + lane;
            // 8-bit types: the second element is the low byte once more
            let is_byte = params.dtype >= F8_E4M3 && params.dtype <= U8;
            let pair = select(pattern << 16u, (pattern & 0xffu) << 8u, is_byte);
            answers[pattern] = decode_quad(params.dtype, vec4(pair, 0u, 0u, 0u)).y;
        }
        case 2u: {
            let total = workgroup_sum(lane, vec4(f32(group + lane + 1u), 0.0, 0.0, 0.0));
            if lane == 0u { answers[group] = bitcast<u32>(total.x); }
        }
        case 3u: {
            let largest = workgroup_largest(lane, vec4(lane * 7u % WG, group, 0u, 0u));
            let total = workgroup_count(lane, vec4(1u, lane, 0u, 0u));
            if lane == 0u { answers[group] = largest.x * 1000000u + total.x * 10000u + total.y + largest.y - group; }
        }
        case 4u: {
            if lane == 0u { answers[group] = 3u * group + 1u; }
        }
        default: {
            var sum = vec4(0.0);
            for (var i = lane; i < BLOCK; i += WG) {
                let x = a[group * BLOCK + i];
                sum += vec4(x * x, x, 0.0, 0.0);
            }
            let total = workgroup_sum(lane, sum);
            if lane == 0u { answers[group] = bitcast<u32>(total.x); }
        }
    }
}
