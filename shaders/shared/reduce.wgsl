// reduce: sums and maxima over a workgroup by a fixed tree: the order never depends on the device.
// Every thread must call; every thread gets the result. No subgroup operations.
// Expects: WG (consts).
var<workgroup> float_tree: array<vec4<f32>, WG>;
var<workgroup> error_tree: array<vec4<f32>, WG>;
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

// A sum in two parts: `high` + `low` holds what rounding took from `high` alone.
struct TwoSum { high: vec4<f32>, low: vec4<f32> }

// The rounding error of every addition is added up beside the sum (Knuth, The Art of Computer Programming, vol. 2,
// 4.2.2). A device that reassociates gets a `low` of zero: the plain sum.
fn workgroup_two_sum(lane: u32, value: vec4<f32>) -> TwoSum {
    float_tree[lane] = value;
    error_tree[lane] = vec4(0.0);
    workgroupBarrier();
    for (var stride = WG / 2u; stride > 0u; stride >>= 1u) {
        if lane < stride {
            let x = float_tree[lane];
            let y = float_tree[lane + stride];
            let sum = x + y;
            let y_part = sum - x;
            let error = (x - (sum - y_part)) + (y - y_part);
            float_tree[lane] = sum;
            error_tree[lane] += error_tree[lane + stride] + error;
        }
        workgroupBarrier();
    }
    let total = TwoSum(float_tree[0], error_tree[0]);
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
