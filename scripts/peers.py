"""The same work as `cognate bench` and `cognate compare`, by what one would pick instead, in one run: prints ratios.

usage: python scripts/peers.py target/release/cognate [--models A B] [--rows 2048 11008] [--python INTERPRETER]

All-pairs products of [n, 4096] matrices: cognate's all_pairs (its packing, norms, partners and sums included) against torch's
bare `A @ B.T` in f32 and bf16, numpy's in f32, and cuBLAS through torch where there is a GPU. Given two models (folders or files
of safetensors; scripts/make_big.py writes some): cosines of all tensors by torch upcast to f32, by torch on bf16 dot products,
by numpy, and by reading the same bytes with as many threads and throwing them away, against `compare --effort full --only plain`.

torch's bf16 product takes the processor's own bf16 instructions where it has some; the row `AVX2` is the same product without
them (ONEDNN_MAX_CPU_ISA=AVX2), as processors of a few years ago run it.

Makes its own virtual environment in target/peers and installs torch, numpy and safetensors there, unless --python names an
interpreter that has them. Takes the best of --rounds, everything in turns.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import venv
from pathlib import Path

ENVIRONMENT = Path(__file__).resolve().parent.parent / "target" / "peers"
N_COLS = 4096
PIECE_BYTES = 256 << 10


def own_interpreter():
    """The interpreter of the environment that this script makes for itself."""
    python = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        print(f"installing torch into {ENVIRONMENT}", file=sys.stderr)
        venv.create(ENVIRONMENT, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "torch", "numpy", "safetensors"], check=True)
    return str(python)


def best_seconds(call, rounds):
    call()
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


def products(n_rows, rounds):
    """GFLOP/s of bare products, in the interpreter that has torch."""
    import numpy
    import torch

    flop = 2 * n_rows * n_rows * N_COLS
    generator = torch.Generator().manual_seed(1)
    a, b = (torch.randn(n_rows, N_COLS, generator=generator) * 0.02 for _ in range(2))
    rates = {}
    rate = lambda call: flop / best_seconds(call, rounds) / 1e9
    if os.environ.get("ONEDNN_MAX_CPU_ISA"):
        a, b = a.bfloat16(), b.bfloat16()
        rates["torch bf16, AVX2"] = rate(lambda: a @ b.T)
    else:
        rates["torch f32"] = rate(lambda: a @ b.T)
        x, y = a.numpy(), b.numpy()
        rates["numpy f32"] = rate(lambda: numpy.matmul(x, y.T))
        a16, b16 = a.bfloat16(), b.bfloat16()
        rates["torch bf16"] = rate(lambda: a16 @ b16.T)
        if torch.cuda.is_available():
            for name, left, right in (("cuBLAS f32", a, b), ("cuBLAS bf16", a16, b16)):
                left, right = left.cuda(), right.cuda()

                def call():
                    left @ right.T
                    torch.cuda.synchronize()

                rates[name] = rate(call)
    return {"rates": rates, "torch": torch.__version__, "threads": torch.get_num_threads()}


def safetensors_files(model):
    model = Path(model)
    return sorted(model.glob("*.safetensors")) if model.is_dir() else [model]


def read_and_drop(files, n_threads):
    """Reads every byte with as many threads and throws it away. CPython gives up its lock while it reads."""
    import threading

    pieces = [(file, offset) for file in files for offset in range(0, os.path.getsize(file), PIECE_BYTES)]
    handles = {file: os.open(file, os.O_RDONLY) for file in files}
    shared = iter(pieces)
    lock = threading.Lock()

    def work():
        buffer = [bytearray(PIECE_BYTES)]
        while True:
            with lock:
                some = [piece for piece, _ in zip(shared, range(16))]
            if not some:
                return
            for file, offset in some:
                os.preadv(handles[file], buffer, offset)

    threads = [threading.Thread(target=work) for _ in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for handle in handles.values():
        os.close(handle)


def cosines(way, left, right):
    """Mean cosine of the tensors that both models hold, the way one would write it."""
    import numpy
    import torch
    from safetensors import safe_open

    opened = [[safe_open(file, "pt") for file in safetensors_files(model)] for model in (left, right)]
    left_of, right_of = ({name: file for file in files for name in file.keys()} for files in opened)
    found = []
    for name in sorted(left_of.keys() & right_of.keys()):
        a, b = left_of[name].get_tensor(name).flatten(), right_of[name].get_tensor(name).flatten()
        if a.shape != b.shape:
            continue
        if way == "torch f32":
            found.append(torch.nn.functional.cosine_similarity(a.float(), b.float(), dim=0).item())
        elif way == "torch bf16":
            dots = [torch.dot(x, y).item() for x, y in ((a, b), (a, a), (b, b))]
            found.append(dots[0] / (dots[1] * dots[2]) ** 0.5)
        else:
            x, y = a.float().numpy(), b.float().numpy()
            found.append(float(numpy.dot(x, y) / (numpy.linalg.norm(x) * numpy.linalg.norm(y))))
    return sum(found) / len(found)


def child(args):
    """Work that needs torch; prints JSON."""
    if args.child == "products":
        print(json.dumps(products(args.rows[0], args.rounds)))
        return
    left, right = args.models
    files = [file for model in args.models for file in safetensors_files(model)]
    if args.child == "read":
        read = lambda: read_and_drop(files, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
        print(json.dumps({"seconds": best_seconds(read, args.rounds)}))
        return
    start = time.perf_counter()
    mean = cosines(args.child, left, right)
    print(json.dumps({"seconds": time.perf_counter() - start, "cosine": mean}))


def run_child(python, which, arguments, environment=None):
    command = [python, __file__, "unused", "--child", which, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **(environment or {})})
    if done.returncode != 0:
        sys.exit(f"{which}: {done.stderr.strip()[-600:]}")
    return json.loads(done.stdout)


def bench_lines(binary, n_rows, device):
    command = [binary, "bench", "--device", device, "--kernels", "all_pairs", "--shapes", "llama_7b_mlp_up"]
    command += ["--rows", str(n_rows), "--format", "json", "--no-progress", "--seconds", "1"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"cognate bench: exit {done.returncode}: {done.stderr.strip()[-400:]}")
    return json.loads(done.stdout)["devices"]


def compare_products(args, python):
    for n_rows in args.rows:
        rounds = args.rounds if n_rows <= 4096 else 1
        # before and after, so that a machine that changes its speed shows
        before = bench_lines(args.binary, n_rows, args.device)
        shape = ["--rows", str(n_rows), "--rounds", str(rounds)]
        torch = run_child(python, "products", shape)
        rates = torch["rates"] | run_child(python, "products", shape, {"ONEDNN_MAX_CPU_ISA": "AVX2"})["rates"]
        after = bench_lines(args.binary, n_rows, args.device)
        print(f"\n{n_rows} × {n_rows} × {N_COLS}, torch {torch['torch']} on {torch['threads']} threads")
        peers = list(rates)
        print(f"{'GFLOP/s':38}{'best':>9}  ratio to " + ", ".join(peers))
        for peer in peers:
            print(f"{peer:38}{rates[peer]:9.0f}")
        for first, second in zip(before, after):
            for line, again in zip(first["lines"], second["lines"]):
                work = 2 * n_rows * n_rows * N_COLS
                best = max(work / one["timing"]["min_s"] / 1e9 for one in (line, again))
                ratios = ", ".join(f"{best / rates[peer]:.2f}" for peer in peers)
                name = f"cognate {first['tier']} {line['dtype']}, with partners"
                print(f"{name:38}{best:9.0f}  {ratios}   (error {line['error']:.0e})")


def compare_files(args, python):
    models = ["--models", *args.models]
    n_bytes = sum(os.path.getsize(file) for model in args.models for file in safetensors_files(model))
    command = [args.binary, "compare", *args.models, "--effort", "full", "--only", "plain", "--backend", "cpu"]
    command += ["--format", "json", "--no-progress"]
    ours, reads, stage = [], [], []
    for _ in range(args.rounds):
        reads.append(run_child(python, "read", [*models, "--rounds", "1"])["seconds"])
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True)
        ours.append(time.perf_counter() - start)
        if done.returncode not in (0, 4):
            sys.exit(f"cognate compare: exit {done.returncode}: {done.stderr.strip()[-400:]}")
        stage.append(json.loads(done.stdout)["throughput"]["seconds"])
    print(f"\n{n_bytes / 1e9:.2f} GB of two models, page cache as it is, best of {args.rounds}")
    print(f"{'way':44}{'seconds':>9}{'GB/s':>8}   times as long")
    best = min(ours)
    row = lambda way, seconds: print(f"{way:44}{seconds:9.3f}{n_bytes / seconds / 1e9:8.2f}{seconds / best:12.2f}")
    row("cognate compare --effort full --only plain", best)
    row("  its work without the start of the process", min(stage))
    row("reading both with as many threads, dropped", min(reads))
    for way in ("torch f32", "torch bf16", "numpy f32"):
        row(f"{way}, tensor by tensor", run_child(python, way, models)["seconds"])
    print(f"share of reading: {min(reads) / best:.2f} of the best read, process start included")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--models", nargs=2, metavar=("A", "B"))
    parser.add_argument("--rows", nargs="*", type=int, default=[2048])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu", help="device of `cognate bench` (default cpu)")
    parser.add_argument("--python", help="an interpreter with torch, numpy and safetensors")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args)
        return
    python = args.python or own_interpreter()
    if args.rows:
        compare_products(args, python)
    if args.models:
        compare_files(args, python)


if __name__ == "__main__":
    main()
