// consts: numbers that Rust knows too; tests/layout.rs compares them.

// Element types of an operand (kernels/operand.rs, shader_code).
const F32: u32 = 0u;
const BF16: u32 = 1u;
const F16: u32 = 2u;
const F8_E4M3: u32 = 3u;
const F8_E5M2: u32 = 4u;
const F8_E4M3FNUZ: u32 = 5u;
const F8_E5M2FNUZ: u32 = 6u;
const I8: u32 = 7u;
const U8: u32 = 8u;
const I16: u32 = 9u;
const U16: u32 = 10u;
// 32- and 64-bit types that only `classify` reads; elsewhere the host turns them into F32.
const I32: u32 = 11u;
const F64: u32 = 12u;
const I64: u32 = 13u;

// Threads of a workgroup in the kernels that read memory once.
const WG: u32 = 64u;
// Elements of one f32 partial sum; the host adds partials in f64.
const BLOCK: u32 = 4096u;
// Four consecutive elements are decoded together.
const QUADS_PER_BLOCK: u32 = 1024u;
