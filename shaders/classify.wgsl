// classify: elements, NaN, Inf, zero and subnormal ones, and the sum of all words, by integer tests on the raw words.
// [n] → [n_blocks, RECORD] words. One workgroup = one block of BLOCK elements.
// Expects: BLOCK, WG, the type codes (consts), workgroup_count (reduce).
struct Params { n_elements: u32 }

override DTYPE: u32 = 0u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> words: array<u32>;
@group(0) @binding(2) var<storage, read_write> partials: array<u32>;

const RECORD: u32 = 7u;

fn element_bits(dtype: u32) -> u32 {
    switch dtype {
        case F64, I64: { return 64u; }
        case F32, I32: { return 32u; }
        case BF16, F16, I16, U16: { return 16u; }
        default: { return 8u; }
    }
}

// (NaN, Inf, zero, subnormal) of a magnitude in a format whose infinity and smallest normal number are given.
fn ieee(magnitude: u32, infinity: u32, smallest_normal: u32) -> vec4<bool> {
    return vec4(magnitude > infinity, magnitude == infinity, magnitude == 0u, magnitude != 0u && magnitude < smallest_normal);
}

fn class_f64(low: u32, high: u32) -> vec4<bool> {
    let top = high & 0x7fffffffu;
    let is_zero = (top | low) == 0u;
    return vec4(
        top > 0x7ff00000u || (top == 0x7ff00000u && low != 0u),
        top == 0x7ff00000u && low == 0u,
        is_zero,
        top < 0x00100000u && !is_zero,
    );
}

fn class_fnuz(raw: u32, smallest_normal: u32) -> vec4<bool> {
    let magnitude = raw & 0x7fu;
    return vec4(raw == 0x80u, false, raw == 0u, magnitude != 0u && magnitude < smallest_normal);
}

// An 8- or 16-bit element is the low bits of `low`; `high` matters to 64-bit types only.
fn class_of(low: u32, high: u32) -> vec4<bool> {
    switch DTYPE {
        case F32: { return ieee(low & 0x7fffffffu, 0x7f800000u, 0x00800000u); }
        case BF16: { return ieee(low & 0x7fffu, 0x7f80u, 0x0080u); }
        case F16: { return ieee(low & 0x7fffu, 0x7c00u, 0x0400u); }
        // no infinity: the pattern before NaN is a number
        case F8_E4M3: { return ieee(low & 0x7fu, 0x7eu, 0x08u) & vec4(true, false, true, true); }
        case F8_E5M2: { return ieee(low & 0x7fu, 0x7cu, 0x04u); }
        case F8_E4M3FNUZ: { return class_fnuz(low, 0x08u); }
        case F8_E5M2FNUZ: { return class_fnuz(low, 0x04u); }
        case F64: { return class_f64(low, high); }
        case I8, U8, I16, U16, I32, I64: { return vec4(false, false, (low | high) == 0u, false); }
        default: { return vec4(false); }
    }
}

@compute @workgroup_size(WG)
fn classify(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let bits = element_bits(DTYPE);
    let per_word = max(32u / bits, 1u);
    let words_each = max(bits / 32u, 1u);
    let first = group.x * BLOCK;
    let end = min(first + BLOCK, params.n_elements);
    var classes = vec4(0u);
    var n_seen = 0u;
    var checksum = 0u;
    for (var element = first + lane; element < end; element += WG) {
        let word_idx = element / per_word * words_each;
        let word = words[word_idx];
        var low = word;
        var high = 0u;
        if bits == 64u {
            high = words[word_idx + 1u];
        } else if bits < 32u {
            low = extractBits(word, element % per_word * bits, bits);
        }
        classes += select(vec4(0u), vec4(1u), class_of(low, high));
        n_seen += 1u;
        checksum += select(0u, word + high, element % per_word == 0u);
    }
    let counted = workgroup_count(lane, classes);
    let rest = workgroup_count(lane, vec4(n_seen, checksum, 0u, 0u));
    if lane == 0u {
        let out = group.x * RECORD;
        partials[out] = rest.x;
        partials[out + 1u] = counted.x;
        partials[out + 2u] = counted.y;
        partials[out + 3u] = counted.z;
        partials[out + 4u] = counted.w;
        // halves, so that no checksum can look like the word that marks unwritten memory
        partials[out + 5u] = rest.y & 0xffffu;
        partials[out + 6u] = rest.y >> 16u;
    }
}
