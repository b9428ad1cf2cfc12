// reduce: sums and maxima over a workgroup by a fixed tree: the order never depends on the device.
// Every thread must call; every thread gets the result. No subgroup operations.
// Expects: WG (consts).
var<workgroup> float_tree: array<vec4<f32>, WG>;
var<workgroup> count_tree: array<vec4<u32>, WG>;

fn workgroup_sum(lane: u32, value: vec4<f32>) -> vec4<f32> {
    float_tree[lane] = value;
    workgroupBarrier();
    for (var stride = WG / 2u; stride > 0u; stride >>= 1u) {
        if lane < stride { float_tree[lane] += float_tree[lane + stride]; }
        workgroupBarrier();
    }
    let total = float_tree[0];
    workgroupBarrier();
    return total;
}

fn workgroup_count(lane: u32, value: vec4<u32>) -> vec4<u32> {
    count_tree[lane] = value;
    workgroupBarrier();
    for (var stride = WG / 2u; stride > 0u; stride >>= 1u) {
        if lane < stride { count_tree[lane] += count_tree[lane + stride]; }
        workgroupBarrier();
    }
    let total = count_tree[0];
    workgroupBarrier();
    return total;
}

fn workgroup_largest(lane: u32, value: vec4<u32>) -> vec4<u32> {
    count_tree[lane] = value;
    workgroupBarrier();
    for (var stride = WG / 2u; stride > 0u; stride >>= 1u) {
        if lane < stride { count_tree[lane] = max(count_tree[lane], count_tree[lane + stride]); }
        workgroupBarrier();
    }
    let largest = count_tree[0];
    workgroupBarrier();
    return largest;
}

// Components of a per-thread sum added in a fixed order.
fn across(value: vec4<f32>) -> f32 { return (value.x + value.y) + (value.z + value.w); }
fn across_count(value: vec4<u32>) -> u32 { return value.x + value.y + value.z + value.w; }
fn across_largest(value: vec4<u32>) -> u32 { return max(max(value.x, value.y), max(value.z, value.w)); }
