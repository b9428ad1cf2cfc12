#!/usr/bin/env python3
"""A small net as ONNX files and its weights as safetensors: tests/reference/onnx/.

    scripts/reference_onnx.py

`exported.onnx` is PyTorch's TorchScript exporter's (matrices transposed and nameless, batch norm folded), `dynamo.onnx` that of
torch.export, `beside.onnx` the first with its tensors in a file beside it. Needs: torch, onnx, onnxscript, safetensors.
"""

import warnings
from pathlib import Path

import onnx
import torch
from safetensors.torch import save_file

OUT = Path(__file__).resolve().parent.parent / "tests/reference/onnx"


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(16, 24, 3, padding=1))
        self.layers = torch.nn.ModuleList(torch.nn.Linear(24, 24) for _ in range(2))
        self.head = torch.nn.Linear(24, 10)

    def forward(self, x):
        x = self.stem(x).flatten(2).transpose(1, 2)
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.head(x.mean(1))


def main():
    warnings.filterwarnings("ignore")
    OUT.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(1)
    net = Net().eval()
    save_file(net.state_dict(), OUT / "net.safetensors")
    x = torch.zeros(1, 3, 8, 8)
    torch.onnx.export(net, (x,), OUT / "exported.onnx", dynamo=False, opset_version=17)
    torch.onnx.export(net, (x,), OUT / "dynamo.onnx", dynamo=True, external_data=False)
    model = onnx.load(OUT / "exported.onnx")
    (OUT / "beside.bin").unlink(missing_ok=True)
    onnx.save_model(model, OUT / "beside.onnx", save_as_external_data=True, location="beside.bin", size_threshold=256)
    for path in sorted(OUT.iterdir()):
        print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main()
