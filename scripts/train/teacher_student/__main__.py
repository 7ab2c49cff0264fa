"""Train a teacher-student model on the good parts of one category, and write it as ONNX.

    python -m teacher_student DATA/mvtec_ad/bottle --backbone ../../models/zoo/edge-s.onnx --run runs/bottle --out bottle.onnx

Reads `train/good` only (MVTec layout); a fifth of it is held out, for stopping early and for the threshold, and listed in
`RUN/held-out.txt`. Runs on the CPU in minutes. An interrupted run goes on with `--resume`. Writes `RUN/last.pt`, `RUN/log.jsonl` and
`RUN/loss.png` beside the model; nothing is written where onnxruntime and torch disagree beyond 1e-4.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from pathlib import Path

# Before torch loads: threads that spin at a barrier cost more than they win on a machine that others use too.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

from export import write_model
from read_onnx import read_folded

from . import graph
from .data import as_floats
from .model import SIZES, cost, fold_student
from .train import Training


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("category", type=Path, help="a folder with train/good")
    parser.add_argument("--backbone", type=Path, required=True, help="a float backbone of the zoo: the teacher")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True, help="folder for the checkpoint, the log and the plot")
    parser.add_argument("--student", choices=sorted(SIZES), default="s")
    parser.add_argument("--size-px", type=int, default=256, help="a multiple of 16")
    parser.add_argument("--steps", type=int, default=400, help="at most; the run stops early when held-out parts do not gain")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=3e-3, help="peak learning rate")
    parser.add_argument("--hard", type=float, default=0.9, help="loss over this quantile of the squared errors counts in full")
    parser.add_argument("--penalty", type=float, default=0.1, help="weight of the penalty on what is no good part; 0 turns it off")
    parser.add_argument("--patience", type=int, default=4, help="checks without gain before the run stops")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--resume", action="store_true", help="go on from RUN/last.pt")
    args = parser.parse_args()
    if args.size_px % 16 or args.size_px < 64:
        parser.error(f"--size-px {args.size_px}: expected a multiple of 16, at least 64")
    if not 0 <= args.hard < 1:
        parser.error(f"--hard {args.hard}: expected 0 to under 1")
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch sees no CUDA device here; use --device cpu (minutes), or install a CUDA build of torch")
    if args.resume and not (args.run / "last.pt").is_file():
        parser.error(f"--resume: {args.run / 'last.pt'} does not exist")
    return args


def contract(args: argparse.Namespace, training: Training, backbone: str) -> dict[str, str]:
    """What models/src/contract.rs reads; threshold, calibration and golden check are added by jidoka_models::import."""
    provenance = dict(
        program="jidoka scripts/train/teacher_student",
        backbone=backbone,
        backbone_sha256=hashlib.sha256(args.backbone.read_bytes()).hexdigest(),
        images=len(training.trained_on),
        images_sha256=hashlib.sha256(training.line.pictures.numpy().tobytes()).hexdigest(),
        seed=args.seed,
        bank=0,
    )
    # data.py resizes with Pillow's bilinear filter, which is a triangle as wide as the reduction.
    prepared = dict(width=args.size_px, height=args.size_px, channels=3, fit="stretch", filter="triangle")
    return {
        "jidoka.version": "1",
        "jidoka.kind": "inspection",
        "jidoka.method": "imported",
        "jidoka.input": json.dumps(prepared),
        "jidoka.provenance": json.dumps(provenance),
    }


def main() -> int:
    args = arguments()
    torch.set_num_threads(args.threads)
    args.run.mkdir(parents=True, exist_ok=True)
    folded, about = read_folded(args.backbone)
    training = Training(folded, args)
    training.run()
    student, standard, residual = training.result()
    parts = fold_student(student, standard)
    parameters, student_macs = cost(parts, args.size_px)
    macs = folded.macs(args.size_px) + student_macs
    metadata = contract(args, training, about["jidoka.backbone"]) | {
        "jidoka.trained": f"student {args.student}, {training.step} steps of {args.batch}, step {training.best_at} kept",
        "jidoka.parameters": str(folded.parameters() + parameters),
        f"jidoka.macs_at_{args.size_px}": str(macs),
    }
    model = graph.to_onnx(folded, parts, residual, args.size_px, metadata)
    probe = as_floats(torch.from_numpy(training.held_out_pictures[:1]))
    error = graph.disagreement(model, training.teacher.cpu(), student, standard, residual, probe)
    if not error < graph.TOLERANCE:
        print(f"error: onnxruntime and torch differ by {error:.1e} (limit {graph.TOLERANCE:.0e}); nothing written", file=sys.stderr)
        return 1
    digest = write_model(model, args.out)
    print(
        f"{args.out}: student {parameters} parameters, {macs / 1e6:.1f} MMAC in all at {args.size_px} px, "
        f"onnxruntime agrees to {error:.1e}, sha256 {digest}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
