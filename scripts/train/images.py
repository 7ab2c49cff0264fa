"""Gather training images once into one array, and cut augmented batches from it.

    python images.py --images DIR [--images DIR] [--sheets DIR] --procedural 3000 --out cache.npy

`--images` takes folders of photographs (searched recursively; each gives one random square crop). `--sheets` takes contact sheets
of seamless textures (cells of 128 px, laid out as `SHEET` says; each cell is tiled 2x2). The array is u8 [N,256,256,3], shuffled by
the seed, and may be memory-mapped; `cache.json` beside it says what went in.
"""

from __future__ import annotations

import argparse
import json
import random
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

import procedural

SIZE = 256
GROUP = 32  # images that share their crop size, flips and pasted patch
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}


@dataclass(frozen=True)
class Sheet:
    """A contact sheet's layout, in pixels."""

    cell: int = 128
    margin: int = 16
    step_x: int = 144
    step_y: int = 176


SHEET = Sheet()


def photograph(path: Path) -> list[np.ndarray]:
    """One square crop (between 60 % and all of the shorter side), or nothing where the file is no readable image."""
    rng = random.Random(path.name)
    try:
        picture = Image.open(path).convert("RGB")
    except OSError as error:
        print(f"skipped {path}: {error}")
        return []
    side = int(min(picture.size) * rng.uniform(0.6, 1)) if rng.random() < 0.5 else min(picture.size)
    x, y = rng.randint(0, picture.width - side), rng.randint(0, picture.height - side)
    return [np.asarray(picture.resize((SIZE, SIZE), Image.BICUBIC, (x, y, x + side, y + side)))]


def sheet_cells(path: Path) -> list[np.ndarray]:
    """Every cell of a contact sheet, tiled 2x2; blank (white) cells are left out."""
    pixels = np.asarray(Image.open(path).convert("RGB"))
    cells = []
    for y in range(SHEET.margin, pixels.shape[0] - SHEET.cell + 1, SHEET.step_y):
        for x in range(SHEET.margin, pixels.shape[1] - SHEET.cell + 1, SHEET.step_x):
            cell = pixels[y : y + SHEET.cell, x : x + SHEET.cell]
            if cell.min() < 250:
                cells.append(np.tile(cell, (2, 2, 1)))
    return cells


def gather(folders: list[Path], sheets: list[Path], procedural_count: int, seed: int) -> tuple[np.ndarray, dict[str, int]]:
    """All sources as one shuffled array, and how many images came from each."""
    parts: list[np.ndarray] = []
    counts: dict[str, int] = {}
    with ProcessPoolExecutor() as pool:
        for reader, roots in ((photograph, folders), (sheet_cells, sheets)):
            for root in roots:
                files = sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES)
                if not files:
                    raise SystemExit(f"error: {root}: no images found ({', '.join(sorted(SUFFIXES))})")
                found = [x for group in pool.map(reader, files, chunksize=16) for x in group]
                counts[root.name] = len(found)
                parts += found
        parts += list(pool.map(procedural.image, range(seed, seed + procedural_count), chunksize=16))
        counts["procedural"] = procedural_count
    array = np.stack(parts)
    return array[np.random.default_rng(seed).permutation(len(array))], counts


class Batches:
    """Augmented batches from a cache: what a station's light, lens and pose do, and defects pasted in."""

    def __init__(self, cache: np.ndarray, seed: int, device: torch.device = torch.device("cpu")):
        self.device = device
        self.cache = torch.from_numpy(cache).to(device)
        self.rng = np.random.default_rng(seed)
        self.order = np.empty(0, np.int64)

    def _next(self, count: int) -> np.ndarray:
        if len(self.order) < count:
            self.order = np.concatenate([self.order, self.rng.permutation(len(self.cache))])
        taken, self.order = self.order[:count], self.order[count:]
        return taken

    def draw(self, count: int, size_px: int) -> Tensor:
        """f32 [count,3,size,size] in 0..1, channels last, on the cache's device; `GROUP` images at a time are treated alike."""
        groups = [self._group(min(GROUP, count - start), size_px) for start in range(0, count, GROUP)]
        return torch.cat(groups).contiguous(memory_format=torch.channels_last)

    def _group(self, count: int, size_px: int) -> Tensor:
        """One crop size for all, one position an image."""
        rng = self.rng
        side = SIZE if size_px >= SIZE else int(rng.integers(int(size_px * 0.8), SIZE + 1))
        offsets = torch.from_numpy(rng.integers(0, SIZE - side + 1, (2, count, 1))).to(self.device)
        rows, columns = offsets + torch.arange(side, device=self.device)
        images = torch.from_numpy(self._next(count)).to(self.device)
        crops = self.cache[images[:, None, None], rows[:, :, None], columns[:, None, :]]
        x = crops.permute(0, 3, 1, 2).float().div_(255)
        if side != size_px:
            x = F.interpolate(x, size=(size_px, size_px), mode="bilinear", align_corners=False)
        return self._augment(x).clamp_(0, 1)

    def _per_image(self, count: int, low: float, high: float) -> Tensor:
        return torch.from_numpy(self.rng.uniform(low, high, (count, 1, 1, 1)).astype(np.float32)).to(self.device)

    def _augment(self, x: Tensor) -> Tensor:
        rng, count, size = self.rng, x.shape[0], x.shape[2]
        x = x.flip(3) if rng.random() < 0.5 else x
        x = x.flip(2) if rng.random() < 0.3 else x
        x = x.transpose(2, 3) if rng.random() < 0.3 else x
        grey = x.mean(1, keepdim=True)
        saturation = self._per_image(count, 0, 1.4) * (self._per_image(count, 0, 1) > 0.25)
        x = grey + (x - grey) * saturation
        mean = x.mean((1, 2, 3), keepdim=True)
        x = (x - mean) * self._per_image(count, 0.5, 1.4) + mean + self._per_image(count, -0.18, 0.18)
        if rng.random() < 0.4:  # a patch of the next image: the discontinuities that a defect makes
            h, w = rng.integers(4, size // 3, 2)
            y, z, sy, sz = (int(rng.integers(0, size - n)) for n in (h, w, h, w))
            patched = x.clone()
            patched[:, :, y : y + h, z : z + w] = x.roll(1, 0)[:, :, sy : sy + h, sz : sz + w]
            x = patched
        if rng.random() < 0.3:
            seed = int(rng.integers(2**62))
            noise = torch.randn(x.shape, generator=torch.Generator(self.device).manual_seed(seed), device=self.device)
            x = x + noise * float(rng.uniform(0, 0.03))
        return x


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, action="append", default=[], metavar="DIR")
    parser.add_argument("--sheets", type=Path, action="append", default=[], metavar="DIR")
    parser.add_argument("--procedural", type=int, default=3000, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    array, counts = gather(args.images, args.sheets, args.procedural, args.seed)
    np.save(args.out, array)
    args.out.with_suffix(".json").write_text(json.dumps(counts))
    print(f"{args.out}: {len(array)} images, {array.nbytes / 1e9:.1f} GB, {counts}")


if __name__ == "__main__":
    main()
