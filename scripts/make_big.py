"""Write large Llama-shaped bf16 checkpoints of seeded random weights, for measuring speed.

usage: python scripts/make_big.py OUT --size 1.1b [--models a b c]
needs: pip install torch numpy safetensors

OUT/a, OUT/b = a + noise of a fifth of each tensor's standard deviation, OUT/c independent of both; sharded, with index
and config. 1.1b is 2.2 GB a model, 7b 13.5 GB. One shard (≤ 1 GB) is in memory at a time. Every tensor has its own
seed, made of model and tensor name, so any model can be written alone and always gets the same bytes.
"""

import argparse
import json
import zlib
from pathlib import Path

import torch
from safetensors.torch import save_file

SIZES = {  # hidden size, layers, MLP width, heads, KV heads, vocabulary
    "1.1b": (2048, 22, 5632, 32, 4, 32000),
    "7b": (4096, 32, 11008, 32, 32, 32000),
}
MAX_SHARD_BYTES = 1_000_000_000
NOISE = 0.2  # of a tensor's own standard deviation


def shapes_of(size):
    """Tensor name → shape, in the order of the forward pass."""
    hidden, n_layers, mlp_width, n_heads, n_kv_heads, n_tokens = SIZES[size]
    kv_width = hidden // n_heads * n_kv_heads
    block = {
        "input_layernorm": (hidden,),
        "self_attn.q_proj": (hidden, hidden),
        "self_attn.k_proj": (kv_width, hidden),
        "self_attn.v_proj": (kv_width, hidden),
        "self_attn.o_proj": (hidden, hidden),
        "post_attention_layernorm": (hidden,),
        "mlp.gate_proj": (mlp_width, hidden),
        "mlp.up_proj": (mlp_width, hidden),
        "mlp.down_proj": (hidden, mlp_width),
    }
    shapes = {"model.embed_tokens.weight": (n_tokens, hidden)}
    for layer in range(n_layers):
        shapes |= {f"model.layers.{layer}.{part}.weight": shape for part, shape in block.items()}
    return shapes | {"model.norm.weight": (hidden,), "lm_head.weight": (n_tokens, hidden)}


def size_bytes(shape):
    return 2 * torch.Size(shape).numel()


def split_into_shards(shapes):
    shards, filled_bytes = [[]], 0
    for name, shape in shapes.items():
        if shards[-1] and filled_bytes + size_bytes(shape) > MAX_SHARD_BYTES:
            shards.append([])
            filled_bytes = 0
        shards[-1].append(name)
        filled_bytes += size_bytes(shape)
    return shards


def normal(seed_text, shape):
    generator = torch.Generator().manual_seed(zlib.crc32(seed_text.encode()))
    return torch.randn(shape, generator=generator)


def weight(model, name, shape):
    """Norm gains around 1 ± 0.05, matrices around 0 ± 0.02; `b` follows `a`."""
    mean, std = (1.0, 0.05) if len(shape) == 1 else (0.0, 0.02)
    root = "a" if model == "b" else model
    values = normal(f"{root}/{name}", shape).mul_(std).add_(mean)
    if model == "b":
        values.add_(normal(f"b/{name}", shape), alpha=NOISE * std)
    return values.bfloat16()


def write_model(folder, model, size):
    folder.mkdir(parents=True, exist_ok=True)
    shapes = shapes_of(size)
    shards = split_into_shards(shapes)
    weight_map = {}
    for i, names in enumerate(shards, start=1):
        file_name = f"model-{i:05d}-of-{len(shards):05d}.safetensors"
        tensors = {name: weight(model, name, shapes[name]) for name in names}
        save_file(tensors, folder / file_name, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(names, file_name)
        print(f"{folder / file_name}", flush=True)
    total_size = sum(size_bytes(shape) for shape in shapes.values())
    index = {"metadata": {"total_size": total_size}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")
    hidden, n_layers, mlp_width, n_heads, n_kv_heads, n_tokens = SIZES[size]
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": n_tokens,
        "hidden_size": hidden,
        "intermediate_size": mlp_width,
        "num_hidden_layers": n_layers,
        "num_attention_heads": n_heads,
        "num_key_value_heads": n_kv_heads,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    return total_size


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", choices=SIZES, required=True)
    parser.add_argument("--models", nargs="+", choices=["a", "b", "c"], default=["a", "b", "c"])
    args = parser.parse_args()
    for model in args.models:
        total_size = write_model(args.out / model, model, args.size)
        print(f"{args.out / model}: {total_size / 1e9:.2f} GB", flush=True)


if __name__ == "__main__":
    main()
