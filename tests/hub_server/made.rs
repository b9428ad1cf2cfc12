//! Checkpoints of the shape of Llama-2-7B, in its two shards and in the order in which its writer stores tensors, whose
//! elements are made by position when somebody reads them.

use super::hub_server::File;

const HIDDEN: u64 = 4096;
const WIDTH: u64 = 11008;
const N_LAYERS: u64 = 32;
const N_TOKENS: u64 = 32000;
/// Layers from this one on lie in the second shard.
const SECOND_SHARD: u64 = 24;

/// Which weights.
#[derive(Clone, Copy)]
pub(crate) enum Model {
    A,
    /// A, but for the last four bits of each mantissa.
    NearA,
    C,
}

pub(crate) fn files(model: Model) -> Vec<(&'static str, File)> {
    let names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let mut shards: [Vec<(String, Vec<u64>)>; 2] = Default::default();
    shards[0].push(("model.embed_tokens.weight".to_string(), vec![N_TOKENS, HIDDEN]));
    shards[1].push(("model.norm.weight".to_string(), vec![HIDDEN]));
    shards[1].push(("lm_head.weight".to_string(), vec![N_TOKENS, HIDDEN]));
    for layer in 0..N_LAYERS {
        let mut add = |part: &str, shape: &[u64]| {
            let shard = usize::from(layer >= SECOND_SHARD);
            shards[shard].push((format!("model.layers.{layer}.{part}.weight"), shape.to_vec()));
        };
        for part in ["q", "k", "v", "o"] {
            add(&format!("self_attn.{part}_proj"), &[HIDDEN, HIDDEN]);
        }
        add("mlp.gate_proj", &[WIDTH, HIDDEN]);
        add("mlp.up_proj", &[WIDTH, HIDDEN]);
        add("mlp.down_proj", &[HIDDEN, WIDTH]);
        add("input_layernorm", &[HIDDEN]);
        add("post_attention_layernorm", &[HIDDEN]);
    }
    let seed = match model {
        Model::A => 1,
        Model::NearA => 1 | 2 << 32,
        Model::C => 3,
    };
    let mut map = Vec::new();
    let mut files = Vec::new();
    for (shard, (tensors, name)) in (0_u64..).zip(shards.iter_mut().zip(names)) {
        // the writer sorts by name where all have one type
        tensors.sort();
        let (mut entries, mut offset) = (Vec::new(), 0);
        for (tensor, shape) in tensors.iter() {
            let end = offset + 2 * shape.iter().product::<u64>();
            entries.push(format!(
                r#""{tensor}":{{"dtype":"BF16","shape":{shape:?},"data_offsets":[{offset},{end}]}}"#
            ));
            map.push(format!(r#""{tensor}":"{name}""#));
            offset = end;
        }
        let header = format!("{{{}}}", entries.join(","));
        let mut start = (header.len() as u64).to_le_bytes().to_vec();
        start.extend_from_slice(header.as_bytes());
        let size_bytes = start.len() as u64 + offset;
        files.push((name, File::made(start, size_bytes, fill, seed ^ shard << 16)));
    }
    let total = 13_476_831_232_u64;
    let index = format!(r#"{{"metadata":{{"total_size":{total}}},"weight_map":{{{}}}}}"#, map.join(","));
    let config = format!(
        r#"{{"architectures":["LlamaForCausalLM"],"model_type":"llama","vocab_size":{N_TOKENS},"hidden_size":{HIDDEN},"intermediate_size":{WIDTH},"num_hidden_layers":{N_LAYERS},"num_attention_heads":32,"num_key_value_heads":32,"hidden_act":"silu","tie_word_embeddings":false,"torch_dtype":"bfloat16"}}"#
    );
    let tokens: Vec<String> = (0..N_TOKENS).map(|id| format!(r#""token{id}":{id}"#)).collect();
    let tokenizer = format!(r#"{{"model":{{"vocab":{{{}}}}}}}"#, tokens.join(","));
    files.push(("model.safetensors.index.json", File::small(index)));
    files.push(("config.json", File::small(config)));
    files.push(("tokenizer.json", File::large(tokenizer)));
    files
}

/// Elements of a seed, two bytes each: ± 2^-7 … 2^-5 in bf16, by position in the file.
fn fill(offset: u64, seed: u64, out: &mut [u8]) {
    let (common, own) = (seed & 0xffff_ffff, seed >> 32);
    let mixed = |at: u64, seed: u64| {
        let mut x =
            at.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(seed.wrapping_mul(0xd1b5_4a32_d192_ed03));
        x = (x ^ x >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
        x ^ x >> 32
    };
    for (at, byte) in (offset..).zip(out) {
        let element = at / 2;
        let bits = mixed(element, common);
        let last_bits = if own == 0 { bits } else { mixed(element, own) };
        let value = 0x3c00 | (bits & 0x8000) | (bits & 0x00f0) | (last_bits >> 20 & 0x000f);
        *byte = value.to_le_bytes()[usize::from(at % 2 == 1)];
    }
}
