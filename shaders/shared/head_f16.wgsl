enable f16;
// head_f16: operands of matrix units as f16. Comes first, behind head_coop: `enable` stands before any declaration.
alias Element = f16;
alias Packed = vec4<f16>;

fn elements_of(packed: Packed) -> vec4<Element> { return packed; }
