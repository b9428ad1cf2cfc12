"""Writes the small files of torch.save that the tests read: tests/reference/torch/*.

usage: python scripts/reference_pickles.py          needs: pip install torch numpy (made with torch 2.15.0)

Values follow a formula (element i of tensor n is (i % 17) - 8 + n, exact in every type), so that the tests need no second file.
"""

import collections
import pathlib

import torch

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests/reference/torch"


def values(n, *shape, dtype=torch.float32):
    count = 1
    for dim in shape:
        count *= dim
    return ((torch.arange(count) % 17) - 8 + n).to(dtype).reshape(shape)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    plain = {"a.weight": values(0, 3, 5), "b.bias": values(1, 4, dtype=torch.float16), "c": values(2, 2, 2, dtype=torch.bfloat16)}
    torch.save(plain, OUT / "plain.pt")
    torch.save(plain, OUT / "legacy.pt", _use_new_zipfile_serialization=False)
    wrapped = collections.OrderedDict(("module." + name, torch.nn.Parameter(t)) for name, t in plain.items())
    wrapped._metadata = {"": {"version": 1}}
    training = {"epoch": 3, "lr": 1e-3, "state_dict": wrapped, "ema": plain, "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}}, "best": None}
    torch.save(training, OUT / "training.pt")
    base = values(0, 4, 6)
    views = {
        "transposed": values(0, 5, 3).t(),  # stored [5, 3], seen as [3, 5]
        "columns": base[:, 1:4],
        "every_other": base[::2],
        "whole": base,
        "scalar": base[2, 3],
        "empty": torch.zeros(0, 4),
    }
    torch.save(views, OUT / "views.pt")
    kinds = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.float8_e4m3fn, torch.float8_e5m2]
    torch.save({str(kind).removeprefix("torch."): values(8, 9, dtype=torch.float32).to(kind) for kind in kinds}, OUT / "kinds.pt")


if __name__ == "__main__":
    main()
