"""Small quantised matrices with the values that each form's own tool decodes: tests/reference/quantised/.

usage: python scripts/reference_values_quantised.py [OUT]         OUT defaults to tests/reference/quantised

needs: what quantise.py needs, which says which public code packs and decodes each form. One folder a form: `model.safetensors`
with the pieces of `model.layers.0.mlp.up_proj`, `config.json`, and `expected.safetensors` with the decoded weight in f32.
"""

import json
import sys
from pathlib import Path

import torch
from quantise import FORMS, config_of, quantise
from safetensors.torch import save_file

STEM = "model.layers.0.mlp.up_proj"


def main():
    default = Path(__file__).parent.parent / "tests" / "reference" / "quantised"
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    for form in FORMS:
        # nf4 and fp4: 32 · 90 elements do not fill the last block of 64; 8-bit GPTQ: 96 inputs are one and a half groups
        n_ins = 90 if form in ("nf4", "fp4", "nf4-nested") else 96
        weight = torch.randn(32, n_ins, generator=torch.Generator().manual_seed(1)) * 0.05
        parts, expected = quantise(form, weight, block=(12, 40))
        separator = "_" if form == "mxfp4" else "."
        tensors = {f"{STEM}{separator}{part}": value.contiguous() for part, value in parts.items()}
        folder = out / form
        folder.mkdir(parents=True, exist_ok=True)
        save_file(tensors, folder / "model.safetensors")
        save_file({"expected": expected.float().contiguous()}, folder / "expected.safetensors")
        config = config_of(form)
        if form == "fp8-block":
            config["weight_block_size"] = [12, 40]
        (folder / "config.json").write_text(json.dumps({"quantization_config": config}, indent=1) + "\n")


if __name__ == "__main__":
    main()
