#!/usr/bin/env python3
"""Decoding speed of GGUF blocks: this project's CPU path against the PyPI package `gguf`, on the same blocks.

    scripts/decode_speed.py

The package decodes 64 Mi elements per call (numpy, one thread, as it is used); ours is `cargo bench --bench blocks`, on all threads.
Needs: gguf 0.19, numpy, and cargo.
"""

import re
import subprocess
import time
from pathlib import Path

from gguf import GGMLQuantizationType
from gguf.quants import dequantize

from reference_values import SIZES, blocks

N_ELEMENTS = 64 << 20


def package(name):
    elements, size = SIZES[name]
    data = blocks(name, N_ELEMENTS // elements).reshape(-1, size * (4096 // elements))
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        dequantize(data, GGMLQuantizationType[name])
        best = min(best, time.perf_counter() - start)
    return N_ELEMENTS * 4 / best / 1e9


def ours():
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(["cargo", "bench", "--bench", "blocks"], cwd=root, capture_output=True, text=True, check=True)
    found, name = {}, None
    for line in done.stdout.splitlines():
        if match := re.search(r"threads/(\w+)", line):
            name = match[1]
        if name and (match := re.search(r"thrpt:\s+\[\S+ \S+ (\S+) (\S+) ", line)):
            found[name] = float(match[1]) * {"GiB/s": 1.073741824, "MiB/s": 0.001048576}[match[2]]
    return found


def main():
    speeds = ours()
    print("type      cognate      gguf    ratio   (GB of f32 a second)")
    for name in speeds:
        theirs = package(name)
        print(f"{name:<8} {speeds[name]:8.2f}  {theirs:8.2f}  {speeds[name] / theirs:7.1f}")


if __name__ == "__main__":
    main()
