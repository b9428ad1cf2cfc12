// probe_coop: products of 16 × 16 × 16 matrix units on operands that never change: what the units reach at most.
// [n_groups] words. All elements are 1, so that each product adds 16, exactly up to 2²⁴.
// One workgroup = 256 threads; each subgroup multiplies into four fragments of its own.
// Expects: Element, Packed, elements_of (head_f16), of which it uses the type.
struct Params { n_rounds: u32, n_groups: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> start: array<f32>;
@group(0) @binding(2) var<storage, read_write> ends: array<u32>;

const THREADS: u32 = 256u;

var<workgroup> operand: array<Element, 256>;
var<workgroup> result: array<f32, 256>;

@compute @workgroup_size(THREADS)
fn probe_coop(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    operand[lane] = Element(start[lane % 64u]);
    workgroupBarrier();
    let x = coopLoadT<coop_mat16x16<f16, A>>(&operand[0], 16u);
    let y = coopLoad<coop_mat16x16<f16, B>>(&operand[0], 16u);
    var c0 = coop_mat16x16<f32, C>(); var c1 = coop_mat16x16<f32, C>();
    var c2 = coop_mat16x16<f32, C>(); var c3 = coop_mat16x16<f32, C>();
    for (var round = 0u; round < params.n_rounds; round++) {
        c0 = coopMultiplyAdd(x, y, c0); c1 = coopMultiplyAdd(x, y, c1);
        c2 = coopMultiplyAdd(x, y, c2); c3 = coopMultiplyAdd(x, y, c3);
    }
    // all subgroups store the same
    let sum = (c0 + c1) + (c2 + c3);
    coopStoreT(sum, &result[0], 16u);
    workgroupBarrier();
    if lane == 0u && group.x < params.n_groups { ends[group.x] = bitcast<u32>(result[0]); }
}
