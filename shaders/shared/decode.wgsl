// decode: packed words of four consecutive elements → the bit patterns of four f32, exactly.
// Integer operations, and float ones only where operands and result are normal f32: a device that flushes
// subnormals, or believes that NaN does not exist, still gives the same bits.
// Expects: the type codes (consts).

// 32-bit words that four elements of `dtype` take.
fn words_per_quad(dtype: u32) -> u32 {
    switch dtype {
        case F32: { return 4u; }
        case BF16, F16, I16, U16: { return 2u; }
        default: { return 1u; }
    }
}

fn halves(words: vec4<u32>) -> vec4<u32> {
    return vec4(words.x & 0xffffu, words.x >> 16u, words.y & 0xffffu, words.y >> 16u);
}

fn bytes(word: u32) -> vec4<u32> {
    return vec4(word, word >> 8u, word >> 16u, word >> 24u) & vec4(0xffu);
}

// Sign in bit 31, exponent and mantissa of a small float format that has subnormals → f32 bits, finite values only.
fn widen(sign: vec4<u32>, magnitude: vec4<u32>, mantissa_bits: u32, bias: u32) -> vec4<u32> {
    let normal = (magnitude << vec4(23u - mantissa_bits)) + vec4((127u - bias) << 23u);
    // mantissa · 2^(1 − bias − mantissa_bits): both factors and the product are normal f32, or zero
    let unit = bitcast<f32>((128u - bias - mantissa_bits) << 23u);
    let subnormal = bitcast<vec4<u32>>(vec4<f32>(magnitude) * unit);
    return sign | select(normal, subnormal, magnitude < vec4(1u << mantissa_bits));
}

fn decode_f16(halves: vec4<u32>) -> vec4<u32> {
    let sign = (halves & vec4(0x8000u)) << vec4(16u);
    let magnitude = halves & vec4(0x7fffu);
    let special = sign | vec4(0x7f800000u) | ((halves & vec4(0x3ffu)) << vec4(13u));
    return select(widen(sign, magnitude, 10u, 15u), special, magnitude >= vec4(0x7c00u));
}

fn decode_e4m3(bytes: vec4<u32>) -> vec4<u32> {
    let sign = (bytes & vec4(0x80u)) << vec4(24u);
    let magnitude = bytes & vec4(0x7fu);
    return select(widen(sign, magnitude, 3u, 7u), sign | vec4(0x7fc00000u), magnitude == vec4(0x7fu));
}

fn decode_e5m2(bytes: vec4<u32>) -> vec4<u32> {
    let sign = (bytes & vec4(0x80u)) << vec4(24u);
    let magnitude = bytes & vec4(0x7fu);
    let special = sign | vec4(0x7f800000u) | ((bytes & vec4(3u)) << vec4(21u));
    return select(widen(sign, magnitude, 2u, 15u), special, magnitude >= vec4(0x7cu));
}

// The FNUZ formats have one NaN, 0x80, no infinity and no negative zero.
fn decode_fnuz(bytes: vec4<u32>, mantissa_bits: u32, bias: u32) -> vec4<u32> {
    let sign = (bytes & vec4(0x80u)) << vec4(24u);
    return select(widen(sign, bytes & vec4(0x7fu), mantissa_bits, bias), vec4(0x7fc00000u), bytes == vec4(0x80u));
}

fn signed(raw: vec4<u32>, bits: u32) -> vec4<u32> {
    let shift = vec4(32u - bits);
    return bitcast<vec4<u32>>(vec4<f32>(bitcast<vec4<i32>>(raw << shift) >> shift));
}

fn decode_quad(dtype: u32, words: vec4<u32>) -> vec4<u32> {
    switch dtype {
        case F32: { return words; }
        case BF16: { return halves(words) << vec4(16u); }
        case F16: { return decode_f16(halves(words)); }
        case F8_E4M3: { return decode_e4m3(bytes(words.x)); }
        case F8_E5M2: { return decode_e5m2(bytes(words.x)); }
        case F8_E4M3FNUZ: { return decode_fnuz(bytes(words.x), 3u, 8u); }
        case F8_E5M2FNUZ: { return decode_fnuz(bytes(words.x), 2u, 16u); }
        case I8: { return signed(bytes(words.x), 8u); }
        case U8: { return bitcast<vec4<u32>>(vec4<f32>(bytes(words.x))); }
        case I16: { return signed(halves(words), 16u); }
        case U16: { return bitcast<vec4<u32>>(vec4<f32>(halves(words))); }
        default: { return vec4(0x7fc00000u); }
    }
}

// By integer tests only: WGSL may assume that NaN and infinity do not exist.
fn is_non_finite(bits: vec4<u32>) -> vec4<bool> {
    return (bits & vec4(0x7f800000u)) == vec4(0x7f800000u);
}
