"""Are models in an object store read as local ones are? moto's S3 server holds them, boto3 puts them there.

usage: python scripts/s3_check.py BINARY A B
e.g.   cargo build --features s3 --bin cognate && python scripts/s3_check.py target/debug/cognate zoo/base zoo/finetune
needs: pip install 'moto[server]' boto3
"""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

BUCKET = "models"


def start_server():
    """(process, address); ready when it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return server, f"http://127.0.0.1:{port}"
        if server.poll() is not None:
            break
        time.sleep(0.1)
    sys.exit("moto's server does not start")


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    binary, models = sys.argv[1], {"a": Path(sys.argv[2]), "b": Path(sys.argv[3])}
    import boto3

    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "COGNATE_OFFLINE", "HF_HUB_OFFLINE"):
        os.environ.pop(name, None)
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}
    server, address = start_server()
    os.environ["AWS_ENDPOINT_URL"] = address
    try:
        client = boto3.client("s3", endpoint_url=address)
        client.create_bucket(Bucket=BUCKET)
        for name, folder in models.items():
            for file in folder.iterdir():
                client.upload_file(str(file), BUCKET, f"zoo/{name}/{file.name}")

        def run(*arguments):
            return subprocess.run([binary, *arguments, "--format", "json", "--backend", "cpu"], capture_output=True, text=True)

        def findings(left, right):
            done = run("compare", left, right)
            assert done.returncode == 0, done
            document = json.loads(done.stdout)
            return {key: document[key] for key in ("architecture", "weights", "layers")}

        local = findings(*map(str, models.values()))
        assert findings(f"s3://{BUCKET}/zoo/a", f"s3://{BUCKET}/zoo/b/") == local
        weights = next(file.name for file in models["a"].iterdir() if file.name.endswith(".safetensors"))
        assert findings(f"s3://{BUCKET}/zoo/a/{weights}", str(models["b"])) == local
        for reference, code in [
            (f"s3://{BUCKET}/none", "NET-MISSING"),
            ("s3://no-such-bucket/a", "NET-STATUS"),
            (f"s3://{BUCKET}/zoo/a/none.safetensors", "NET-MISSING"),
        ]:
            done = run("compare", reference, str(models["b"]))
            error = json.loads(done.stdout)["error"]
            assert (done.returncode, error["code"]) == (3, code), (reference, done)
    finally:
        server.terminate()
        server.wait()
    print(f"s3:// gives the findings of the local copies ({local['weights']['verdict']})")


if __name__ == "__main__":
    main()
