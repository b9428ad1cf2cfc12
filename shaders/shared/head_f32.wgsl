// head_f32: operands of matrix units as f32, for units that take no f16. The packed halves are finite, so that
// unpacking is exact.
alias Element = f32;
alias Packed = vec2<u32>;

fn elements_of(packed: Packed) -> vec4<Element> {
    return vec4(unpack2x16float(packed.x), unpack2x16float(packed.y));
}
