"""Two models that memory does not hold: what does a comparison read, how long does it take, and how much memory?

usage: python scripts/big_pair.py BINARY A B [--rounds N] [--only quick|plain|standard ...]
e.g.   python scripts/make_big.py big --size 7b --models a b
       python scripts/big_pair.py target/release/cognate big/a big/b

Prints, all of one run: the disk's speed over both models in turns with the comparisons (plain reads of 1 MiB through the cache,
4 threads, bytes thrown away, of what the cache was asked to forget), then
  quick     cold (the cache forgets both models before) and warm (its own bytes read just before)
  plain     --effort full --only plain, cold, against plain reading: share of its rate
  standard  cold
each with wall seconds of the whole process, bytes asked, share of the models' bytes, share that came past the system's cache, and
peak resident memory. Cold is what posix_fadvise(DONTNEED) leaves: a disk behind a hypervisor may still have its own cache.

needs: Linux, Python alone
"""

import argparse
import concurrent.futures
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WAYS = {
    "quick": ["--effort", "quick"],
    "plain": ["--effort", "full", "--only", "plain"],
    "standard": ["--effort", "standard"],
}
PIECE_BYTES = 1 << 20


def forget(files):
    for file in files:
        fd = os.open(file, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def read_plainly(files, most_bytes):
    """Seconds and bytes of reading the files from their beginning, at most so many bytes."""
    pieces, n_bytes = [], 0
    for file in files:
        for offset in range(0, file.stat().st_size, PIECE_BYTES):
            if n_bytes >= most_bytes:
                break
            pieces.append((file, offset))
            n_bytes += min(PIECE_BYTES, file.stat().st_size - offset)
    opened = {file: os.open(file, os.O_RDONLY) for file in files}

    def worker(k):
        buffer = bytearray(PIECE_BYTES)
        for file, offset in pieces[k::4]:
            os.preadv(opened[file], [buffer], offset)

    start_s = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(worker, range(4)))
    elapsed_s = time.perf_counter() - start_s
    for fd in opened.values():
        os.close(fd)
    return elapsed_s, n_bytes


def run(args, way):
    command = [args.binary, "compare", args.left, args.right, *WAYS[way], "--backend", "cpu", "--format", "json", "--no-progress"]
    with tempfile.TemporaryFile() as out:
        start_s = time.perf_counter()
        process = subprocess.Popen(command, stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
        elapsed_s = time.perf_counter() - start_s
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        if process.returncode not in (0, 4):
            sys.exit(f"exit {process.returncode}: {' '.join(command)}")
        return elapsed_s, usage, json.load(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("left")
    parser.add_argument("right")
    parser.add_argument("--rounds", type=int, default=3, help="times that quick and plain are run (default 3)")
    parser.add_argument("--only", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--disk-gb", type=float, default=6, help="GB of both models that plain reading reads (default 6)")
    args = parser.parse_args()
    files = [file for model in (args.left, args.right) for file in sorted(Path(model).glob("*.safetensors"))]
    both_bytes = sum(file.stat().st_size for file in files)
    # of both models alike
    by_turns = [file for pair in zip(files[: len(files) // 2], files[len(files) // 2 :]) for file in pair]
    print(f"{both_bytes / 1e9:.2f} GB in {len(files)} files")
    print(f"{'way':18}{'seconds':>9}{'GB/s':>7}{'asked':>10}{'share':>9}{'direct':>8}{'CPU s':>7}{'peak MB':>9}  verdict")

    def disk():
        forget(files)
        seconds, n_bytes = read_plainly(by_turns, args.disk_gb * 1e9)
        forget(files)
        print(f"{'reading, cold':18}{seconds:9.3f}{n_bytes / seconds / 1e9:7.2f}{n_bytes / 1e6:8.0f}MB", flush=True)
        return n_bytes / seconds

    def show(way, result):
        seconds, usage, document = result
        throughput = document["throughput"]
        n_bytes = throughput["bytes_read"]
        direct = throughput["past_cache_bytes_read"] / max(1, n_bytes)
        print(
            f"{way:18}{seconds:9.3f}{n_bytes / seconds / 1e9:7.2f}{n_bytes / 1e6:8.0f}MB{100 * n_bytes / both_bytes:8.2f}%"
            f"{100 * direct:7.0f}%{usage.ru_utime + usage.ru_stime:7.2f}{usage.ru_maxrss / 1024 * 1.048576:9.0f}"
            f"  {document['weights']['verdict']}",
            flush=True,
        )
        return n_bytes / seconds

    for way in args.only:
        for _ in range(1 if way == "standard" else args.rounds):
            rate = disk()
            own = show(f"{way}, cold", run(args, way))
            if way == "plain":
                print(f"{'':18}{own / rate:.2f} of plain reading in the same turn")
            if way == "quick":
                show("quick, warm", run(args, way))


if __name__ == "__main__":
    main()
