"""What does `cognate compare --effort quick` ask of a server for two models of 13.5 GB?

usage: python scripts/remote_quick.py TARGET_DIR [--effort quick] [--delay-ms 0]
e.g.   cargo build --release --example hub_server --bin cognate && python scripts/remote_quick.py target/release

Starts the Hub server of the tests with three models of Llama-2-7B's shape whose bytes are made when they are read (nothing
lies on the disk), compares two pairs from an empty cache, and prints requests, bytes and seconds as the server and the
clock saw them. needs: Python alone
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODEL_BYTES = 13_476_831_232
MAX_SHARE, MAX_REQUESTS = 0.02, 60


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path, help="folder with the program and examples/hub_server")
    parser.add_argument("--effort", default="quick")
    args = parser.parse_args()
    server = subprocess.Popen(
        [args.target / "examples" / "hub_server", "--made"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    endpoint, _ = server.stdout.readline().split()
    is_within = True
    for left, right, expected in [("org/a", "org/b", "derived"), ("org/a", "org/c", "no-evidence")]:
        with tempfile.TemporaryDirectory() as cache:
            environment = os.environ | {"HF_ENDPOINT": endpoint, "HF_HUB_CACHE": cache, "HF_HUB_OFFLINE": "0"}
            command = [args.target / "cognate", "compare", left, right, "--effort", args.effort, "--format", "json", "--backend", "cpu"]
            start_s = time.perf_counter()
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            elapsed_s = time.perf_counter() - start_s
        if done.returncode != 0:
            sys.exit(f"exit {done.returncode}\n{done.stderr}")
        server.stdin.write("\n")
        server.stdin.flush()
        served = json.loads(server.stdout.readline())
        verdict = json.loads(done.stdout)["weights"]["verdict"]
        share = served["bytes"] / (2 * MODEL_BYTES)
        is_within &= share <= MAX_SHARE and served["requests"] <= MAX_REQUESTS
        print(
            f"{left} ~ {right}: {verdict} (expected {expected}), {served['requests']} requests "
            f"({served['hub']} of the Hub, {served['data']} of the data host), {served['bytes'] / 1e6:.1f} MB = "
            f"{100 * share:.2f} % of {2 * MODEL_BYTES / 1e9:.1f} GB, {elapsed_s:.2f} s"
        )
    server.stdin.close()
    server.wait()
    print(f"within {MAX_REQUESTS} requests and {100 * MAX_SHARE:.0f} % of the bytes: {'yes' if is_within else 'no'}")


if __name__ == "__main__":
    main()
