#!/usr/bin/env python3
"""How many of the pairs that share weights does `cognate matrix --nearest N` still compare?

usage: python scripts/nearest_recall.py EVALUATED MATRIX [MANIFEST]
EVALUATED is the document of `cognate evaluate MANIFEST --format json`, whose rows say which pairs share weights; MATRIX that of
`cognate matrix MODEL… --nearest N --format json` on the same models. With the manifest the pairs are counted by what the two models are to
their parents. Names are held against each other by their last part.
"""

import collections
import json
import sys
from pathlib import Path


def main():
    evaluated, matrix = (json.loads(Path(path).read_text()) for path in sys.argv[1:3])
    relation_of = collections.defaultdict(str)
    if len(sys.argv) > 3:
        lines = map(json.loads, filter(str.strip, Path(sys.argv[3]).read_text().splitlines()))
        relation_of.update((Path(line["model"]).name, line.get("relation") or "root") for line in lines)
    models = [Path(model).name for model in matrix["models"]]
    compared = {frozenset((models[pair["left"]], models[pair["right"]])) for pair in matrix["pairs"] if pair["compared"]}
    rows = [frozenset(Path(row[side]).name for side in ("left", "right")) for row in evaluated["rows"] if row["label"] != "independent"]
    shared = [pair for pair in rows if len(pair) == 2 and pair <= set(models)]
    kept = [pair for pair in shared if pair in compared]
    n_with_relative, n_with_one = (len(set().union(*pairs)) for pairs in (shared, kept))
    print(f"{len(models)} models, nearest {matrix['nearest']}: {len(compared)} of {len(matrix['pairs'])} pairs compared in {matrix['seconds']:.1f} s")
    print(f"of {len(shared)} pairs that share weights {len(kept)} ({len(kept) / max(len(shared), 1):.1%}) are among them; of {n_with_relative} models with a relative {n_with_one} keep one")
    of_kind = collections.defaultdict(lambda: [0, 0])
    for pair in shared if len(sys.argv) > 3 else []:
        counts = of_kind[" and ".join(sorted(relation_of[model] for model in pair))]
        counts[0] += pair in compared
        counts[1] += 1
    for kind, (n_kept, n) in sorted(of_kind.items(), key=lambda item: -item[1][1]):
        print(f"  {kind}: {n_kept} of {n}")


if __name__ == "__main__":
    main()
