"""Writes metrics.json: random scores and maps, and what scikit-learn and scipy say about them.

    python make.py > metrics.json        # scikit-learn 1.9, scipy 1.17, numpy 2.4

AU-PRO has no implementation in scikit-learn; here it is the definition written down as it reads: one threshold after the other,
each region's overlap counted by itself.
"""

import json
import sys

import numpy as np
from scipy import ndimage
from sklearn.metrics import jaccard_score, precision_recall_curve, roc_auc_score


def f1_max(truth: np.ndarray, scores: np.ndarray) -> float:
    precision, recall, _ = precision_recall_curve(truth, scores)
    return float(np.max(2 * precision * recall / np.maximum(precision + recall, 1e-300)))


def au_pro(masks: np.ndarray, maps: np.ndarray, limit: float) -> float:
    regions = []
    for i, mask in enumerate(masks):
        labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
        regions += [(i, labels == r) for r in range(1, count + 1)]
    x, y = [0.0], [0.0]
    for threshold in np.unique(maps)[::-1]:
        marked = maps >= threshold
        x.append(float(marked[~masks].mean()))
        y.append(float(np.mean([marked[i][region].mean() for i, region in regions])))
    x, y = np.array(x), np.array(y)
    at_limit = np.interp(limit, x, y)
    inside = x < limit
    x, y = np.append(x[inside], limit), np.append(y[inside], at_limit)
    return float(np.trapezoid(y, x) / limit)


def image_case(rng: np.random.Generator, count: int, steps: int) -> dict:
    truth = rng.random(count) < 0.4
    truth[:2] = True, False
    # Multiples of 1/steps: exact in f32 and JSON, with ties where steps is small.
    scores = np.round((rng.random(count) + 0.3 * truth) * steps) / steps
    return {
        "scores": scores.tolist(),
        "truth": truth.astype(int).tolist(),
        "auroc": float(roc_auc_score(truth, scores)),
        "f1_max": f1_max(truth, scores),
    }


def pixel_case(rng: np.random.Generator, count: int, side: int, steps: int) -> dict:
    masks = ndimage.gaussian_filter(rng.random((count, side, side)), (0, 1.5, 1.5)) > 0.56
    masks[0] = False
    maps = np.round((ndimage.gaussian_filter(rng.random((count, side, side)), (0, 1, 1)) + 0.15 * masks) * steps) / steps
    threshold = float(np.median(maps)) + 0.1
    return {
        "side": side,
        "threshold": threshold,
        "maps": [m.ravel().tolist() for m in maps],
        "masks": ["".join("01"[int(v)] for v in m.ravel()) for m in masks],
        "auroc": float(roc_auc_score(masks.ravel(), maps.ravel())),
        "f1_max": f1_max(masks.ravel(), maps.ravel()),
        "iou": float(jaccard_score(masks.ravel(), (maps > threshold).ravel())),
        "au_pro_30": au_pro(masks, maps, 0.3),
        "au_pro_05": au_pro(masks, maps, 0.05),
    }


rng = np.random.default_rng(0)
cases = {
    "image": [image_case(rng, count, steps) for count, steps in ((10, 4), (200, 16), (300, 4096))],
    "pixel": [pixel_case(rng, 4, 12, steps) for steps in (32, 1024)],
}
json.dump(cases, sys.stdout, separators=(",", ":"))
print()
