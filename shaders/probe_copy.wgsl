// probe_copy: every vector once in and once out: what device memory reaches at most.  [n] vectors of four words → [n].
// Expects: WG (consts).
struct Params { n_vectors: u32, n_groups_x: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> copied: array<vec4<u32>>;

@compute @workgroup_size(WG)
fn probe_copy(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = (group.y * params.n_groups_x + group.x) * WG + lane;
    if index < params.n_vectors { copied[index] = source[index]; }
}
