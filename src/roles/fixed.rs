//! Tensors that no table needs to know: constants of the architecture, counters, packed quantised forms.

use super::{Assignment, Header};
use crate::tensor::Dtype;

/// What a name and shape say about a tensor that is no weight of its own, in any family; None for a weight.
pub(super) fn assignment(header: &Header<'_>) -> Option<Assignment> {
    let Header { name, shape, dtype } = *header;
    let last = name.rsplit('.').next().unwrap_or(name);
    let is_square = matches!(shape, [.., rows, cols] if rows == cols);
    let fixed = match last {
        "inv_freq" | "original_inv_freq" | "rope_freqs" | "freqs_cis" | "freqs_cos" | "freqs_sin" => {
            "rotary frequencies"
        }
        "freqs" if name.ends_with("rope.freqs") => "rotary frequencies",
        "cos_cached" | "sin_cached" | "cos_cache" | "sin_cache" => "rotary table",
        "masked_bias" | "causal_mask" | "attn_mask" | "embed_tokens_mask" => "attention mask",
        "bias" if is_square && shape.len() >= 3 && attends(name) => "attention mask",
        "bias" if is_square && !dtype.is_float() && attends(name) => "attention mask",
        "position_ids" | "token_type_ids" => "index list",
        "relative_position_index" | "relative_coords_table" => "index list",
        "anchors" => "detector anchors",
        _ if is_detector_grid(name, shape) => "detector grid",
        "_float_tensor" => "marker of an older framework",
        "alibi" | "alibi_slopes" => "ALiBi slopes",
        "weight" if name.ends_with("rope_freqs.weight") => "rotary frequencies",
        _ => "",
    };
    if !fixed.is_empty() {
        return Some(Assignment::FixedByArchitecture(fixed));
    }
    match last {
        "num_batches_tracked" => Some(Assignment::Buffer("counter of training batches")),
        "qweight" | "qzeros" | "g_idx" | "weight_packed" | "absmax" | "quant_map" | "weight_zero_point" => {
            Some(Assignment::Packed("packed quantised weight"))
        }
        "weight_scale_inv" | "weight_scale" | "input_scale" | "weight_shape" | "nested_absmax"
        | "nested_quant_map" => Some(Assignment::Packed("scale of a quantised weight")),
        _ if dtype == Dtype::U8 && (last.ends_with("_blocks") || last.ends_with("_scales")) => {
            Some(Assignment::Packed("blocks of four-bit floats"))
        }
        _ if name.contains(".lora_A.") || name.contains(".lora_B.") || name.contains("lora_embedding_") => {
            Some(Assignment::Packed("factor of a low-rank adapter"))
        }
        _ => None,
    }
}

/// Pixel coordinates that a detector of the YOLO kind stores per scale: [1, anchors, height, width, 2].
fn is_detector_grid(name: &str, shape: &[u64]) -> bool {
    let owner = name.rsplit('.').nth(1).unwrap_or_default();
    matches!(owner, "grid" | "anchor_grid") && matches!(shape, [1, _, _, _, 2])
}

/// `h.3.attn.bias`, `layers.3.attention.bias`: the mask next to an attention's own matrices.
fn attends(name: &str) -> bool {
    name.ends_with("attn.bias") || name.ends_with("attention.bias")
}

/// What an integer or truth-value tensor is that has no role. Bytes with two axes may be decoded weights.
pub(super) fn is_buffer(header: &Header<'_>) -> bool {
    let may_be_weight = matches!(header.dtype, Dtype::I8 | Dtype::U8) && header.shape.len() >= 2;
    !header.dtype.is_float() && !may_be_weight
}
