"""Do the CPU and a GPU adapter give the same report for every pair of a zoo?

usage: python scripts/backends_agree.py BINARY ZOO [--pairs N] [--gpu NAME] [-- extra arguments of compare]
e.g.   python scripts/backends_agree.py target/release/cognate zoo --pairs 30

Runs `compare --pairs` twice over all pairs, side by side, with `--backend cpu` and with `--gpu NAME` (default llvmpipe,
Mesa's software Vulkan), and compares exit codes and every field of each pair's two documents but `throughput`. One process
a backend: an adapter proves and times its kernels at every start. What the schema (`cognate schema`) calls exact must be
equal. Its bounded numbers, those with x-decimals, are rounded to so many decimals; a value next to a rounding edge falls
on either side of it, so one unit of the last decimal is within the bound. Prints each difference, then counts; exits 1 if
there is one beyond the bounds.

needs: Python 3.9, nothing else.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

MISSING = "(absent)"
# the fields that no difference may hide behind: counted on their own
DECIDING = ("weights.verdict", "weights.direction", "weights.decided_by", "weights.relations", "architecture")


def models_of(zoo):
    return sorted(folder for folder in zoo.iterdir() if folder.is_dir() and any(folder.glob("*.safetensors")))


def evenly_spaced(items, n):
    """n items spread over the whole list, first and last among them; all of them if n is None or too large."""
    if n is None or n >= len(items):
        return items
    if n <= 1:
        return items[:n]
    return [items[i * (len(items) - 1) // (n - 1)] for i in range(n)]


def start(binary, pairs_file, arguments):
    """A run over all pairs; its standard output is a document a line, in the order of the file."""
    command = [binary, "compare", "--pairs", pairs_file, "--format", "jsonl", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def error_of(document):
    return (document or {}).get("error", {}).get("message", "no report")


def alternatives(root, schema):
    """A schema with its references followed and its alternatives apart."""
    if "$ref" in schema:
        return alternatives(root, root["$defs"][schema["$ref"].removeprefix("#/$defs/")])
    if "anyOf" in schema:
        return [found for one in schema["anyOf"] for found in alternatives(root, one)]
    return [schema]


def bound_of(root, path, value):
    """How far the number at a path may be from another backend's: a unit of its last decimal, 0 if it is exact."""
    at = [root["$defs"]["document"]]
    for step in path.replace("[", ".[").split("."):
        flat = [schema for one in at for schema in alternatives(root, one)]
        if step.startswith("["):
            at = [schema["items"] for schema in flat if "items" in schema]
        else:
            rules = [schema.get("properties", {}).get(step, schema.get("additionalProperties")) for schema in flat]
            at = [rule for rule in rules if isinstance(rule, dict)]
    decimals = [schema["x-decimals"] for one in at for schema in alternatives(root, one) if "x-decimals" in schema]
    if not decimals:
        return 0.0
    # what an item of evidence shows has two decimals above 1
    return 1e-2 if ".evidence[" in path and abs(value) > 1 else 10.0 ** -decimals[0]


def is_within(root, path, left, right):
    if not all(isinstance(value, float) for value in (left, right)):
        return False
    # half a unit more for the decimals that a double cannot hold
    return abs(left - right) <= 1.5 * bound_of(root, path, left)


def differences(left, right, path=""):
    """Every leaf that differs: (path, left value, right value)."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in dict.fromkeys([*left, *right]):
            if not path and key == "throughput":
                continue
            yield from differences(left.get(key, MISSING), right.get(key, MISSING), f"{path}.{key}".lstrip("."))
    elif isinstance(left, list) and isinstance(right, list):
        for i, (x, y) in enumerate(itertools.zip_longest(left, right, fillvalue=MISSING)):
            yield from differences(x, y, f"{path}[{i}]")
    # json reads 1 and 1.0 as different types; the bytes of the report differ too
    elif left != right or type(left) is not type(right):
        yield path, left, right


def leaves(value):
    if isinstance(value, dict):
        for key, item in value.items():
            if key != "throughput":
                yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def main():
    argv, extra = sys.argv[1:], []
    if "--" in argv:
        cut = argv.index("--")
        argv, extra = argv[:cut], argv[cut + 1 :]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("zoo", type=Path, help="folder of model folders")
    parser.add_argument("--pairs", type=int, help="only N pairs, evenly spaced over all of them")
    parser.add_argument("--gpu", default="llvmpipe", help="adapter to compare the CPU with")
    args = parser.parse_args(argv)

    pairs = evenly_spaced(list(itertools.combinations(models_of(args.zoo), 2)), args.pairs)
    if not pairs:
        sys.exit(f"{args.zoo} holds fewer than two models")
    schema = json.loads(subprocess.run([args.binary, "schema"], capture_output=True, text=True, check=True).stdout)
    counts, adapters, n_fields, n_edges = Counter(), set(), 0, 0
    seconds = [0.0, 0.0]
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as pairs_file:
        pairs_file.writelines(json.dumps([str(left), str(right)]) + "\n" for left, right in pairs)
        pairs_file.flush()
        on_cpu = start(args.binary, pairs_file.name, ["--backend", "cpu", *extra])
        on_gpu = start(args.binary, pairs_file.name, ["--gpu", args.gpu, *extra])
        read = list(itertools.zip_longest(on_cpu.stdout, on_gpu.stdout))
        cpu_code, gpu_code = on_cpu.wait(), on_gpu.wait()
    if cpu_code != gpu_code:
        counts["exit code"] += 1
        print(f"exit {cpu_code} on the CPU, {gpu_code} on {args.gpu}", flush=True)
    if len(read) != len(pairs):
        counts["line missing"] += 1
        n_cpu, n_gpu = (sum(lines[side] is not None for lines in read) for side in (0, 1))
        print(f"of {len(pairs)} pairs {n_cpu} results on the CPU, {n_gpu} on {args.gpu}", flush=True)
    for (left, right), lines in zip(pairs, read):
        title = f"{left.name} ~ {right.name}"
        cpu, gpu = (json.loads(line) if line else None for line in lines)
        if not all(document and "throughput" in document for document in (cpu, gpu)):
            counts["no report"] += 1
            print(f"{title}: no report: CPU {error_of(cpu)} | {args.gpu} {error_of(gpu)}", flush=True)
            continue
        if gpu["throughput"]["backend"] != "gpu" or cpu["throughput"]["backend"] != "cpu":
            counts["wrong backend"] += 1
            print(f"{title}: ran on {cpu['throughput']['backend']} and {gpu['throughput']['backend']}", flush=True)
        seconds = [total + document["throughput"]["seconds"] for total, document in zip(seconds, (cpu, gpu))]
        adapters.add(gpu["throughput"]["device"])
        n_fields += sum(1 for _ in leaves(cpu))
        found = []
        for path, cpu_value, gpu_value in differences(cpu, gpu):
            edge = is_within(schema, path, cpu_value, gpu_value)
            print(f"{title}: {path}: {cpu_value!r} on the CPU, {gpu_value!r} on {args.gpu}{' (rounding edge)' * edge}", flush=True)
            n_edges += edge
            found += [] if edge else [(path, cpu_value, gpu_value)]
        counts["pair that differs"] += bool(found)
        counts["field that differs"] += len(found)
        counts["deciding field that differs"] += sum(path.startswith(DECIDING) for path, _, _ in found)

    n_wrong = sum(counts.values())
    print(
        f"{len(pairs)} pairs on cpu ({seconds[0] / len(pairs):.2f} s each) and {', '.join(sorted(adapters)) or args.gpu} "
        f"({seconds[1] / len(pairs):.2f} s each): " + (", ".join(f"{n} × {what}" for what, n in counts.items() if n) or "every field agrees")
        + f"; {n_edges} of {n_fields} fields one unit of the last decimal apart"
    )
    sys.exit(1 if n_wrong else 0)


if __name__ == "__main__":
    main()
