"""Quantise a model with the packing code of public tools: rounding to nearest, no calibration data.

usage: python scripts/quantise.py MODEL OUT --form FORM       MODEL: a folder with model.safetensors and config.json
       python scripts/quantise.py --forms                     lists the forms

needs: pip install torch numpy safetensors transformers bitsandbytes compressed-tensors
       pip install --no-deps auto-gptq ; pip install --no-deps --no-build-isolation autoawq       (their packing code only)

Which code makes which form:

| form                        | codes and layout by                                                                        |
|-----------------------------|--------------------------------------------------------------------------------------------|
| gptq2 gptq3 gptq4 gptq8     | AutoGPTQ 0.7, `QuantLinear.pack` (version 1); `gptq4-v2` adds the 1 back that version 1 takes |
| gptq4-act                   | the same over inputs in another order, with the list of groups                             |
| awq                         | AutoAWQ 0.2, `WQLinear_GEMM.from_linear`                                                   |
| bnb8 nf4 nf4-nested fp4     | bitsandbytes, `int8_vectorwise_quant` and `quantize_4bit` on the CPU                       |
| ct4 ct4-zero ct8 ct3        | compressed-tensors, `PackedQuantizationCompressor`                                         |
| ct-int8 nvfp4               | compressed-tensors, `NaiveQuantizationCompressor`, `NVFP4PackedCompressor`                 |
| fp8-block fp8-row fp8-tensor| torch's cast to float8_e4m3fn over scales as DeepSeek-V3's `weight_dequant` multiplies them |
| mxfp4                       | written here from the OCP Microscaling specification 1.0; decoded by transformers           |

`quantise(form, weight)` also gives the weight as the same tool decodes it, in f32: `reference_values_quantised.py`.
"""

import argparse
import importlib.util
import json
import sys
import types
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

FORMS = (
    "gptq2 gptq3 gptq4 gptq8 gptq4-v2 gptq4-act awq bnb8 nf4 nf4-nested fp4 ct4 ct4-zero ct8 ct3 ct-int8 nvfp4 "
    "fp8-block fp8-row fp8-tensor mxfp4"
).split()


# ---------------------------------------------------------------------------------------------------- rounding


def asymmetric(weight, bits, group):
    """Scale and zero point of each group of inputs, from its least and greatest value. weight [out, in] → [out, groups]."""
    out, inputs = weight.shape
    group = min(group, inputs)
    padded = torch.nn.functional.pad(weight.float(), (0, -inputs % group), value=0.0).reshape(out, -1, group)
    low, high = padded.amin(-1).clamp(max=0), padded.amax(-1).clamp(min=0)
    scale = ((high - low) / (2**bits - 1)).clamp(min=1e-8).half().float()
    return scale, (-low / scale).round().clamp(0, 2**bits - 1)


def clipped(weight, scale, zero, bits, group):
    """The weight, kept inside the levels: `pack` of the GPTQ and AWQ tools does not clamp."""
    inputs = weight.shape[1]
    scale, zero = (x.repeat_interleave(group, 1)[:, :inputs] for x in (scale, zero))
    return ((weight.float() / scale + zero).round().clamp(0, 2**bits - 1) - zero) * scale


# -------------------------------------------------------------------------------------------------------- tools


def module_at(package, file):
    """A file of an installed package, without running the package's own imports."""
    folder = importlib.util.find_spec(package).submodule_search_locations[0]
    spec = importlib.util.spec_from_file_location(f"{package}_{Path(file).stem}", Path(folder) / file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def awq_linear():
    """`WQLinear_GEMM` of AutoAWQ, without the model zoo that its package imports."""
    if "awq" not in sys.modules:
        folder = importlib.util.find_spec("awq").submodule_search_locations[0]
    else:
        folder = sys.modules["awq"].__path__[0]
    for name in ["awq", "awq.utils", "awq.modules", "awq.modules.linear", "awq.modules.triton"]:
        package = types.ModuleType(name)
        package.__path__ = [str(Path(folder, *name.split(".")[1:]))]
        sys.modules[name] = package
    from awq.modules.linear.gemm import WQLinear_GEMM
    from awq.utils.packing_utils import dequantize_gemm

    return WQLinear_GEMM, dequantize_gemm


def gptq(weight, bits, group, order=None):
    linear_type = module_at("auto_gptq", "nn_modules/qlinear/qlinear_cuda_old.py").QuantLinear
    out, inputs = weight.shape
    ordered = weight if order is None else weight[:, order]
    scale, zero = asymmetric(ordered, bits, group)
    linear = torch.nn.Linear(inputs, out, bias=False, dtype=torch.float32)
    linear.weight.data = clipped(ordered, scale, zero, bits, group)
    packed = linear_type(bits, group, inputs, out, False, weight_dtype=torch.float32)
    packed.pack(linear, scale.clone(), zero.clone(), None)
    tensors = {name: getattr(packed, name) for name in ["qweight", "qzeros", "scales", "g_idx"]}
    # the code's own decoder wants whole groups; codes and zero points are checked by it where it can
    whole = inputs % group == 0
    expected = packed(torch.eye(inputs)).t().contiguous() if whole else linear.weight.data
    tensors["scales"] = tensors["scales"].half()
    return tensors, expected, packed


def quantise(form, weight, block=(128, 128)):
    """Tensors of the form by their names behind the module's, and the weight as the tool decodes it, f32."""
    weight = weight.float().contiguous()
    out, inputs = weight.shape
    if form == "gptq4-act":
        # groups over inputs in a random order, as act-order leaves them: codes in the model's order, g_idx names the group
        order = torch.randperm(inputs, generator=torch.Generator().manual_seed(7))
        tensors, _, packed = gptq(weight, 4, 32, order)
        back = torch.argsort(order)
        codes = unpacked(packed.qweight, 4)[:inputs][back]
        g_idx = packed.g_idx[back].contiguous()
        zeros = unpacked(packed.qzeros.t().contiguous(), 4).t()[:, :out] + 1
        scales = tensors["scales"].float()
        expected = (scales[g_idx.long()] * (codes - zeros[g_idx.long()])).t().contiguous()
        return tensors | {"qweight": repacked(codes, 4), "g_idx": g_idx}, expected
    if form.startswith("gptq"):
        bits = int(form[4])
        tensors, expected, packed = gptq(weight, bits, 64 if bits == 8 else 32)
        if form == "gptq4-v2":
            tensors["qzeros"] = tensors["qzeros"] + 0x11111111
        return tensors, expected
    if form == "awq":
        linear_type, dequantize = awq_linear()
        scale, zero = asymmetric(weight, 4, 32)
        linear = torch.nn.Linear(inputs, out, bias=False, dtype=torch.float32)
        linear.weight.data = clipped(weight, scale, zero, 4, 32)
        packed = linear_type.from_linear(linear, 4, 32, scales=scale.t().contiguous(), zeros=zero.t().contiguous())
        expected = dequantize(packed.qweight, packed.qzeros, packed.scales.float(), 4, 32).t().contiguous()
        return {name: getattr(packed, name) for name in ["qweight", "qzeros", "scales"]}, expected
    if form == "bnb8":
        from bitsandbytes import functional as F

        codes, scale, _ = F.int8_vectorwise_quant(weight.half())
        return {"weight": codes, "SCB": scale}, F.int8_vectorwise_dequant(codes, scale)
    if form in ("nf4", "nf4-nested", "fp4"):
        from bitsandbytes import functional as F

        kind, nested = form.split("-")[0], form.endswith("nested")
        codes, state = F.quantize_4bit(weight, blocksize=64, quant_type=kind, compress_statistics=nested)
        tensors = {f"weight.{name}": value for name, value in state.as_dict(packed=True).items()}
        return {"weight": codes} | tensors, F.dequantize_4bit(codes, state)
    if form.startswith("ct") or form == "nvfp4":
        return compressed(form, weight)
    if form.startswith("fp8"):
        side = {"fp8-block": block, "fp8-row": (1, inputs), "fp8-tensor": (out, inputs)}[form]
        rows, cols = (-(-n // s) for n, s in zip((out, inputs), side))
        scale = torch.empty(rows, cols)
        codes, expected = torch.empty(out, inputs, dtype=torch.float8_e4m3fn), torch.empty_like(weight)
        for r in range(rows):
            for c in range(cols):
                at = slice(r * side[0], (r + 1) * side[0]), slice(c * side[1], (c + 1) * side[1])
                scale[r, c] = weight[at].abs().max().clamp(min=1e-8) / 448
                codes[at] = (weight[at] / scale[r, c]).to(torch.float8_e4m3fn)
                expected[at] = codes[at].float() * scale[r, c]
        name = "weight_scale_inv" if form == "fp8-block" else "weight_scale"
        return {"weight": codes, name: scale.reshape(()) if form == "fp8-tensor" else scale}, expected
    if form == "mxfp4":
        blocks, scales = mxfp4(weight)
        return {"blocks": blocks, "scales": scales}, mxfp4_decoded(blocks[None], scales[None])[0]
    raise SystemExit(f"no form {form}")


def unpacked(words, bits):
    """Codes [rows · 32 / bits, cols] of words [rows, cols], lowest bits first."""
    shifts = torch.arange(0, 32, bits, dtype=torch.int32)
    return ((words[:, None, :] >> shifts[None, :, None]) & (2**bits - 1)).reshape(-1, words.shape[1])


def repacked(codes, bits):
    """The reverse."""
    grouped = codes.reshape(-1, 32 // bits, codes.shape[1]).long()
    words = sum(grouped[:, i] << (bits * i) for i in range(32 // bits))
    return torch.where(words >= 2**31, words - 2**32, words).to(torch.int32)


def compressed(form, weight):
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

    out, inputs = weight.shape
    if form == "nvfp4":
        group, maximum = 16, weight.abs().max()
        overall = (448.0 * 6.0 / maximum).reshape(1)
        per_group = weight.reshape(out, -1, group).abs().amax(-1)
        scale = (overall * per_group / 6.0).to(torch.float8_e4m3fn).to(torch.float32)
        args = QuantizationArgs(num_bits=4, type="float", strategy="tensor_group", group_size=group, symmetric=True)
        state = {"weight": weight, "weight_scale": scale, "weight_global_scale": overall}
        name = "nvfp4-pack-quantized"
    else:
        bits = 8 if form == "ct-int8" else int(form[2])
        group = inputs if form in ("ct8", "ct-int8") else 32
        symmetric = not form.endswith("zero")
        grouped = weight.reshape(out, -1, group)
        if symmetric:
            scale = grouped.abs().amax(-1) / (2 ** (bits - 1) - 0.5)
            zero = torch.zeros_like(scale, dtype=torch.int8)
        else:
            low, high = grouped.amin(-1).clamp(max=0), grouped.amax(-1).clamp(min=0)
            scale = ((high - low) / (2**bits - 1)).clamp(min=1e-8)
            zero = (-(2 ** (bits - 1)) - low / scale).round().clamp(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1).to(torch.int8)
        strategy = "channel" if group == inputs else "group"
        args = QuantizationArgs(num_bits=bits, strategy=strategy, symmetric=symmetric, group_size=None if group == inputs else group)
        state = {"weight": weight, "weight_scale": scale, "weight_zero_point": zero}
        name = "int-quantized" if form == "ct-int8" else "pack-quantized"
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    compressor = BaseCompressor.get_value_from_registry(name)
    stored = {k: v for k, v in compressor.compress(state, scheme).items() if v is not None}
    if form == "nvfp4":
        # the same two steps as `decompress`, which would round to bfloat16
        from compressed_tensors.compressors.nvfp4.helpers import unpack_fp4_from_uint8
        from compressed_tensors.quantization.lifecycle.forward import dequantize

        codes = unpack_fp4_from_uint8(stored["weight_packed"], out, inputs, dtype=torch.float32)
        scale = stored["weight_scale"].float()
        decoded = dequantize(x_q=codes, scale=scale, args=args, global_scale=overall, dtype=torch.float32)
        return stored, decoded
    return stored, compressor.decompress(dict(stored), scheme)["weight"].float()


E2M1 = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])


def mxfp4(weight):
    """[.., out, in] → blocks [.., out, in / 32, 16] and scales [.., out, in / 32] of uint8."""
    *outer, inputs = weight.shape
    groups = weight.reshape(*outer, inputs // 32, 32)
    exponent = (groups.abs().amax(-1).clamp(min=1e-30).log2().floor() - 2).clamp(-127, 127)
    scaled = groups / exponent.exp2()[..., None]
    code = (scaled.abs()[..., None] - E2M1).abs().argmin(-1) + 8 * (scaled < 0)
    pairs = code.reshape(*outer, inputs // 32, 16, 2).to(torch.uint8)
    return pairs[..., 0] | pairs[..., 1] << 4, (exponent + 127).to(torch.uint8)


def mxfp4_decoded(blocks, scales):
    """As transformers decodes it, turned back: [E, out, in]."""
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors

    return convert_moe_packed_tensors(blocks, scales, dtype=torch.float32).transpose(1, 2).contiguous()


# ------------------------------------------------------------------------------------------------------- models


def config_of(form):
    """`quantization_config` of the form, as its tool writes it."""
    if form.startswith("gptq"):
        config = {"quant_method": "gptq", "bits": int(form[4]), "group_size": 64 if form[4] == "8" else 32, "sym": False}
        return config | ({"checkpoint_format": "gptq_v2"} if form.endswith("v2") else {"checkpoint_format": "gptq"})
    if form == "awq":
        return {"quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": True, "version": "gemm"}
    if form in ("bnb8", "nf4", "nf4-nested", "fp4"):
        return {"quant_method": "bitsandbytes", "load_in_8bit": form == "bnb8", "load_in_4bit": form != "bnb8"}
    if form.startswith("fp8"):
        return {"quant_method": "fp8"} | ({"weight_block_size": [128, 128]} if form == "fp8-block" else {})
    return {"quant_method": "mxfp4" if form == "mxfp4" else "compressed-tensors"}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("out", nargs="?", type=Path)
    parser.add_argument("--form", choices=FORMS)
    parser.add_argument("--forms", action="store_true")
    words = parser.parse_args()
    if words.forms:
        return print("\n".join(FORMS))
    model = load_file(words.model / "model.safetensors")
    tensors = {}
    for name, weight in model.items():
        if weight.dim() == 2 and ".layers." in name:
            stem = name.removesuffix(".weight")
            separator = "_" if words.form == "mxfp4" else "."
            parts, _ = quantise(words.form, weight)
            tensors |= {f"{stem}{separator}{part}": value.contiguous() for part, value in parts.items()}
        else:
            tensors[name] = weight
    words.out.mkdir(parents=True, exist_ok=True)
    save_file(tensors, words.out / "model.safetensors")
    config = json.loads((words.model / "config.json").read_text())
    config["quantization_config"] = config_of(words.form)
    (words.out / "config.json").write_text(json.dumps(config, indent=1))
    if (words.model / "tokenizer.json").exists():
        (words.out / "tokenizer.json").write_bytes((words.model / "tokenizer.json").read_bytes())


if __name__ == "__main__":
    main()
