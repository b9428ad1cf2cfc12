#!/usr/bin/env python3
"""Write a Llama-shaped safetensors model as GGUF in any block type, as llama.cpp's converter and quantiser would lay it out.

    scripts/make_gguf.py MODEL OUT.gguf --type Q4_K [--only embeddings|blocks] [--parts N]

Q and K rows are permuted, vectors stay F32, rows that do not hold whole blocks of a K or IQ type fall back to Q8_0 or Q5_0 as
llama.cpp's do. Types that the package cannot write are quantised here by plain search, the way the format allows and no
better: these files are for tests, not for use. Needs: gguf 0.19, numpy, safetensors, torch (for bf16).
"""

import argparse
import json
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import quants
from safetensors import safe_open

NAMES = {
    "model.embed_tokens.weight": "token_embd.weight", "lm_head.weight": "output.weight", "model.norm.weight": "output_norm.weight",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "ln1": "attn_norm", "ln2": "ffn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}


def f16(x):
    return np.asarray(x, np.float32).astype(np.float16)


def f16_bytes(x):
    return np.ascontiguousarray(f16(x)).reshape(len(x), -1).view(np.uint8)


def ratio(x, by):
    """x / by, 0 where by is 0."""
    by = np.broadcast_to(by, x.shape)
    return np.divide(x, by, out=np.zeros_like(x), where=by != 0)


def nibbles(q, width):
    """[n, k, 2 * width] codes → [n, k * width] bytes: first half low, second half high."""
    q = q.reshape(len(q), -1, 2, width).astype(np.uint8)
    return (q[:, :, 0] | (q[:, :, 1] << 4)).reshape(len(q), -1)


def pairs(q):
    """[n, 256] codes of two bits → [n, 64]: 128 elements a run of 32 bytes."""
    q = q.reshape(len(q), 2, 4, 32).astype(np.uint8)
    return (q[:, :, 0] | q[:, :, 1] << 2 | q[:, :, 2] << 4 | q[:, :, 3] << 6).reshape(len(q), 64)


def bits(q):
    """[n, 256] bits → [n, 32]: bit p of byte l belongs to element 32 p + l."""
    q = q.reshape(len(q), 8, 32).astype(np.uint8)
    return np.bitwise_or.reduce(q << np.arange(8, dtype=np.uint8).reshape(1, 8, 1), axis=1)


def with_minimum(x, part, levels, most):
    """Scale, minimum and codes of parts: (d, dmin, scales, mins, codes)."""
    x = x.reshape(len(x), -1, part)
    low = np.minimum(x.min(-1), 0)
    scale = (x.max(-1) - low) / levels
    d, dmin = f16(scale.max(-1) / most).astype(np.float32), f16((-low).max(-1) / most).astype(np.float32)
    s = np.clip(np.rint(ratio(scale, d[:, None])), 0, most)
    m = np.clip(np.rint(ratio(-low, dmin[:, None])), 0, most)
    q = np.clip(np.rint(ratio(x + (dmin[:, None] * m)[..., None], (d[:, None] * s)[..., None])), 0, levels)
    return d, dmin, s.astype(np.uint8), m.astype(np.uint8), q.reshape(len(x), -1).astype(np.uint8)


def k_scales(s, m):
    out = np.zeros((len(s), 12), np.uint8)
    out[:, 0:4] = (s[:, :4] & 63) | ((s[:, 4:] >> 4) << 6)
    out[:, 4:8] = (m[:, :4] & 63) | ((m[:, 4:] >> 4) << 6)
    out[:, 8:12] = (s[:, 4:] & 15) | ((m[:, 4:] & 15) << 4)
    return out


def q2_k(x):
    d, dmin, s, m, q = with_minimum(x, 16, 3, 15)
    return np.concatenate([s | m << 4, pairs(q), f16_bytes(d), f16_bytes(dmin)], 1)


def q4_k(x):
    d, dmin, s, m, q = with_minimum(x, 32, 15, 63)
    return np.concatenate([f16_bytes(d), f16_bytes(dmin), k_scales(s, m), nibbles(q, 32)], 1)


def q5_k(x):
    d, dmin, s, m, q = with_minimum(x, 32, 31, 63)
    return np.concatenate([f16_bytes(d), f16_bytes(dmin), k_scales(s, m), bits(q >> 4), nibbles(q & 15, 32)], 1)


def symmetric(x, part, low, most):
    """Signed scales of parts and codes from `low` to -low - 1; the largest magnitude is the lowest level."""
    x = x.reshape(len(x), -1, part)
    largest = np.take_along_axis(x, np.abs(x).argmax(-1)[..., None], -1)[..., 0]
    scale = largest / low
    d = f16(np.abs(scale).max(-1) / most).astype(np.float32)
    s = np.clip(np.rint(ratio(scale, d[:, None])), -most - 1, most)
    q = np.clip(np.rint(ratio(x, (d[:, None] * s)[..., None])), low, -low - 1)
    return d, s.astype(np.int8), q.reshape(len(x), -1).astype(np.int8)


def q3_k(x):
    d, s, q = symmetric(x, 16, -4, 31)
    s, q = (s + 32).astype(np.uint8), (q + 4).astype(np.uint8)
    scales = np.concatenate([(s[:, :8] & 15) | (s[:, 8:] & 15) << 4,
                             s[:, 0:4] >> 4 | (s[:, 4:8] >> 4) << 2 | (s[:, 8:12] >> 4) << 4 | (s[:, 12:] >> 4) << 6], 1)
    return np.concatenate([bits(q >> 2), pairs(q & 3), scales, f16_bytes(d)], 1)


def q6_k(x):
    d, s, q = symmetric(x, 16, -32, 127)
    q = (q + 32).astype(np.uint8)
    low = (q & 15).reshape(len(q), 2, 2, 64)
    return np.concatenate([(low[:, :, 0] | low[:, :, 1] << 4).reshape(len(q), -1), pairs(q >> 4), s.view(np.uint8), f16_bytes(d)], 1)


def q8_k(x):
    d = (np.abs(x).max(-1, keepdims=True) / 127).astype(np.float32)
    q = np.rint(ratio(x, d)).astype(np.int8)
    sums = q.reshape(len(q), 16, 16).sum(-1, dtype=np.int16)
    return np.concatenate([d.view(np.uint8), q.view(np.uint8), np.ascontiguousarray(sums).view(np.uint8)], 1)


def q8_1(x):
    d = f16(np.abs(x).max(-1, keepdims=True) / 127).astype(np.float32)
    q = np.clip(np.rint(ratio(x, d)), -127, 127).astype(np.int8)
    return np.concatenate([f16_bytes(d), f16_bytes(d * q.sum(-1, keepdims=True)), q.view(np.uint8)], 1)


LEVELS = np.array(quants.IQ4_NL.kvalues, np.float32)


def iq4_nl(x):
    largest = np.take_along_axis(x, np.abs(x).argmax(-1)[:, None], -1)
    d = f16(largest / -127).astype(np.float32)
    q = np.abs(ratio(x, d)[..., None] - LEVELS).argmin(-1)
    return np.concatenate([f16_bytes(d), nibbles(q, 16)], 1)


def iq4_xs(x):
    parts = x.reshape(len(x), 8, 32)
    largest = np.take_along_axis(parts, np.abs(parts).argmax(-1)[..., None], -1)[..., 0]
    d = f16(np.abs(largest / -127).max(-1) / 31).astype(np.float32)
    s = np.clip(np.rint(ratio(largest / -127, d[:, None])), -32, 31)
    q = np.abs(ratio(parts, (d[:, None] * s)[..., None])[..., None] - LEVELS).argmin(-1).reshape(len(x), -1)
    s = (s + 32).astype(np.uint16)
    high = np.bitwise_or.reduce((s >> 4) << (2 * np.arange(8, dtype=np.uint16)), axis=1).astype("<u2")
    low = (s & 15).astype(np.uint8)
    return np.concatenate([f16_bytes(d), high.view(np.uint8).reshape(len(x), 2), low[:, 0::2] | low[:, 1::2] << 4, nibbles(q, 16)], 1)


def codes_of(cls, vectors):
    """Nearest vector of a type's codebook."""
    cls.init_grid()
    book = cls.grid.reshape(-1, cls.grid_shape[1]).astype(np.float32)
    out = np.empty(len(vectors), np.uint16)
    for at in range(0, len(vectors), 8192):
        part = vectors[at : at + 8192].astype(np.float32)
        out[at : at + 8192] = ((book * book).sum(-1) - 2 * part @ book.T).argmin(-1)
    return out


def part_scales(x, part, largest_level, step):
    """Scales (2 s + 1) · step · d of parts, s up to 15: (d, s, scale of each element's part)."""
    want = np.abs(x).reshape(len(x), -1, part).max(-1) / largest_level
    d = f16(want.max(-1) / (31 * step)).astype(np.float32)
    s = np.clip(np.rint((ratio(want, (d * step)[:, None]) - 1) / 2), 0, 15)
    return d, s.astype(np.uint8), np.repeat((d * step)[:, None] * (2 * s + 1), part, axis=1)


def even_signs(x, magnitudes):
    """Sign bits of eights with an even number of minuses: the least element gives way."""
    minus = (x < 0).reshape(len(x), -1, 8)
    odd = minus.sum(-1) % 2 == 1
    least = np.abs(x).reshape(minus.shape).argmin(-1)
    flipped = np.take_along_axis(minus, least[..., None], -1) ^ odd[..., None]
    np.put_along_axis(minus, least[..., None], flipped, -1)
    return np.packbits(minus, axis=-1, bitorder="little")[..., 0]


def iq2_xxs(x):
    d, s, scale = part_scales(x, 32, 43, 0.125)
    codes = codes_of(quants.IQ2_XXS, ratio(np.abs(x), scale).reshape(-1, 8)).reshape(len(x), 8, 4)
    signs = (even_signs(x, codes) & 127).astype(np.uint32).reshape(len(x), 8, 4)
    packed = signs[..., 0] | signs[..., 1] << 7 | signs[..., 2] << 14 | signs[..., 3] << 21 | s.astype(np.uint32) << 28
    body = np.concatenate([codes.astype(np.uint8), np.ascontiguousarray(packed[..., None]).view(np.uint8)], -1)
    return np.concatenate([f16_bytes(d), body.reshape(len(x), 64)], 1)


def iq2_xs(x):
    d, s, scale = part_scales(x, 16, 43, 0.125)
    codes = codes_of(quants.IQ2_XS, ratio(np.abs(x), scale).reshape(-1, 8)).reshape(len(x), 32)
    packed = (codes | (even_signs(x, codes).astype(np.uint16) & 127) << 9).astype("<u2")
    return np.concatenate([f16_bytes(d), packed.view(np.uint8), s[:, 0::2] | s[:, 1::2] << 4], 1)


def iq2_s(x):
    d, s, scale = part_scales(x, 16, 43, 0.125)
    codes = codes_of(quants.IQ2_S, ratio(np.abs(x), scale).reshape(-1, 8)).reshape(len(x), 32)
    high = (codes >> 8).astype(np.uint8).reshape(len(x), 8, 4)
    high = high[..., 0] | high[..., 1] << 2 | high[..., 2] << 4 | high[..., 3] << 6
    signs = np.packbits((x < 0).reshape(len(x), 32, 8), axis=-1, bitorder="little")[..., 0]
    return np.concatenate([f16_bytes(d), (codes & 255).astype(np.uint8), signs, high, s[:, 0::2] | s[:, 1::2] << 4], 1)


def iq3_xxs(x):
    d, s, scale = part_scales(x, 32, 62, 0.25)
    codes = codes_of(quants.IQ3_XXS, ratio(np.abs(x), scale).reshape(-1, 4)).reshape(len(x), 64)
    signs = (even_signs(x, codes) & 127).astype(np.uint32).reshape(len(x), 8, 4)
    packed = signs[..., 0] | signs[..., 1] << 7 | signs[..., 2] << 14 | signs[..., 3] << 21 | s.astype(np.uint32) << 28
    return np.concatenate([f16_bytes(d), codes.astype(np.uint8), np.ascontiguousarray(packed).view(np.uint8)], 1)


def iq3_s(x):
    d, s, scale = part_scales(x, 32, 15, 1.0)
    codes = codes_of(quants.IQ3_S, ratio(np.abs(x), scale).reshape(-1, 4)).reshape(len(x), 64)
    high = np.packbits((codes >> 8).astype(np.uint8).reshape(len(x), 8, 8), axis=-1, bitorder="little")[..., 0]
    signs = np.packbits((x < 0).reshape(len(x), 32, 8), axis=-1, bitorder="little")[..., 0]
    return np.concatenate([f16_bytes(d), (codes & 255).astype(np.uint8), high, signs, s[:, 0::2] | s[:, 1::2] << 4], 1)


def ternary_scales(x, part):
    """Scales (2 s + 1) · d with s up to 7, such that a typical magnitude is one."""
    want = 1.6 * np.abs(x).reshape(len(x), -1, part).mean(-1)
    d = f16(want.max(-1) / 15).astype(np.float32)
    s = np.clip(np.rint((ratio(want, d[:, None]) - 1) / 2), 0, 7)
    return d, s.astype(np.uint16), np.repeat(d[:, None] * (2 * s + 1), part, axis=1)


def shifted_codes(x, scale):
    """Codes with either shift of an eighth, and the squared error of each: [2, n, 32]."""
    found = []
    for shift in (0.125, -0.125):
        wanted = (ratio(x, scale) - shift).reshape(-1, 8)
        codes = codes_of(quants.IQ1_S, wanted)
        error = ((quants.IQ1_S.grid.reshape(-1, 8)[codes] - wanted) ** 2).sum(-1)
        found.append((codes.reshape(len(x), 32), error.reshape(len(x), 32)))
    return found


def iq1_s(x):
    d, s, scale = ternary_scales(x, 32)
    (plus, error_plus), (minus, error_minus) = shifted_codes(x, scale)
    is_minus = error_minus.reshape(len(x), 8, 4).sum(-1) < error_plus.reshape(len(x), 8, 4).sum(-1)
    codes = np.where(np.repeat(is_minus, 4, axis=1), minus, plus).astype(np.uint16)
    high = (codes >> 8).reshape(len(x), 8, 4)
    packed = high[..., 0] | high[..., 1] << 3 | high[..., 2] << 6 | high[..., 3] << 9 | s << 12 | is_minus.astype(np.uint16) << 15
    return np.concatenate([f16_bytes(d), (codes & 255).astype(np.uint8), packed.astype("<u2").view(np.uint8)], 1)


def iq1_m(x):
    d, s, scale = ternary_scales(x, 16)
    (plus, error_plus), (minus, error_minus) = shifted_codes(x, scale)
    is_minus = error_minus < error_plus
    codes = np.where(is_minus, minus, plus).astype(np.uint16)
    high = ((codes >> 8) | is_minus.astype(np.uint16) << 3).astype(np.uint8)
    s = s.reshape(len(x), 4, 4)
    scales = s[..., 0] | s[..., 1] << 3 | s[..., 2] << 6 | s[..., 3] << 9
    half = f16(d).view(np.uint16)
    scales |= np.stack([half << 12, (half << 8) & 0xF000, (half << 4) & 0xF000, half & 0xF000], 1)
    return np.concatenate([(codes & 255).astype(np.uint8), high[:, 0::2] | high[:, 1::2] << 4, scales.astype("<u2").view(np.uint8)], 1)


OWN = {
    "Q2_K": q2_k, "Q3_K": q3_k, "Q4_K": q4_k, "Q5_K": q5_k, "Q6_K": q6_k, "Q8_K": q8_k, "Q8_1": q8_1, "IQ4_NL": iq4_nl,
    "IQ4_XS": iq4_xs, "IQ2_XXS": iq2_xxs, "IQ2_XS": iq2_xs, "IQ2_S": iq2_s, "IQ3_XXS": iq3_xxs, "IQ3_S": iq3_s, "IQ1_S": iq1_s,
    "IQ1_M": iq1_m,
}
ELEMENTS = {name: 32 for name in ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q8_1", "IQ4_NL", "MXFP4")}


def quantise(x, name):
    """Rows of f32 → rows of bytes, and the type that they have."""
    if name in ("F32", "F16", "BF16"):
        return (x if name == "F32" else quants.quantize(x, Type[name])), Type[name]
    if x.shape[1] % ELEMENTS.get(name, 256) != 0:
        name = "Q8_0" if name in ("Q6_K", "Q8_K") else "Q5_0"
    if name not in OWN:
        return quants.quantize(x, Type[name]), Type[name]
    blocks = OWN[name](x.reshape(-1, ELEMENTS.get(name, 256)).astype(np.float32))
    blocks = np.ascontiguousarray(blocks, dtype=np.uint8)
    return blocks.reshape(len(x), -1), Type[name]


def permuted(x, n_heads):
    """Half-split rotary rows to interleaved ones, head by head."""
    return x.reshape(n_heads, 2, x.shape[0] // n_heads // 2, -1).swapaxes(1, 2).reshape(x.shape)


def gguf_name(name):
    if name in NAMES:
        return NAMES[name]
    layer, rest = name.removeprefix("model.layers.").split(".", 1)
    return f"blk.{layer}.{NAMES[rest.removesuffix('.weight')]}.weight"


def read(folder):
    with safe_open(folder / "model.safetensors", "pt") as file:
        return {name: file.get_tensor(name).float().numpy() for name in file.keys()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--type", default="F16")
    parser.add_argument("--only", choices=["embeddings", "blocks"], help="quantise only these; the rest is F32")
    parser.add_argument("--head", help="another type for embedding and head, as in Q4_K_M")
    parser.add_argument("--parts", type=int, default=1, help="most tensors a part, for a split file; 1: one file")
    args = parser.parse_args()
    config = json.loads((args.model / "config.json").read_text())
    n_heads, n_kv = config["num_attention_heads"], config["num_key_value_heads"]

    writer = gguf.GGUFWriter(args.out, "llama", split_max_tensors=args.parts if args.parts > 1 else 0)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(n_heads)
    writer.add_head_count_kv(n_kv)
    writer.add_rope_dimension_count(config["hidden_size"] // n_heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    tokenizer = args.model / "tokenizer.json"
    if tokenizer.exists():
        tokenizer = json.loads(tokenizer.read_text())
        tokens = {id: token for token, id in tokenizer["model"]["vocab"].items()}
        tokens |= {added["id"]: added["content"] for added in tokenizer.get("added_tokens", [])}
        size = config["vocab_size"]
        writer.add_tokenizer_model("gpt2")
        writer.add_token_list([tokens.get(id, f"[PAD{id}]") for id in range(size)])
        writer.add_token_types([1 if id in tokens else 5 for id in range(size)])
    for name, x in read(args.model).items():
        if name.endswith("q_proj.weight") or name.endswith("k_proj.weight"):
            x = permuted(x, n_heads if "q_proj" in name else n_kv)
        is_table = name in ("model.embed_tokens.weight", "lm_head.weight")
        wanted = args.head if args.head and is_table else args.type
        if x.ndim == 1 or args.only == ("blocks" if is_table else "embeddings"):
            wanted = "F32"
        data, kind = quantise(np.ascontiguousarray(x, np.float32), wanted)
        writer.add_tensor(gguf_name(name), data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
