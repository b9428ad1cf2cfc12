"""How long is it from the start of the process to the printed verdict? The pair of the mini zoo, `quick`, on the CPU.

usage: python scripts/start_time.py target/release/cognate [--rounds 20]
Prints median and best of the wall times, warm, in milliseconds.
"""

import argparse
import statistics
import subprocess
import time
from pathlib import Path

ZOO = Path(__file__).resolve().parent.parent / "zoo"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--rounds", type=int, default=20)
    args = parser.parse_args()
    command = [args.binary, "compare", ZOO / "base", ZOO / "finetune", "--effort", "quick", "--backend", "cpu", "-q"]
    milliseconds = []
    for _ in range(args.rounds + 1):
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        milliseconds.append(1e3 * (time.perf_counter() - start))
    # the first run warms the page cache
    del milliseconds[0]
    print(f"{done.stdout.strip()}: median {statistics.median(milliseconds):.1f} ms, best {min(milliseconds):.1f} ms of {args.rounds}")


if __name__ == "__main__":
    main()
