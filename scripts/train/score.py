"""Judge a whole model of the common contract on a folder in MVTec layout.

    python score.py --model bottle.onnx DATA/mvtec_ad/bottle

Prints image AUROC (by `pred_score`), pixel AUROC (on every seventh pixel) and AU-PRO (up to 30 % false positives) of `anomaly_map`,
per cent. Images and masks are resized to the model's size.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from sklearn.metrics import roc_auc_score

from evaluate import Sample, au_pro, read_category, read_image, read_mask


@dataclass
class Quality:
    """Per cent."""

    image_auroc: float
    pixel_auroc: float
    au_pro_30: float

    def __str__(self) -> str:
        return f"{self.image_auroc:.1f} / {self.pixel_auroc:.1f} / {self.au_pro_30:.1f}"


def open_session(model: onnx.ModelProto, threads: int = 2) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # QDQ as it is written: see evaluate.py.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def image_size(model: onnx.ModelProto) -> int:
    """Side of the square f32 [1,3,S,S] input in pixels."""
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    if len(shape) != 4 or shape[1] != 3 or shape[2] != shape[3] or shape[2] < 1:
        raise SystemExit(f"error: the model's input is {shape}, expected [1,3,S,S]")
    return shape[2]


def judge(model: onnx.ModelProto, category: Path, test: list[Sample] | None = None) -> Quality:
    """Scores every test image."""
    names = [o.name for o in model.graph.output]
    missing = {"anomaly_map", "pred_score"} - set(names)
    if missing:
        raise SystemExit(f"error: the model has no output {', '.join(sorted(missing))}; it has {', '.join(names)}")
    session, size_px = open_session(model), image_size(model)
    test = test if test is not None else read_category(category)[1]
    maps, scores = [], []
    for sample in test:
        image = read_image(sample.image, size_px)
        grid, score = session.run(["anomaly_map", "pred_score"], {session.get_inputs()[0].name: image})
        maps.append(grid.reshape(grid.shape[-2:]))
        scores.append(float(score.ravel()[0]))
    maps, masks = np.stack(maps), np.stack([read_mask(s.mask, size_px) for s in test])
    labels = np.array([s.mask is not None for s in test])
    return Quality(
        100 * float(roc_auc_score(labels, scores)),
        100 * float(roc_auc_score(masks.ravel()[::7], maps.ravel()[::7])),
        100 * au_pro(maps, masks),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("category", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    quality = judge(onnx.load(args.model), args.category)
    name = f"{args.category.parent.name}/{args.category.name}"
    print(json.dumps(dict(category=name) | asdict(quality)) if args.json else f"{name}: {quality}")


if __name__ == "__main__":
    main()
