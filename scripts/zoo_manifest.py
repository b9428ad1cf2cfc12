"""Writes the manifest of a family zoo for `cognate evaluate`, from its truth.json and expected.json.

usage: python scripts/zoo_manifest.py ZOO > zoo.jsonl

References are absolute, so that the manifest may lie anywhere. Needs no packages.
"""

import json
import pathlib
import sys

LABELS = {"independent": "independent", "related": "derived", "origin": "common-origin", "graft": "partly-derived"}
HARD_WORDS = ("disguise", "permut", "rotat", "distilled", "function-preserving", "same random init", "only", "merge",
              "1400 steps", "same function")


def main() -> None:
    zoo = pathlib.Path(sys.argv[1]).resolve()
    truth = json.loads((zoo / "truth.json").read_text())
    hard = {name for name, facts in truth.items() if any(word in facts["how"] for word in HARD_WORDS)}
    for pair in json.loads((zoo / "expected.json").read_text()):
        left, right = pair["left"], pair["right"]
        line = {
            "left": str(zoo / left),
            "right": str(zoo / right),
            "label": LABELS[pair["kind"]],
            "family_left": truth[left]["family"],
            "family_right": truth[right]["family"],
            "hard": left in hard or right in hard,
            "verdicts": pair["weights"] or [],
            "directions": pair["directions"] or [],
            "architecture": pair["architecture"],
        }
        print(json.dumps({key: value for key, value in line.items() if value not in (None, [], False)}))


if __name__ == "__main__":
    main()
