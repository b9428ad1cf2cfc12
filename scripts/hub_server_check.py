"""Is the Hub server of the tests faithful? The Hub's own client is used against it, and then beside `cognate`.

usage: python scripts/hub_server_check.py TARGET_DIR
e.g.   cargo build --example hub_server --bin cognate && python scripts/hub_server_check.py target/debug

The client lists and downloads a model, and meets a gated one, a missing one, a missing revision and a missing file, each
with the error class that the real Hub gives it. Then `cognate inspect` reads a model by ranges, and the client must find in
the cache what was left there, find no fault in it, and find no weights. needs: pip install huggingface_hub
"""

import hashlib
import json
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

CONFIG = json.dumps({"model_type": "llama", "hidden_size": 8})
TOKENIZER = json.dumps({"model": {"vocab": {"a": 0, "b": 1}}})


def weights():
    header = json.dumps({"w": {"dtype": "F32", "shape": [8, 8], "data_offsets": [0, 256]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(range(256))


def write_models(folder):
    for name in ("model", "gated"):
        model = folder / "org" / name
        (model / "sub").mkdir(parents=True)
        (model / "config.json").write_text(CONFIG)
        (model / "tokenizer.json").write_text(TOKENIZER)
        (model / "model.safetensors").write_bytes(weights())
        (model / "sub" / "config.json").write_text("{}")


def check_client(endpoint, cache):
    """The official client sees a Hub."""
    from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    info = HfApi(endpoint=endpoint).model_info("org/model", files_metadata=True)
    listed = {sibling.rfilename: sibling for sibling in info.siblings}
    assert set(listed) == {"config.json", "tokenizer.json", "model.safetensors", "sub/config.json"}, listed
    assert listed["model.safetensors"].lfs.sha256 == hashlib.sha256(weights()).hexdigest()
    assert listed["config.json"].size == len(CONFIG)

    metadata = get_hf_file_metadata(hf_hub_url("org/model", "model.safetensors", endpoint=endpoint))
    assert (metadata.commit_hash, metadata.size) == (info.sha, len(weights())), metadata
    assert metadata.etag == hashlib.sha256(weights()).hexdigest(), metadata
    downloaded = Path(hf_hub_download("org/model", "model.safetensors", endpoint=endpoint, cache_dir=cache))
    assert downloaded.read_bytes() == weights()
    for name, text in [("config.json", CONFIG), ("sub/config.json", "{}")]:
        downloaded = Path(hf_hub_download("org/model", name, endpoint=endpoint, cache_dir=cache, revision=info.sha))
        assert downloaded.read_text() == text, name
    assert hf_hub_download("org/gated", "config.json", endpoint=endpoint, cache_dir=cache, token="hf_secretsecretsecret")

    for error, arguments in [
        (RepositoryNotFoundError, {"repo_id": "org/none", "filename": "config.json"}),
        (RevisionNotFoundError, {"repo_id": "org/model", "filename": "config.json", "revision": "none"}),
        (EntryNotFoundError, {"repo_id": "org/model", "filename": "none.json"}),
        (GatedRepoError, {"repo_id": "org/gated", "filename": "model.safetensors"}),
    ]:
        try:
            get_hf_file_metadata(hf_hub_url(**arguments, endpoint=endpoint), token=False)
        except error:
            continue
        raise AssertionError(f"{arguments}: no {error.__name__}")


def check_cache(target, endpoint, cache):
    """What `cognate` leaves in the cache is what the client would have left."""
    from huggingface_hub import hf_hub_download, scan_cache_dir, try_to_load_from_cache

    environment = os.environ | {"HF_ENDPOINT": endpoint, "HF_HUB_CACHE": str(cache)}
    inspected = subprocess.run([target / "cognate", "inspect", "org/model"], env=environment, capture_output=True, text=True)
    assert inspected.returncode == 0, inspected
    for name, text in [("config.json", CONFIG), ("tokenizer.json", TOKENIZER)]:
        found = try_to_load_from_cache("org/model", name, cache_dir=cache)
        assert isinstance(found, str) and Path(found).read_text() == text, (name, found)
        assert hf_hub_download("org/model", name, cache_dir=cache, local_files_only=True) == found
    assert try_to_load_from_cache("org/model", "model.safetensors", cache_dir=cache) is None
    report = scan_cache_dir(cache)
    assert not report.warnings and [repo.repo_id for repo in report.repos] == ["org/model"], report

    # and the other way round: what the client downloaded is read without the Hub
    hf_hub_download("org/model", "model.safetensors", endpoint=endpoint, cache_dir=cache)
    offline = environment | {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:1"}
    inspected = subprocess.run([target / "cognate", "inspect", "org/model"], env=offline, capture_output=True, text=True)
    assert inspected.returncode == 0, inspected


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    target = Path(sys.argv[1])
    for name in ("HF_HUB_OFFLINE", "HF_TOKEN", "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory() as temporary:
        os.environ |= {"HF_HOME": temporary, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        folder = Path(temporary)
        write_models(folder / "models")
        server = subprocess.Popen(
            [target / "examples" / "hub_server", folder / "models"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            endpoint, _ = server.stdout.readline().split()
            check_client(endpoint, folder / "by-client")
            check_cache(target, endpoint, folder / "by-cognate")
        finally:
            server.stdin.close()
            server.wait()
    import huggingface_hub

    print(f"the Hub's client {huggingface_hub.__version__} takes the server for the Hub, and its cache for its own")


if __name__ == "__main__":
    main()
