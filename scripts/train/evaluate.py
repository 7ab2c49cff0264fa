"""Judge a backbone by what it is for: anomaly detection on folders in MVTec layout.

    python evaluate.py --features edge-s.onnx DATA/mvtec_ad/bottle DATA/mvtec_ad/screw --seeds 0 1 2

The head is PatchCore (Roth et al. 2022) made light: 3x3 average pool of both taps, with `--whiten` each channel divided by its
deviation over the good images (for nets whose taps have no metric of their own, see metric.py), a random projection to
`--projection` numbers a scale, the deep tap upsampled and added, a k-center coreset of `--bank` patches, and the distance to the
nearest. The image score is the maximum of the map after a Gaussian of 4 px. Prints image AUROC, pixel AUROC (on every seventh pixel)
and AU-PRO (up to 30 % false positives, Bergmann et al. 2020), per cent. Images and masks are resized to `--size-px`.
"""

from __future__ import annotations

import argparse
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import ndimage
from sklearn.metrics import roc_auc_score
from torch import Tensor

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp"}
SMOOTH_PX = 4.0
CORESET_POOL = 50_000  # patches that the coreset chooses from; more changes nothing that the seeds do not


@dataclass
class Sample:
    """One test image: its path, and its mask where it has a defect."""

    image: Path
    mask: Path | None


def listed(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)


def read_category(root: Path) -> tuple[list[Path], list[Sample]]:
    """Training images and test samples; a defect without its mask is an error."""
    if not (root / "train/good").is_dir() or not (root / "test").is_dir():
        raise SystemExit(f"error: {root}: expected train/good and test (MVTec layout)")
    test = []
    for folder in sorted(p for p in (root / "test").iterdir() if p.is_dir()):
        for image in listed(folder):
            mask = None if folder.name == "good" else root / "ground_truth" / folder.name / f"{image.stem}_mask.png"
            if mask is not None and not mask.is_file():
                raise SystemExit(f"error: {image} has no mask; expected {mask}")
            test.append(Sample(image, mask))
    return listed(root / "train/good"), test


def read_image(path: Path, size_px: int) -> np.ndarray:
    """f32 [1,3,size,size] in 0..1."""
    picture = Image.open(path).convert("RGB").resize((size_px, size_px), Image.BILINEAR)
    return np.asarray(picture, np.float32).transpose(2, 0, 1)[None] / 255


def read_mask(path: Path | None, size_px: int) -> np.ndarray:
    if path is None:
        return np.zeros((size_px, size_px), bool)
    return np.asarray(Image.open(path).convert("L").resize((size_px, size_px), Image.NEAREST)) > 127


class Features:
    """A features ONNX: images to pooled taps."""

    def __init__(self, path: Path, size_px: int, threads: int):
        model = onnx.load(path)
        for axis in (2, 3):
            model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = size_px
        for output in model.graph.output:
            output.type.tensor_type.ClearField("shape")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # onnxruntime's u8 by s8 kernels saturate in 16 bits on x86 without VNNI: the result is not what the file says. Computing
        # QDQ as it is written, in f32, is exact on every machine, and what the engine's integer kernels give.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        self.size_px = size_px

    def taps(self, paths: list[Path]) -> list[Tensor]:
        """[N,C8,S/8,S/8] and [N,C16,S/16,S/16], each 3x3 average pooled."""
        with ThreadPoolExecutor(2) as pool:
            images = pool.map(lambda p: read_image(p, self.size_px), paths)
            rows = [self.session.run(["tap8", "tap16"], {"image": x}) for x in images]
        taps = [torch.from_numpy(np.concatenate(column)) for column in zip(*rows)]
        return [F.avg_pool2d(t, 3, 1, 1, count_include_pad=False) for t in taps]


class Embedding:
    """Whitening and random projection of each tap, summed at 1/8."""

    def __init__(self, good: list[Tensor], projection: int, whiten: bool, rng: torch.Generator):
        self.scale = [(t.std((0, 2, 3), keepdim=True) + 1e-6 if whiten else torch.ones(1)) for t in good]
        self.matrices = [torch.randn(projection, t.shape[1], 1, 1, generator=rng) / projection**0.5 for t in good]

    def __call__(self, taps: list[Tensor]) -> Tensor:
        """[N, projection, S/8, S/8]."""
        s8, s16 = (F.conv2d(t / s, m) for t, s, m in zip(taps, self.scale, self.matrices))
        return s8 + F.interpolate(s16, scale_factor=2, mode="bilinear", align_corners=False)


def patches(embedded: Tensor) -> Tensor:
    """[N,C,H,W] -> [N*H*W, C]."""
    return embedded.permute(0, 2, 3, 1).reshape(-1, embedded.shape[1])


def k_center(points: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """Greedy k-center: each next point is the one farthest from all chosen ones."""
    if len(points) > CORESET_POOL:
        points = points[torch.randperm(len(points), generator=rng)[:CORESET_POOL]]
    count = min(count, len(points))
    chosen = [int(torch.randint(len(points), (1,), generator=rng))]
    squares = points.square().sum(1)
    nearest = torch.full((len(points),), float("inf"))
    for _ in range(count - 1):
        last = points[chosen[-1]]
        nearest = torch.minimum(nearest, squares - 2 * (points @ last) + last.square().sum())
        chosen.append(int(nearest.argmax()))
    return points[chosen]


def score_maps(embedded: Tensor, bank: Tensor, size_px: int) -> np.ndarray:
    """Smoothed anomaly maps, f32 [N, size, size]."""
    n, _, h, w = embedded.shape
    squares = bank.square().sum(1)
    nearest = [(squares - 2 * (p @ bank.T)).min(1).values + p.square().sum(1) for p in patches(embedded).split(8192)]
    maps = torch.cat(nearest).clamp_min(0).sqrt().reshape(n, 1, h, w)
    maps = F.interpolate(maps, size=(size_px, size_px), mode="bilinear", align_corners=False)[:, 0].numpy()
    return np.stack([ndimage.gaussian_filter(m, SMOOTH_PX) for m in maps])


def au_pro(maps: np.ndarray, masks: np.ndarray, limit: float = 0.3, steps: int = 300) -> float:
    """Area under mean region overlap against false positive rate, up to `limit`, divided by `limit`."""
    regions = []
    for scores, mask in zip(maps, masks):
        labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
        regions += [np.sort(scores[labels == i]) for i in range(1, count + 1)]
    normal = np.sort(maps[~masks])
    rates = np.linspace(0, limit, steps)
    thresholds = normal[np.clip(((1 - rates) * len(normal)).astype(int), 0, len(normal) - 1)]
    overlap = np.mean([1 - np.searchsorted(r, thresholds, side="right") / len(r) for r in regions], axis=0)
    return float(np.trapezoid(overlap, rates) / limit)


def evaluate(features: Features, root: Path, args: argparse.Namespace) -> list[dict]:
    """One record a seed."""
    train, test = read_category(root)
    good, probes = features.taps(train), features.taps([s.image for s in test])
    masks = np.stack([read_mask(s.mask, features.size_px) for s in test])
    labels = np.array([s.mask is not None for s in test])
    records = []
    for seed in args.seeds:
        rng = torch.Generator().manual_seed(seed)
        embedding = Embedding(good, args.projection, args.whiten, rng)
        bank = k_center(patches(embedding(good)), args.bank, rng)
        maps = score_maps(embedding(probes), bank, features.size_px)
        records.append(
            dict(
                category=f"{root.parent.name}/{root.name}",
                seed=seed,
                image_auroc=100 * float(roc_auc_score(labels, maps.max((1, 2)))),
                pixel_auroc=100 * float(roc_auc_score(masks.ravel()[::7], maps.ravel()[::7])),
                au_pro_30=100 * au_pro(maps, masks),
            )
        )
    return records


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("categories", type=Path, nargs="+", help="folders with train/good, test, ground_truth")
    parser.add_argument("--features", type=Path, required=True, help="an ONNX with outputs tap8 and tap16")
    parser.add_argument("--size-px", type=int, default=256)
    parser.add_argument("--bank", type=int, default=1024)
    parser.add_argument("--projection", type=int, default=64)
    parser.add_argument("--whiten", action="store_true", help="divide channels by their deviation over the good images")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="one object a category and seed")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    features = Features(args.features, args.size_px, args.threads)
    for root in args.categories:
        records = evaluate(features, root, args)
        if args.json:
            print("\n".join(json.dumps(r) for r in records), flush=True)
            continue
        keys = ("image_auroc", "pixel_auroc", "au_pro_30")
        mean = " / ".join(f"{np.mean([r[k] for r in records]):.1f}" for k in keys)
        spread = " / ".join(f"{np.std([r[k] for r in records]):.1f}" for k in keys)
        note = f"  (seeds {args.seeds}, deviation {spread})" if len(args.seeds) > 1 else ""
        print(f"{records[0]['category']}: {mean}{note}", flush=True)


if __name__ == "__main__":
    main()
