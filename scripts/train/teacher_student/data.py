"""Good parts from a folder in MVTec layout, and what a line does to them: light, small pose, noise.

Also what is no good part: flaws drawn on one, and procedural pictures, which the penalty of training uses.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

import procedural

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp"}
LEAST = 8


def good_images(root: Path, size_px: int) -> tuple[np.ndarray, list[Path]]:
    """u8 [N,S,S,3] of `root/train/good` and the files; other sizes are resized, unreadable files are named and left out."""
    folder = root / "train/good"
    if not folder.is_dir():
        raise SystemExit(f"error: {root}: no folder train/good\n  expected: MVTec layout, good parts in {folder}")
    files, pictures, sizes = [], [], set()
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES):
        try:
            picture = Image.open(path)
            if picture.mode.startswith("I"):
                raise OSError(f"16 bits a pixel ({picture.mode}); convert it to 8")
            picture = picture.convert("RGB")
        except OSError as error:
            print(f"left out {path}: {error}", file=sys.stderr)
            continue
        sizes.add(picture.size)
        pictures.append(np.asarray(picture.resize((size_px, size_px), Image.BILINEAR)))
        files.append(path)
    if len(files) < LEAST:
        raise SystemExit(f"error: {folder}: {len(files)} usable images, expected at least {LEAST}")
    if len(sizes) > 1:
        print(f"warning: {folder}: {len(sizes)} different sizes, each brought to {size_px}x{size_px} by itself", file=sys.stderr)
    return np.stack(pictures), files


def split(count: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Indices to train on and to hold out: a run at the end, because neighbours may show the same part."""
    held_out = max(2, round(count * share))
    return np.arange(count - held_out), np.arange(count - held_out, count)


class Line:
    """Batches of good parts as the line will show them."""

    def __init__(self, pictures: np.ndarray, seed: int):
        self.pictures, self.rng = torch.from_numpy(pictures), np.random.default_rng(seed)

    def draw(self, count: int) -> Tensor:
        """f32 [count,3,S,S] in 0..1: each with its own gain, offset, tint, a shift and turn of a few pixels, sensor noise."""
        index = self.rng.choice(len(self.pictures), count, replace=count > len(self.pictures))
        return self.disturb(as_floats(self.pictures[torch.from_numpy(index)]))

    def disturb(self, x: Tensor) -> Tensor:
        count, rng = len(x), self.rng
        angle = rng.normal(0, 0.015, count)
        zoom = 1 + rng.normal(0, 0.008, count)
        shift = rng.normal(0, 0.012, (count, 2))
        cos, sin = zoom * np.cos(angle), zoom * np.sin(angle)
        pose = np.stack([np.stack([cos, -sin, shift[:, 0]], 1), np.stack([sin, cos, shift[:, 1]], 1)], 1)
        grid = F.affine_grid(torch.from_numpy(pose.astype(np.float32)), list(x.shape), align_corners=False)
        x = F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)
        gain = self._each(count, 1, 0.06) * self._each(count, 3, 0.01, 1.0)
        x = x * gain + self._each(count, 1, 0.015, 0.0)
        noise = rng.standard_normal(x.shape, np.float32) * rng.uniform(0, 0.012)
        return (x + torch.from_numpy(noise)).clamp_(0, 1)

    def _each(self, count: int, channels: int, deviation: float, mean: float = 1.0) -> Tensor:
        return torch.from_numpy(self.rng.normal(mean, deviation, (count, channels, 1, 1)).astype(np.float32))

    def flawed(self, count: int) -> tuple[Tensor, Tensor]:
        """Disturbed good parts with drawn flaws, and the same without them."""
        clean = self.draw(count)
        drawn = []
        for x in clean:
            picture = x.permute(1, 2, 0).numpy()
            for _ in range(int(self.rng.integers(1, 3))):
                picture = _flaw(self.rng, picture)
            drawn.append(torch.from_numpy(np.clip(picture, 0, 1).transpose(2, 0, 1).astype(np.float32)))
        return torch.stack(drawn), clean


def _flaw(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """procedural.flaw draws on its own size; here on any."""
    size = len(picture)
    if size == procedural.SIZE:
        return procedural.flaw(rng, picture)
    scaled = np.asarray(Image.fromarray((picture * 255).astype(np.uint8)).resize((procedural.SIZE,) * 2), np.float32) / 255
    changed = procedural.flaw(rng, scaled) - scaled
    moved = F.interpolate(torch.from_numpy(changed.transpose(2, 0, 1)[None]), (size, size), mode="bilinear", align_corners=False)
    return picture + moved[0].permute(1, 2, 0).numpy()


def foreign(count: int, size_px: int, seed: int) -> np.ndarray:
    """u8 [count,S,S,3]: procedural textures and parts, which are certainly not the part that is being taught."""
    pictures = [Image.fromarray(procedural.image(seed + 1_000_000 + i)).resize((size_px, size_px)) for i in range(count)]
    return np.stack([np.asarray(p) for p in pictures])


def as_floats(pictures: Tensor) -> Tensor:
    """u8 [N,S,S,3] -> f32 [N,3,S,S] in 0..1."""
    return pictures.permute(0, 3, 1, 2).float().div_(255).contiguous()
