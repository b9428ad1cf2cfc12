// stage: blocks of 4 rows × 4 columns of the normalised operands, on their way into workgroup memory.
// Element = value · column factor · 1/‖row‖. Rows beyond the operand and rows without a norm have 1/‖row‖ = 0 and
// give zeros, whatever the memory holds.
// Expects: decode_quad (decode), raw_quad_* (operands), params.row_quads (gemm_*).
@group(0) @binding(3) var<storage, read> a_inverse_norms: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> b_inverse_norms: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> a_factors: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> b_factors: array<vec4<f32>>;

// Four columns of four rows, one vector per column.
struct Block { k0: vec4<f32>, k1: vec4<f32>, k2: vec4<f32>, k3: vec4<f32> }

fn scaled(bits: vec4<u32>, factors: vec4<f32>, inverse_norm: f32) -> vec4<f32> {
    return select(vec4(0.0), bitcast<vec4<f32>>(bits) * factors * inverse_norm, inverse_norm > 0.0);
}

fn transposed(r0: vec4<f32>, r1: vec4<f32>, r2: vec4<f32>, r3: vec4<f32>) -> Block {
    return Block(
        vec4(r0.x, r1.x, r2.x, r3.x), vec4(r0.y, r1.y, r2.y, r3.y),
        vec4(r0.z, r1.z, r2.z, r3.z), vec4(r0.w, r1.w, r2.w, r3.w),
    );
}

// Rows 4·row_quad … + 3 of a, columns 4·quad … + 3.
fn load_a(row_quad: u32, quad: u32) -> Block {
    let factors = a_factors[quad];
    let norms = a_inverse_norms[row_quad];
    let first = row_quad * 4u * params.row_quads + quad;
    return transposed(
        scaled(decode_quad(A_DTYPE, raw_quad_a(first)), factors, norms.x),
        scaled(decode_quad(A_DTYPE, raw_quad_a(first + params.row_quads)), factors, norms.y),
        scaled(decode_quad(A_DTYPE, raw_quad_a(first + 2u * params.row_quads)), factors, norms.z),
        scaled(decode_quad(A_DTYPE, raw_quad_a(first + 3u * params.row_quads)), factors, norms.w),
    );
}

// The same of b.
fn load_b(row_quad: u32, quad: u32) -> Block {
    let factors = b_factors[quad];
    let norms = b_inverse_norms[row_quad];
    let first = row_quad * 4u * params.row_quads + quad;
    return transposed(
        scaled(decode_quad(B_DTYPE, raw_quad_b(first)), factors, norms.x),
        scaled(decode_quad(B_DTYPE, raw_quad_b(first + params.row_quads)), factors, norms.y),
        scaled(decode_quad(B_DTYPE, raw_quad_b(first + 2u * params.row_quads)), factors, norms.z),
        scaled(decode_quad(B_DTYPE, raw_quad_b(first + 3u * params.row_quads)), factors, norms.w),
    );
}
