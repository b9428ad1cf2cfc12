// blocks: one element of a GGUF block → the bit pattern of its f32, exactly as the format's reference decodes it.
// A value is a scale times whole numbers: integers throughout, so that a device which flushes subnormals, fuses or believes
// that NaN does not exist gives the same bits. Only offsets are added in float: both terms are normal f32, or zero.
// Expects: words, codebook (bindings).

const Q4_0: u32 = 0u;
const Q4_1: u32 = 1u;
const Q5_0: u32 = 2u;
const Q5_1: u32 = 3u;
const Q8_0: u32 = 4u;
const Q8_1: u32 = 5u;
const Q2_K: u32 = 6u;
const Q3_K: u32 = 7u;
const Q4_K: u32 = 8u;
const Q5_K: u32 = 9u;
const Q6_K: u32 = 10u;
const Q8_K: u32 = 11u;
const IQ1_S: u32 = 12u;
const IQ1_M: u32 = 13u;
const IQ2_XXS: u32 = 14u;
const IQ2_XS: u32 = 15u;
const IQ2_S: u32 = 16u;
const IQ3_XXS: u32 = 17u;
const IQ3_S: u32 = 18u;
const IQ4_NL: u32 = 19u;
const IQ4_XS: u32 = 20u;
const TQ1_0: u32 = 21u;
const TQ2_0: u32 = 22u;
const MXFP4: u32 = 23u;

const NAN: u32 = 0x7fc00000u;
const INFINITY: u32 = 0x7f800000u;
const MINUS: u32 = 0x80000000u;

fn byte_at(at: u32) -> u32 {
    return extractBits(words[at / 4u], at % 4u * 8u, 8u);
}

fn half_at(at: u32) -> u32 {
    return byte_at(at) | (byte_at(at + 1u) << 8u);
}

fn word_at(at: u32) -> u32 {
    return half_at(at) | (half_at(at + 2u) << 16u);
}

fn signed_byte(at: u32) -> i32 {
    return bitcast<i32>(byte_at(at) << 24u) >> 24u;
}

fn nibble(byte: u32, is_high: bool) -> u32 {
    return select(byte & 15u, byte >> 4u, is_high);
}

// number · 2^exponent, rounded to nearest even; number < 2^31.
fn pack(sign: u32, number: u32, exponent: i32) -> u32 {
    if number == 0u { return sign; }
    let top = 31 - i32(countLeadingZeros(number));
    let biased = top + exponent + 127;
    if biased < 1 { return sign | (number << u32(exponent + 149)); }
    var mantissa = number;
    if top <= 23 {
        mantissa = number << u32(23 - top);
    } else {
        let shift = u32(top - 23);
        let rest = number & ((1u << shift) - 1u);
        let half = 1u << (shift - 1u);
        mantissa = number >> shift;
        mantissa += select(0u, 1u, rest > half || (rest == half && (mantissa & 1u) == 1u));
    }
    let magnitude = (u32(biased - 1) << 23u) + mantissa;
    return sign | select(magnitude, INFINITY, biased > 254 || magnitude > INFINITY);
}

// An f16 scale times number · 2^exponent.
fn scaled(half: u32, is_minus: bool, number: u32, exponent: i32) -> u32 {
    let sign = ((half & 0x8000u) << 16u) ^ select(0u, MINUS, is_minus);
    let field = (half >> 10u) & 31u;
    let fraction = half & 0x3ffu;
    if field == 31u {
        return select(sign | INFINITY, NAN, fraction != 0u || number == 0u);
    }
    let mantissa = fraction | select(0u, 0x400u, field != 0u);
    return pack(sign, mantissa * number, i32(max(field, 1u)) - 25 + exponent);
}

fn scaled_int(half: u32, number: i32) -> u32 {
    return scaled(half, number < 0, u32(abs(number)), 0);
}

fn scaled_two(half: u32, scale: i32, number: i32) -> u32 {
    return scaled(half, (scale < 0) != (number < 0), u32(abs(scale * number)), 0);
}

// An f32 scale times a whole number.
fn scaled_f32(bits: u32, number: i32) -> u32 {
    let sign = (bits & MINUS) ^ select(0u, MINUS, number < 0);
    let field = (bits >> 23u) & 255u;
    let fraction = bits & 0x7fffffu;
    if field == 255u {
        return select(sign | INFINITY, NAN, fraction != 0u || number == 0);
    }
    let mantissa = fraction | select(0u, 0x800000u, field != 0u);
    return pack(sign, mantissa * u32(abs(number)), i32(max(field, 1u)) - 150);
}

fn is_special(bits: u32) -> bool {
    return (bits & INFINITY) == INFINITY;
}

fn added(a: u32, b: u32) -> u32 {
    if is_special(a) || is_special(b) {
        let is_nan = (a & ~MINUS) > INFINITY || (b & ~MINUS) > INFINITY || (is_special(a) && is_special(b) && a != b);
        return select(select(b, a, is_special(a)), NAN, is_nan);
    }
    if ((a | b) & ~MINUS) == 0u { return a & b; }
    if (a ^ b) == MINUS { return 0u; }
    return bitcast<u32>(bitcast<f32>(a) + bitcast<f32>(b));
}

fn iq4_level(code: u32) -> i32 {
    // four levels a word, plus 127, lowest byte first: −127 −104 −83 −65, −49 −35 −22 −10, 1 13 25 38, 53 69 89 113
    let packed = array(0x3e2c1700u, 0x75695c4eu, 0xa5988c80u, 0xf0d8c4b4u);
    let four = packed[code / 4u];
    return i32((four >> (code % 4u * 8u)) & 255u) - 127;
}

// Magnitude of an E2M1 number, doubled: 0 1 2 3 4 6 8 12.
fn mxfp4_magnitude(code: u32) -> u32 {
    return (0xc8643210u >> ((code & 7u) * 4u)) & 15u;
}

// Element `lane` of vector `code`: two bits each in vectors of eight, four bits each in vectors of four.
fn code_of_eight(code: u32, lane: u32) -> u32 {
    let bit = code * 16u + lane * 2u;
    return (codebook[bit / 32u] >> (bit % 32u)) & 3u;
}

fn code_of_four(code: u32, lane: u32) -> u32 {
    let bit = code * 16u + lane * 4u;
    return (codebook[bit / 32u] >> (bit % 32u)) & 15u;
}

fn iq2_magnitude(code: u32, lane: u32) -> u32 {
    return (0x2b1908u >> (code_of_eight(code, lane) * 8u)) & 255u;
}

// Seven stored signs; the eighth makes their number even.
fn seventh_parity_sign(seven: u32, lane: u32) -> bool {
    let signs = (seven & 127u) | ((countOneBits(seven & 127u) & 1u) << 7u);
    return ((signs >> lane) & 1u) == 1u;
}

// Code of an element among 32 in two halves of nibbles.
fn nibble_of_32(at: u32, i: u32) -> u32 {
    return nibble(byte_at(at + i % 16u), i >= 16u);
}

fn fives(at: u32, i: u32) -> u32 {
    return nibble_of_32(at + 4u, i) | (((word_at(at) >> i) & 1u) << 4u);
}

// Two bits of an element: 128 elements a run of 32 bytes, parts of 32 in rising pairs of bits.
fn pair_of_bits(at: u32, i: u32) -> u32 {
    return (byte_at(at + i / 128u * 32u + i % 32u) >> (i % 128u / 32u * 2u)) & 3u;
}

fn k_scale(at: u32, part: u32) -> u32 {
    if part < 4u { return byte_at(at + part) & 63u; }
    return (byte_at(at + part + 4u) & 15u) | ((byte_at(at + part - 4u) >> 6u) << 4u);
}

fn k_min(at: u32, part: u32) -> u32 {
    if part < 4u { return byte_at(at + part + 4u) & 63u; }
    return (byte_at(at + part + 4u) >> 4u) | ((byte_at(at + part) >> 6u) << 4u);
}

// scale · s · q − offset · m
fn less_min(half: u32, scale: u32, q: u32, min_half: u32, min: u32) -> u32 {
    return added(scaled(half, false, scale * q, 0), scaled(min_half, false, min, 0) ^ MINUS);
}

fn q3_k(at: u32, i: u32) -> u32 {
    let part = i / 16u;
    let low = (byte_at(at + 96u + part % 8u) >> (part / 8u * 4u)) & 15u;
    let high = (byte_at(at + 104u + part % 4u) >> (part / 4u * 2u)) & 3u;
    let third = (byte_at(at + i % 32u) >> (i / 32u)) & 1u;
    let q = i32(pair_of_bits(at + 32u, i) | (third << 2u)) - 4;
    return scaled_two(half_at(at + 108u), i32(low | (high << 4u)) - 32, q);
}

fn q6_k(at: u32, i: u32) -> u32 {
    let low = nibble(byte_at(at + i / 128u * 64u + i % 64u), i % 128u >= 64u);
    let q = i32(low | (pair_of_bits(at + 128u, i) << 4u)) - 32;
    return scaled_two(half_at(at + 208u), signed_byte(at + 192u + i / 16u), q);
}

fn iq4_xs(at: u32, i: u32) -> u32 {
    let part = i / 32u;
    let low = nibble(byte_at(at + 4u + part / 2u), part % 2u == 1u);
    let high = (half_at(at + 2u) >> (2u * part)) & 3u;
    return scaled_two(half_at(at), i32(low | (high << 4u)) - 32, iq4_level(nibble_of_32(at + 8u + 16u * part, i % 32u)));
}

fn iq1(half: u32, scale: u32, code: u32, lane: u32, is_minus: bool) -> u32 {
    let number = 8 * (i32(code_of_eight(code, lane)) - 1) + select(1, -1, is_minus);
    return scaled(half, number < 0, (2u * scale + 1u) * u32(abs(number)), -3);
}

fn iq1_s(at: u32, i: u32) -> u32 {
    let nth = i / 8u;
    let packed = half_at(at + 34u + nth / 4u * 2u);
    let code = byte_at(at + 2u + nth) | (((packed >> (nth % 4u * 3u)) & 7u) << 8u);
    return iq1(half_at(at), (packed >> 12u) & 7u, code, i % 8u, (packed & 0x8000u) != 0u);
}

fn iq1_m(at: u32, i: u32) -> u32 {
    let nth = i / 8u;
    let half = (half_at(at + 48u) >> 12u) | ((half_at(at + 50u) >> 8u) & 0xf0u) | ((half_at(at + 52u) >> 4u) & 0xf00u) | (half_at(at + 54u) & 0xf000u);
    let part = nth / 2u;
    let scale = (half_at(at + 48u + part / 4u * 2u) >> (part % 4u * 3u)) & 7u;
    let packed = byte_at(at + 32u + nth / 2u) >> (nth % 2u * 4u);
    return iq1(half, scale, byte_at(at + nth) | ((packed & 7u) << 8u), i % 8u, (packed & 8u) != 0u);
}

fn iq2_xxs(at: u32, i: u32) -> u32 {
    let part = i / 32u;
    let nth = i % 32u / 8u;
    let packed = word_at(at + 6u + 8u * part);
    let magnitude = iq2_magnitude(byte_at(at + 2u + 8u * part + nth), i % 8u);
    return scaled(half_at(at), seventh_parity_sign(packed >> (7u * nth), i % 8u), (2u * (packed >> 28u) + 1u) * magnitude, -3);
}

fn iq2_xs(at: u32, i: u32) -> u32 {
    let nth = i / 8u;
    let code = half_at(at + 2u + 2u * nth);
    let scale = nibble(byte_at(at + 66u + nth / 4u), nth / 2u % 2u == 1u);
    return scaled(half_at(at), seventh_parity_sign(code >> 9u, i % 8u), (2u * scale + 1u) * iq2_magnitude(code & 511u, i % 8u), -3);
}

fn iq2_s(at: u32, i: u32) -> u32 {
    let nth = i / 8u;
    let code = byte_at(at + 2u + nth) | (((byte_at(at + 66u + nth / 4u) >> (nth % 4u * 2u)) & 3u) << 8u);
    let scale = nibble(byte_at(at + 74u + nth / 4u), nth / 2u % 2u == 1u);
    let is_minus = ((byte_at(at + 34u + nth) >> (i % 8u)) & 1u) == 1u;
    return scaled(half_at(at), is_minus, (2u * scale + 1u) * iq2_magnitude(code, i % 8u), -3);
}

fn iq3_xxs(at: u32, i: u32) -> u32 {
    let packed = word_at(at + 66u + i / 32u * 4u);
    // 4 12 20 28 36 44 52 62
    let code = code_of_four(byte_at(at + 2u + i / 4u), i % 4u);
    let magnitude = 8u * code + select(4u, 6u, code == 7u);
    return scaled(half_at(at), seventh_parity_sign(packed >> (i % 32u / 8u * 7u), i % 8u), (2u * (packed >> 28u) + 1u) * magnitude, -2);
}

fn iq3_s(at: u32, i: u32) -> u32 {
    let nth = i / 4u;
    let part = i / 32u;
    let code = byte_at(at + 2u + nth) | (((byte_at(at + 66u + part) >> (nth % 8u)) & 1u) << 8u);
    let scale = nibble(byte_at(at + 106u + part / 2u), part % 2u == 1u);
    let is_minus = ((byte_at(at + 74u + i / 8u) >> (i % 8u)) & 1u) == 1u;
    return scaled(half_at(at), is_minus, (2u * scale + 1u) * (2u * code_of_four(code, i % 4u) + 1u), 0);
}

fn tq1_0(at: u32, i: u32) -> u32 {
    var byte = at + i % 32u;
    var digit = i / 32u;
    if i >= 240u {
        byte = at + 48u + i % 4u;
        digit = (i - 240u) / 4u;
    } else if i >= 160u {
        byte = at + 32u + i % 16u;
        digit = (i - 160u) / 16u;
    }
    // 1, 3, 9, 27, 81
    let powers = array(1u, 3u, 9u, 27u, 81u);
    let power = powers[min(digit, 4u)];
    let q = (((byte_at(byte) * power) & 255u) * 3u) >> 8u;
    return scaled_int(half_at(at + 52u), i32(q) - 1);
}

fn mxfp4(at: u32, i: u32) -> u32 {
    let code = nibble_of_32(at + 1u, i);
    return pack(select(0u, MINUS, code > 8u), mxfp4_magnitude(code), i32(byte_at(at)) - 128);
}

// Element `i` of the block whose bytes start at `at`.
fn decode_element(block_type: u32, at: u32, i: u32) -> u32 {
    switch block_type {
        case Q4_0: { return scaled_int(half_at(at), i32(nibble_of_32(at + 2u, i)) - 8); }
        case Q4_1: { return added(scaled(half_at(at), false, nibble_of_32(at + 4u, i), 0), scaled(half_at(at + 2u), false, 1u, 0)); }
        case Q5_0: { return scaled_int(half_at(at), i32(fives(at + 2u, i)) - 16); }
        case Q5_1: { return added(scaled(half_at(at), false, fives(at + 4u, i), 0), scaled(half_at(at + 2u), false, 1u, 0)); }
        case Q8_0: { return scaled_int(half_at(at), signed_byte(at + 2u + i)); }
        case Q8_1: { return scaled_int(half_at(at), signed_byte(at + 4u + i)); }
        case Q2_K: {
            let scales = byte_at(at + i / 16u);
            return less_min(half_at(at + 80u), scales & 15u, pair_of_bits(at + 16u, i), half_at(at + 82u), scales >> 4u);
        }
        case Q3_K: { return q3_k(at, i); }
        case Q4_K: {
            let part = i / 32u;
            let q = nibble(byte_at(at + 16u + i / 64u * 32u + i % 32u), part % 2u == 1u);
            return less_min(half_at(at), k_scale(at + 4u, part), q, half_at(at + 2u), k_min(at + 4u, part));
        }
        case Q5_K: {
            let part = i / 32u;
            let q = nibble(byte_at(at + 48u + i / 64u * 32u + i % 32u), part % 2u == 1u) | (((byte_at(at + 16u + i % 32u) >> part) & 1u) << 4u);
            return less_min(half_at(at), k_scale(at + 4u, part), q, half_at(at + 2u), k_min(at + 4u, part));
        }
        case Q6_K: { return q6_k(at, i); }
        case Q8_K: { return scaled_f32(word_at(at), signed_byte(at + 4u + i)); }
        case IQ1_S: { return iq1_s(at, i); }
        case IQ1_M: { return iq1_m(at, i); }
        case IQ2_XXS: { return iq2_xxs(at, i); }
        case IQ2_XS: { return iq2_xs(at, i); }
        case IQ2_S: { return iq2_s(at, i); }
        case IQ3_XXS: { return iq3_xxs(at, i); }
        case IQ3_S: { return iq3_s(at, i); }
        case IQ4_NL: { return scaled_int(half_at(at), iq4_level(nibble_of_32(at + 2u, i))); }
        case IQ4_XS: { return iq4_xs(at, i); }
        case TQ1_0: { return tq1_0(at, i); }
        case TQ2_0: { return scaled_int(half_at(at + 64u), i32(pair_of_bits(at, i)) - 1); }
        case MXFP4: { return mxfp4(at, i); }
        default: { return NAN; }
    }
}
