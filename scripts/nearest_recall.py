#!/usr/bin/env python3
"""How many of the pairs that share weights does `cognate matrix --nearest N` still compare?

usage: python scripts/nearest_recall.py EVALUATED MATRIX
EVALUATED is the document of `cognate evaluate MANIFEST --format json`, whose rows say which pairs share weights; MATRIX that of
`cognate matrix MODEL… --nearest N --format json` on the same models. Names are held against each other by their last part.
"""

import json
import sys
from pathlib import Path


def main():
    evaluated, matrix = (json.loads(Path(path).read_text()) for path in sys.argv[1:3])
    models = [Path(model).name for model in matrix["models"]]
    compared = {frozenset((models[pair["left"]], models[pair["right"]])) for pair in matrix["pairs"] if pair["compared"]}
    of_label = {"shared": [], "independent": []}
    for row in evaluated["rows"]:
        pair = frozenset(Path(row[side]).name for side in ("left", "right"))
        if len(pair) == 2 and pair <= set(models):
            of_label["independent" if row["label"] == "independent" else "shared"].append(pair)
    related = {model for pair in of_label["shared"] for model in pair}
    with_one = {model for pair in of_label["shared"] if pair in compared for model in pair}
    n = len(of_label["shared"])
    kept = sum(pair in compared for pair in of_label["shared"])
    print(f"{len(models)} models, nearest {matrix['nearest']}: {len(compared)} of {len(matrix['pairs'])} pairs compared in {matrix['seconds']:.1f} s")
    print(f"of {n} pairs that share weights {kept} ({kept / max(n, 1):.1%}) are among them; of {len(related)} models with a relative {len(with_one)} keep one")


if __name__ == "__main__":
    main()
