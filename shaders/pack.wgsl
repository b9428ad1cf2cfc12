// pack: rows become scaled f16 for the matrix units.  [n_rows, k] → [row tiles][slabs][PACK_ROWS][SLAB] halves, two a word.
// Element = f16(value · column factor · 2^s of its row), rounded to nearest even by integers, so that no device rounds
// otherwise. Rows and columns beyond the operand become zeros. What f16 cannot hold of an element may follow as parts of
// its own: with hi = f16(x) and lo = f16(x − hi), the parts (hi, hi, lo) of a and (hi, lo, hi) of b side by side make
// one product ab up to lo·lo, 2⁻²² of it.
// One thread = four columns of one row, in all parts.
// Expects: WG (consts), decode_quad, decode_f16 (decode), raw_quad_a (operands). Of operands only `a` is used: the
// place of `b` is free.
struct Params { n_rows: u32, row_quads: u32, part_quads: u32, n_parts: u32, low_parts: u32, n_rows_padded: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> a_factors: array<vec4<f32>>;
// 2^s; 0 for a row without direction
@group(0) @binding(3) var<storage, read> row_scales: array<f32>;
@group(0) @binding(4) var<storage, read_write> packed: array<vec2<u32>>;

const PACK_ROWS: u32 = 128u;
const SLAB: u32 = 32u;
const SLAB_QUADS: u32 = SLAB / 4u;

// Bits of the nearest f16, ties to even; |x| < 2^15.5.
fn to_f16(x: vec4<f32>) -> vec4<u32> {
    let bits = bitcast<vec4<u32>>(x);
    let sign = (bits >> vec4(16u)) & vec4(0x8000u);
    let magnitude = bits & vec4(0x7fffffffu);
    let rebiased = magnitude - vec4((127u - 15u) << 23u);
    let normal = (rebiased + vec4(0xfffu) + ((rebiased >> vec4(13u)) & vec4(1u))) >> vec4(13u);
    // below 2^-14: multiples of 2^-24
    let subnormal = vec4<u32>(round(abs(x) * 16777216.0));
    return sign | select(normal, subnormal, magnitude < vec4((127u - 14u) << 23u));
}

fn words_of(halves: vec4<u32>) -> vec2<u32> {
    return vec2(halves.x | (halves.y << 16u), halves.z | (halves.w << 16u));
}

@compute @workgroup_size(WG)
fn pack(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let quad = group.x * WG + lane;
    let row = group.y;
    if quad >= params.part_quads || row >= params.n_rows_padded { return; }
    var hi = vec4(0u);
    var lo = vec4(0u);
    if row < params.n_rows && quad < params.row_quads {
        let scale = row_scales[row];
        if scale > 0.0 {
            let bits = decode_quad(A_DTYPE, raw_quad_a(row * params.row_quads + quad));
            let x = bitcast<vec4<f32>>(bits) * a_factors[quad] * scale;
            hi = to_f16(x);
            lo = to_f16(x - bitcast<vec4<f32>>(decode_f16(hi)));
        }
    }
    let n_slabs = params.n_parts * params.part_quads / SLAB_QUADS;
    for (var part = 0u; part < params.n_parts; part++) {
        let slab = (part * params.part_quads + quad) / SLAB_QUADS;
        let tile = row / PACK_ROWS * n_slabs + slab;
        let out = (tile * PACK_ROWS + row % PACK_ROWS) * SLAB_QUADS + quad % SLAB_QUADS;
        packed[out] = words_of(select(hi, lo, ((params.low_parts >> part) & 1u) == 1u));
    }
}
