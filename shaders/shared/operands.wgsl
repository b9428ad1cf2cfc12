// operands: the two inputs a and b as packed words, read four elements at a time.
// A quad never straddles a word: the host pads rows to whole quads with zeros.
// Expects: words_per_quad, decode_quad (decode). Element types are fixed when the pipeline is made.
override A_DTYPE: u32 = 0u;
override B_DTYPE: u32 = 0u;

@group(0) @binding(1) var<storage, read> a: array<u32>;
@group(0) @binding(2) var<storage, read> b: array<u32>;

fn raw_quad_a(quad: u32) -> vec4<u32> {
    let per_quad = words_per_quad(A_DTYPE);
    let first = quad * per_quad;
    if per_quad == 4u { return vec4(a[first], a[first + 1u], a[first + 2u], a[first + 3u]); }
    if per_quad == 2u { return vec4(a[first], a[first + 1u], 0u, 0u); }
    return vec4(a[first], 0u, 0u, 0u);
}

fn raw_quad_b(quad: u32) -> vec4<u32> {
    let per_quad = words_per_quad(B_DTYPE);
    let first = quad * per_quad;
    if per_quad == 4u { return vec4(b[first], b[first + 1u], b[first + 2u], b[first + 3u]); }
    if per_quad == 2u { return vec4(b[first], b[first + 1u], 0u, 0u); }
    return vec4(b[first], 0u, 0u, 0u);
}
