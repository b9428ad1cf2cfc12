#!/usr/bin/env python3
"""Reference values of GGUF block types, from the PyPI package `gguf` (gguf.quants), which is not part of this project.

    scripts/reference_values.py            writes tests/reference/blocks.txt (2,000 and 100,000 blocks a type)

Blocks are random bytes of a seeded splitmix64, so that a reader makes the same ones; the first are edge patterns. A digest is
sum((bits[i] + 1) * mix(i)) mod 2^64 over the decoded f32 bit patterns, every NaN as 0x7fc00000. Needs: gguf 0.19, numpy.
Q8_1 and Q8_K have no decoder in the package (they never stand in files): d * q, written here from ggml-common.h.
"""

import sys
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType
from gguf.quants import dequantize

OUT = Path(__file__).resolve().parent.parent / "tests/reference/blocks.txt"
SIZES = {
    "Q4_0": (32, 18), "Q4_1": (32, 20), "Q5_0": (32, 22), "Q5_1": (32, 24), "Q8_0": (32, 34), "Q8_1": (32, 36),
    "Q2_K": (256, 84), "Q3_K": (256, 110), "Q4_K": (256, 144), "Q5_K": (256, 176), "Q6_K": (256, 210), "Q8_K": (256, 292),
    "IQ1_S": (256, 50), "IQ1_M": (256, 56), "IQ2_XXS": (256, 66), "IQ2_XS": (256, 74), "IQ2_S": (256, 82),
    "IQ3_XXS": (256, 98), "IQ3_S": (256, 110), "IQ4_NL": (32, 18), "IQ4_XS": (256, 136), "TQ1_0": (256, 54),
    "TQ2_0": (256, 66), "MXFP4": (32, 17),
}
# where the f16 scales lie; whole-block patterns below reach every other field
SCALES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q8_1": [0], "Q2_K": [80, 82], "Q3_K": [108],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ1_S": [0], "IQ2_XXS": [0], "IQ2_XS": [0], "IQ2_S": [0],
    "IQ3_XXS": [0], "IQ3_S": [0], "IQ4_NL": [0], "IQ4_XS": [0], "TQ1_0": [52], "TQ2_0": [64],
}
# zero, minus zero, smallest subnormal and normal, one, largest, infinity, minus infinity, NaN
EDGE_SCALES = [0x0000, 0x8000, 0x0001, 0x0400, 0x3C00, 0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x7E01]


def mix(index: np.ndarray) -> np.ndarray:
    """splitmix64's finaliser."""
    with np.errstate(over="ignore"):
        z = (index.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def blocks(name: str, n_blocks: int) -> np.ndarray:
    """Seeded random blocks with the edge patterns in front: the same as tests/oracle/blocks.rs makes."""
    size = SIZES[name][1]
    n_words = -(-n_blocks * size // 8)
    seed = np.uint64(sum(name.encode()) << 32)
    words = mix(np.arange(n_words, dtype=np.uint64) + seed)
    data = np.frombuffer(words.astype("<u8").tobytes(), dtype=np.uint8)[: n_blocks * size].copy().reshape(n_blocks, size)
    for row, fill in enumerate([0x00, 0xFF, 0x55, 0xAA, 0x80, 0x7F]):
        data[row] = fill
    row = 6
    for at in SCALES.get(name, []):
        for scale in EDGE_SCALES:
            data[row, at] = scale & 0xFF
            data[row, at + 1] = scale >> 8
            row += 1
    if name == "MXFP4":
        for exponent in range(256):
            data[row + exponent, 0] = exponent
    return data


def decode(name: str, data: np.ndarray) -> np.ndarray:
    """[blocks, elements] f32."""
    with np.errstate(all="ignore"):
        if name == "Q8_1":
            scale = data[:, :2].copy().view(np.float16).astype(np.float32)
            return scale * data[:, 4:].view(np.int8).astype(np.float32)
        if name == "Q8_K":
            scale = data[:, :4].copy().view(np.float32)
            return scale * data[:, 4:260].view(np.int8).astype(np.float32)
        return dequantize(data, GGMLQuantizationType[name])


def canonical(values: np.ndarray) -> np.ndarray:
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32).ravel().copy()
    bits[(bits & 0x7FFFFFFF) > 0x7F800000] = 0x7FC00000
    return bits


def digest(name: str, n_blocks: int) -> int:
    data, total, first = blocks(name, n_blocks), np.uint64(0), 0
    for at in range(0, n_blocks, 5000):
        bits = canonical(decode(name, data[at : at + 5000])).astype(np.uint64)
        with np.errstate(over="ignore"):
            total += np.sum((bits + np.uint64(1)) * mix(np.arange(first, first + len(bits), dtype=np.uint64)), dtype=np.uint64)
        first += len(bits)
    return int(total)


def main() -> None:
    lines = ["# type blocks digest; made by scripts/reference_values.py from the PyPI package gguf, see there",
             "# then the first decoded bits of an ordinary block: type block bits…"]
    for name in SIZES:
        for n_blocks in (2_000, 100_000):
            lines.append(f"{name} {n_blocks} {digest(name, n_blocks):016x}")
            print(lines[-1], file=sys.stderr)
    for name in SIZES:
        at = 400
        bits = canonical(decode(name, blocks(name, 2_000)[at : at + 1]))[:32]
        lines.append(f"{name} block {at} " + " ".join(f"{word:08x}" for word in bits))
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
