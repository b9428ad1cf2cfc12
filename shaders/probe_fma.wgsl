// probe_fma: fused multiply-adds that never leave the registers: what f32 arithmetic reaches at most.  [n_groups] words.
// x ← x/2 + 1/2 keeps 1 at 1, exactly; a compiler cannot know, because the host brings the numbers.
// One thread = eight chains of vec4.
// Expects: WG (consts).
struct Params { n_rounds: u32, factor: f32, summand: f32, n_groups: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> start: array<f32>;
@group(0) @binding(2) var<storage, read_write> ends: array<u32>;

@compute @workgroup_size(WG)
fn probe_fma(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = vec4(start[lane]);
    let m = vec4(params.factor);
    let s = vec4(params.summand);
    var x0 = first; var x1 = first; var x2 = first; var x3 = first;
    var x4 = first; var x5 = first; var x6 = first; var x7 = first;
    for (var round = 0u; round < params.n_rounds; round++) {
        x0 = fma(x0, m, s); x1 = fma(x1, m, s); x2 = fma(x2, m, s); x3 = fma(x3, m, s);
        x4 = fma(x4, m, s); x5 = fma(x5, m, s); x6 = fma(x6, m, s); x7 = fma(x7, m, s);
    }
    let sum = ((x0 + x1) + (x2 + x3)) + ((x4 + x5) + (x6 + x7));
    if lane == 0u && group.x < params.n_groups { ends[group.x] = bitcast<u32>((sum.x + sum.y) + (sum.z + sum.w)); }
}
