"""How fast is `cognate compare` on two checkpoints, next to the script one would write in torch?

usage: python scripts/compare_speed.py BINARY A B [--rounds N] [-- extra arguments of compare]
e.g.   python scripts/make_big.py big --size 1.1b --models a b
       python scripts/compare_speed.py target/release/cognate big/a big/b

Three ways over the same two models, in turns, warm cache (everything is read once before):
  torch   every tensor loaded with safetensors, upcast to f32, cosine tensor by tensor, mean of them
  plain   cognate compare --effort full --only plain     bit equality and the same cosines, on everything
  quick   cognate compare --effort quick                 sampled, with a verdict
Prints, per way, the median and the best wall time, GB/s of both models' bytes, bytes asked of the files and in whole
pages (from cognate's JSON), peak resident memory of the process, and the ratio to torch. The clock of `torch` runs
inside its process without the import of torch; that of cognate covers its whole process.

needs: pip install torch safetensors; Linux or macOS
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WAYS = {"plain": ["--effort", "full", "--only", "plain"], "quick": ["--effort", "quick"]}


def safetensors_files(model):
    model = Path(model)
    return sorted(model.glob("*.safetensors")) if model.is_dir() else [model]


def naive_torch(left, right):
    """The script one would write. Prints its seconds and the mean cosine as JSON."""
    import torch
    from safetensors import safe_open

    start_s = time.perf_counter()
    opened = [[safe_open(file, "pt") for file in safetensors_files(model)] for model in (left, right)]
    left_of, right_of = ({name: file for file in files for name in file.keys()} for files in opened)
    cosines = []
    for name in left_of.keys() & right_of.keys():
        a = left_of[name].get_tensor(name).float().flatten()
        b = right_of[name].get_tensor(name).float().flatten()
        if a.shape == b.shape:
            cosines.append(torch.nn.functional.cosine_similarity(a, b, dim=0).item())
    elapsed_s = time.perf_counter() - start_s
    print(json.dumps({"seconds": elapsed_s, "cosine": sum(cosines) / len(cosines), "threads": torch.get_num_threads(), "version": torch.__version__}))


def run_measured(command):
    """(exit code, stdout, stderr, wall seconds, peak resident bytes of this one process)."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start_s = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        elapsed_s = time.perf_counter() - start_s
        process.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    # Linux counts in KiB, macOS in bytes
    peak_bytes = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return process.returncode, *texts, elapsed_s, peak_bytes


def run_way(way, args, extra):
    """One run of one way: seconds, peak resident bytes, and what it reported about itself."""
    if way == "torch":
        command = [sys.executable, __file__, "--torch-child", args.binary, args.left, args.right]
    else:
        command = [args.binary, "compare", args.left, args.right, "--format", "json", *WAYS[way], *extra]
    code, stdout, stderr, elapsed_s, peak_bytes = run_measured(command)
    # 4: something could not be compared, which the report lists; the time is still the time
    if code not in (0, 4):
        sys.exit(f"{way}: exit {code}: {' '.join(command)}\n{stderr.strip()[-400:]}")
    document = json.loads(stdout)
    return (document["seconds"] if way == "torch" else elapsed_s), peak_bytes, document


def processor_name():
    """The processor in words, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.machine())


def warm_up(files):
    """Reads every file once, so that all ways find it in the page cache."""
    buffer = bytearray(1 << 24)
    for file in files:
        with open(file, "rb", buffering=0) as stream:
            while stream.readinto(buffer):
                pass


def main():
    argv, extra = sys.argv[1:], []
    if "--" in argv:
        cut = argv.index("--")
        argv, extra = argv[:cut], argv[cut + 1 :]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("left")
    parser.add_argument("right")
    parser.add_argument("--rounds", type=int, default=5, help="times each way is run (default 5)")
    parser.add_argument("--torch-rounds", type=int, default=2, help="fewer for torch, which is slow (default 2)")
    parser.add_argument("--torch-child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.torch_child:
        return naive_torch(args.left, args.right)

    files = [file for model in (args.left, args.right) for file in safetensors_files(model)]
    both_bytes = sum(file.stat().st_size for file in files)
    print(f"{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} processors: {processor_name()}")
    print(f"two models, {both_bytes / 1e9:.2f} GB together, {len(files)} files, warm cache", flush=True)
    warm_up(files)

    runs = {"torch": [], "plain": [], "quick": []}
    for i in range(max(args.rounds, args.torch_rounds)):
        for way in runs:
            if i < (args.torch_rounds if way == "torch" else args.rounds):
                runs[way].append(run_way(way, args, extra))

    torch_median_s = statistics.median(run[0] for run in runs["torch"]) if runs["torch"] else None
    print(f"{'way':6} {'runs':>4} {'median s':>9} {'best s':>8} {'GB/s':>7} {'× torch':>8} {'asked':>9} {'pages':>9} {'peak MB':>8}")
    for way, results in runs.items():
        if not results:
            continue
        seconds = [run[0] for run in results]
        median_s, peak_bytes = statistics.median(seconds), max(run[1] for run in results)
        throughput = results[-1][2].get("throughput", {})
        read = lambda key: f"{100 * throughput[key] / both_bytes:.2f} %" if key in throughput else "-"
        ratio = f"{torch_median_s / median_s:.1f}" if torch_median_s else "-"
        print(
            f"{way:6} {len(results):4} {median_s:9.3f} {min(seconds):8.3f} {both_bytes / median_s / 1e9:7.2f} {ratio:>8} "
            f"{read('bytes_read'):>9} {read('page_bytes_read'):>9} {peak_bytes / 1e6:8.0f}"
        )
    if runs["torch"]:
        child = runs["torch"][-1][2]
        print(f"torch {child['version']} on {child['threads']} threads, mean cosine {child['cosine']:.6f}")
    for way in ("plain", "quick"):
        if runs[way]:
            document = runs[way][-1][2]
            t = document["throughput"]
            print(f"{way}: {t['backend']}, {t['device']}, {t['tier']}, verdict {document['weights']['verdict']}, {t['bytes_read']} bytes read")


if __name__ == "__main__":
    main()
