#!/usr/bin/env python3
"""Every GGUF type against its source: a copy must be found, its twin and a fine-tune must not be called one.

    scripts/gguf_types.py BINARY [MODEL TWIN [FINETUNE]]

Without models, three are made: seeded random Llama-shaped weights of width 256, others, and the first with 5 % of noise.
Writes MODEL in each type (make_gguf.py), compares it with MODEL, with TWIN (independent weights of the same shape) and with
FINETUNE, and counts misses. K, IQ and TQ types need matrices with rows of 256; others fall back as llama.cpp's do.
Codebooks (IQ1 to IQ3) may only be `derived`: which of their codes was nearest, the quantiser alone knew.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

TYPES = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q8_K", "IQ1_S", "IQ1_M",
         "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_NL", "IQ4_XS", "TQ1_0", "TQ2_0", "MXFP4"]
CODEBOOKS = {"IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S"}


def compare(binary, left, right):
    done = subprocess.run([binary, "compare", left, right, "--backend", "cpu", "--format", "json"], capture_output=True, text=True)
    document = json.loads(done.stdout)
    weights = document["weights"]
    return weights["verdict"], "; ".join(f"{r['kind']}: {r['detail']}" for r in weights["relations"]), document["architecture"]["verdict"]


def make_model(folder, seed, base=None):
    """Random weights of width 256; with `base` that model with 5 % of noise. Returns its tensors."""
    draw = torch.Generator().manual_seed(seed)
    shapes = {"model.embed_tokens.weight": (512, 256), "lm_head.weight": (512, 256), "model.norm.weight": (256,)}
    for layer in range(4):
        at = f"model.layers.{layer}."
        attention = {"q_proj": 256, "k_proj": 128, "v_proj": 128, "o_proj": 256}
        shapes |= {f"{at}self_attn.{name}.weight": (rows, 256) for name, rows in attention.items()}
        shapes |= {f"{at}mlp.gate_proj.weight": (512, 256), f"{at}mlp.up_proj.weight": (512, 256), f"{at}mlp.down_proj.weight": (256, 512)}
        shapes |= {f"{at}input_layernorm.weight": (256,), f"{at}post_attention_layernorm.weight": (256,)}
    tensors = {}
    for name, shape in shapes.items():
        noise = torch.randn(*shape, generator=draw)
        fresh = noise / shape[1] ** 0.5 if len(shape) == 2 else 1 + 0.1 * noise
        tensors[name] = (fresh if base is None else base[name] + 0.05 * (fresh - int(len(shape) == 1))).bfloat16()
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors")
    facts = {"vocab_size": 512, "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 4, "num_attention_heads": 8,
             "num_key_value_heads": 4, "head_dim": 32, "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "model_type": "llama"}
    (folder / "config.json").write_text(json.dumps(facts))
    return {name: tensor.float() for name, tensor in tensors.items()}


def main():
    binary = sys.argv[1]
    made = None
    if len(sys.argv) < 4:
        made = tempfile.TemporaryDirectory()
        model, twin, finetune = (str(Path(made.name) / name) for name in ("model", "twin", "finetune"))
        tensors = make_model(Path(model), 1)
        make_model(Path(twin), 2)
        make_model(Path(finetune), 3, tensors)
    else:
        model, twin = sys.argv[2:4]
        finetune = sys.argv[4] if len(sys.argv) > 4 else None
    make = Path(__file__).with_name("make_gguf.py")
    misses = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in TYPES:
            path = str(Path(folder) / f"{name}.gguf")
            subprocess.run([sys.executable, make, model, path, "--type", name], check=True, stderr=subprocess.DEVNULL)
            wanted = {"derived", "requantised"} if name in CODEBOOKS else {"requantised"}
            if name in ("F32", "F16", "BF16"):
                wanted = {"identical", "requantised"}
            pairs = [(model, wanted), (twin, {"no-evidence"})] + ([(finetune, {"derived"})] if finetune else [])
            row = []
            for other, allowed in pairs:
                verdict, relations, architecture = compare(binary, path, other)
                is_right = verdict in allowed and architecture == "same-renamed"
                misses += not is_right
                row.append(("" if is_right else "MISS ") + verdict + (f" ({relations})" if other == model else ""))
            print(f"{name:<8} " + " | ".join(row))
            Path(path).unlink()
    print(f"{misses} misses")
    sys.exit(misses > 0)


if __name__ == "__main__":
    main()
