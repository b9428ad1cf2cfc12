#!/usr/bin/env python3
"""How much the slopes of matrices vary between models that share an initialisation alone: the measure behind common_slope.rs.

usage: python scripts/slopes_of_one_start.py FAMILIES KINDS       (folders of train_families.py and train_kinds.py; any number of either)
needs: pip install torch numpy safetensors

For each pair of one start, both ways: matrices outside the token tables, mean slope, spread of the slopes as a share of it with their
standard errors taken out, and sigma = spread / ln(1 / slope), the spread of the rates at which training forgot the initialisation.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

TABLES = ("embed", "lm_head", "wte", "wpe")
# as the program asks: matrices that say something, and slopes below which models were trained at all
FEWEST_MATRICES, LARGEST_SLOPE = 8, 0.95


def pairs(folder):
    """Name, and tensors of both models, of every pair that shares a start and nothing else."""
    for line in map(json.loads, (folder / "manifest.jsonl").read_text().splitlines()):
        if line["relation"] != "same-start":
            continue
        if line["model"].endswith(".pt"):
            root = f"{line['family']}.pt"
            yield line["model"], *(torch.load(folder / name, weights_only=True) for name in (root, line["model"]))
        else:
            yield line["model"], *(load_file(folder / name / "model.safetensors") for name in (line["family"], line["model"]))


def slopes(a, b):
    """Slope of b on a, and its standard error, of every matrix."""
    found = []
    for name, left in a.items():
        right = b.get(name)
        if right is None or right.shape != left.shape or left.ndim < 2 or any(table in name for table in TABLES):
            continue
        x, y = (tensor.double().flatten() for tensor in (left, right))
        x, y = x - x.mean(), y - y.mean()
        slope = float(x @ y / (x @ x))
        found.append((slope, float((y - slope * x).norm() / x.norm()) / math.sqrt(len(x))))
    return np.array(found).reshape(-1, 2)


def main():
    looks = []
    for folder in map(Path, sys.argv[1:]):
        for name, left, right in pairs(folder):
            for way, (a, b) in (("->", (left, right)), ("<-", (right, left))):
                values, errors = slopes(a, b).T
                if len(values) < FEWEST_MATRICES:
                    continue
                mean = float((values / errors**2).sum() / (1 / errors**2).sum())
                spread = math.sqrt(max(0.0, float(((values - values.mean()) ** 2 - errors**2).mean()))) / values.mean()
                if not 0 < mean < LARGEST_SLOPE:
                    continue
                sigma = spread / math.log(1 / mean)
                looks.append(sigma)
                print(f"{name:40} {way} {len(values):3} matrices  slope {mean:.3f}  spread {spread:.3f}  sigma {sigma:.3f}")
    print(f"{len(looks)} looks: sigma {min(looks):.3f} to {max(looks):.3f}, median {np.median(looks):.3f}")


if __name__ == "__main__":
    main()
