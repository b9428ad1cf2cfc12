// decode_blocks: GGUF blocks → the f32 bit patterns of their elements.  [n_blocks × bytes], codebook → [n_elements] words.
// One workgroup = BLOCK elements, whatever a block of the type holds; the grids of the IQ types come packed, as `codebook`.
// Expects: BLOCK, WG (consts), decode_element (blocks).
struct Params { n_elements: u32, block_elements: u32, block_bytes: u32 }

override BLOCK_TYPE: u32 = 0u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> words: array<u32>;
@group(0) @binding(2) var<storage, read> codebook: array<u32>;
@group(0) @binding(3) var<storage, read_write> decoded: array<u32>;

@compute @workgroup_size(WG)
fn decode_blocks(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = group.x * BLOCK;
    let end = min(first + BLOCK, params.n_elements);
    for (var element = first + lane; element < end; element += WG) {
        let at = element / params.block_elements * params.block_bytes;
        decoded[element] = decode_element(BLOCK_TYPE, at, element % params.block_elements);
    }
}
