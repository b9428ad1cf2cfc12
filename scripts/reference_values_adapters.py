"""Small adapters made and merged by PEFT: tests/reference/adapters/.

usage: python scripts/reference_values_adapters.py [OUT]          OUT defaults to tests/reference/adapters

needs: pip install torch transformers peft

`llama-base` and `gpt2-base` are random models; each other folder is an adapter as PEFT saves it, `NAME.merged.safetensors` beside it holds the tensors
of the base that `merge_and_unload` changed. GPT-2's matrices are stored [in, out].
"""

import json
import sys
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

ATTENTION = ["q_proj", "v_proj", "o_proj"]
ADAPTERS = {
    "lora": ("llama", dict(r=4, lora_alpha=8, target_modules=ATTENTION)),
    "rslora": ("llama", dict(r=4, lora_alpha=8, use_rslora=True, target_modules=["up_proj", "down_proj"])),
    "dora": ("llama", dict(r=2, lora_alpha=4, use_dora=True, target_modules=["k_proj", "gate_proj"])),
    "patterns": (
        "llama",
        dict(r=2, lora_alpha=4, target_modules=ATTENTION, rank_pattern={"v_proj": 3}, alpha_pattern={"self_attn.o_proj": 7}),
    ),
    "saved": ("llama", dict(r=2, lora_alpha=4, target_modules=["q_proj", "embed_tokens"], modules_to_save=["lm_head"])),
    "conv1d": ("gpt2", dict(r=3, lora_alpha=6, fan_in_fan_out=True, target_modules=["c_attn", "attn.c_proj"])),
    "conv1d-dora": ("gpt2", dict(r=3, lora_alpha=6, fan_in_fan_out=True, use_dora=True, target_modules=["c_fc"])),
}


def base_of(kind):
    torch.manual_seed(11)
    if kind == "llama":
        return LlamaForCausalLM(
            LlamaConfig(
                vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2
            )
        )
    return GPT2LMHeadModel(GPT2Config(vocab_size=40, n_positions=8, n_embd=16, n_layer=1, n_head=4))


def main():
    default = Path(__file__).parent.parent / "tests" / "reference" / "adapters"
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    for kind in ["llama", "gpt2"]:
        base_of(kind).save_pretrained(out / f"{kind}-base")
        (out / f"{kind}-base" / "generation_config.json").unlink(missing_ok=True)
    for name, (kind, settings) in ADAPTERS.items():
        base = load_file(out / f"{kind}-base" / "model.safetensors")
        model = get_peft_model(base_of(kind), LoraConfig(task_type="CAUSAL_LM", **settings))
        torch.manual_seed(5)
        for parameter in (p for n, p in model.named_parameters() if p.requires_grad):
            parameter.data += 0.1 * torch.randn_like(parameter)  # B starts as zeros
        model.save_pretrained(out / name)
        (out / name / "README.md").unlink(missing_ok=True)
        config = json.loads((out / name / "adapter_config.json").read_text())
        config["base_model_name_or_path"] = f"tests/{kind}-base"
        (out / name / "adapter_config.json").write_text(json.dumps(config, indent=1) + "\n")
        merged = model.merge_and_unload().state_dict()
        changed = {n: v.contiguous() for n, v in merged.items() if n in base and not torch.equal(v, base[n])}
        save_file(changed, out / f"{name}.merged.safetensors")
        print(name, sorted(changed))


if __name__ == "__main__":
    main()
