"""The networks: a frozen teacher, and a student that learns to say what the teacher says of good parts.

The teacher is a backbone of the zoo; its two taps, each channel with the mean and spread that good parts have, are what the student
has to predict. The student reads the teacher's stem (so one graph computes it once), goes its own way with depthwise-separable
convolutions, and predicts both grids. Where it fails, something is there that good parts do not have (Bergmann et al. 2020,
"Uninformed Students").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbone import ConvBn, Folded, FoldedConv


@dataclass(frozen=True)
class Size:
    """Channels of the student at 1/4, 1/8 and 1/16, and the blocks at the two grids that it predicts."""

    s4: int
    s8: int
    s16: int
    blocks8: int
    blocks16: int


SIZES = {
    # 30 MMAC and 68 k parameters at 256 px on edge-s.
    "s": Size(s4=32, s8=64, s16=128, blocks8=2, blocks16=2),
    # 101 MMAC and 237 k parameters.
    "m": Size(s4=64, s8=128, s16=256, blocks8=2, blocks16=2),
}


class Teacher(nn.Module):
    """The frozen backbone: image f32 [N,3,H,W] in 0..1 to the stem's output and both taps."""

    def __init__(self, folded: Folded):
        super().__init__()
        self.folded = folded
        for i, conv in enumerate(folded.convs()):
            self.register_buffer(f"weight{i}", torch.from_numpy(conv.weight))
            self.register_buffer(f"bias{i}", torch.from_numpy(conv.bias))
        self.channels = tuple(len(stage[-1].convs[-1].weight) for stage in folded.stages)

    def _conv(self, i: int, conv: FoldedConv, x: Tensor) -> Tensor:
        top, left, bottom, right = conv.pads
        weight, bias = self.get_buffer(f"weight{i}"), self.get_buffer(f"bias{i}")
        x = F.conv2d(F.pad(x, (left, right, top, bottom)), weight, bias, conv.stride, 0, 1, conv.groups)
        return F.relu(x) if conv.relu else x

    @torch.no_grad()
    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        stem = x = self._conv(0, self.folded.stem, image)
        i, taps = 1, []
        for stage in self.folded.stages:
            for block in stage:
                start = x
                for conv in block.convs:
                    x = self._conv(i, conv, x)
                    i += 1
                x = start + x if block.residual else x
            taps.append(x)
        return stem, taps


def separable(c_in: int, c_out: int, stride: int = 1) -> nn.Sequential:
    """3x3 depthwise and 1x1, each with ReLU."""
    return nn.Sequential(ConvBn(c_in, c_in, 3, stride, groups=c_in), ConvBn(c_in, c_out, 1))


class Student(nn.Module):
    """The stem's output to standardised predictions of both taps."""

    def __init__(self, size: str, stem: int, taps: tuple[int, int]):
        super().__init__()
        if size not in SIZES:
            raise ValueError(f"no student of size {size!r}; there are {', '.join(SIZES)}")
        s = SIZES[size]
        self.to8 = nn.Sequential(
            separable(stem, s.s4, 2), separable(s.s4, s.s8, 2), *(separable(s.s8, s.s8) for _ in range(s.blocks8))
        )
        self.to16 = nn.Sequential(separable(s.s8, s.s16, 2), *(separable(s.s16, s.s16) for _ in range(s.blocks16)))
        self.head8 = nn.Conv2d(s.s8, taps[0], 1)
        self.head16 = nn.Conv2d(s.s16, taps[1], 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
            if isinstance(module, nn.BatchNorm2d):
                # A few hundred steps must be enough to settle the running statistics.
                module.momentum = 0.1

    def forward(self, stem: Tensor) -> list[Tensor]:
        x = self.to8(stem)
        return [self.head8(x), self.head16(self.to16(x))]


@dataclass
class Standard:
    """What good parts look like to the teacher: mean and spread of each channel, [1,C,1,1] a tap."""

    mean: list[Tensor]
    spread: list[Tensor]

    @staticmethod
    def measure(taps: list[list[Tensor]]) -> Standard:
        """From the taps of some batches of good parts."""
        mean, spread = [], []
        for values in (torch.cat(t) for t in zip(*taps)):
            deviation = values.std((0, 2, 3), keepdim=True)
            mean.append(values.mean((0, 2, 3), keepdim=True))
            # A channel that hardly moves must not be blown up by its rounding errors.
            spread.append(deviation.clamp_min(0.1 * float(deviation.square().mean().sqrt()) + 1e-6))
        return Standard(mean, spread)

    def apply(self, taps: list[Tensor]) -> list[Tensor]:
        return [(t - m) / s for t, m, s in zip(taps, self.mean, self.spread)]


@dataclass
class Residual:
    """What is left between teacher and student on good parts: the mean b and the weight w of each channel, [1,C,1,1] a tap."""

    bias: list[Tensor]
    weight: list[Tensor]

    @staticmethod
    def measure(batches: list[list[Tensor]]) -> Residual:
        """From differences teacher - student. w is one over the variance, scaled so that good parts score about 1 a tap."""
        bias, weight = [], []
        for r in (torch.cat(d) for d in zip(*batches)):
            variance = r.var((0, 2, 3), keepdim=True)
            # Half the mean variance is added: a channel that the student knows by heart must not drown the others.
            weight.append(1 / (variance + 0.5 * variance.mean()) / r.shape[1])
            bias.append(r.mean((0, 2, 3), keepdim=True))
        return Residual(bias, weight)


def fold_student(student: Student, standard: Standard) -> dict[str, list[FoldedConv]]:
    """Plain convolutions by part (`to8`, `to16`, `head8`, `head16`); the heads predict the taps themselves, not standardised."""
    from backbone import _fold_conv

    parts = {
        part: [
            _fold_conv(layer, f"student.{part}.{i}.{role}")
            for i, pair in enumerate(getattr(student, part))
            for layer, role in zip(pair, ("depthwise", "pointwise"))
        ]
        for part in ("to8", "to16")
    }
    for k, part in enumerate(("head8", "head16")):
        head: nn.Conv2d = getattr(student, part)
        spread, mean = standard.spread[k].flatten().double(), standard.mean[k].flatten().double()
        weight = head.weight.detach().double() * spread[:, None, None, None]
        bias = head.bias.detach().double() * spread + mean
        name = f"student.{part}"
        parts[part] = [FoldedConv(name, weight.float().numpy(), bias.float().numpy(), 1, 1, (0, 0, 0, 0), False)]
    return parts


def cost(parts: dict[str, list[FoldedConv]], size_px: int) -> tuple[int, int]:
    """Parameters and multiply-accumulates of the student for one square image."""
    convs = [c for part in parts.values() for c in part]
    parameters = sum(c.weight.size + c.bias.size for c in convs)
    macs, side = 0, size_px // 2
    sides = {}
    for part in ("to8", "to16"):
        for conv in parts[part]:
            side //= conv.stride
            macs += conv.weight.size * side * side
        sides[part] = side
    for part, trunk in (("head8", "to8"), ("head16", "to16")):
        macs += parts[part][0].weight.size * sides[trunk] ** 2
    return parameters, macs


def score_map(taps: list[Tensor], predicted: list[Tensor], residual: Residual) -> Tensor:
    """[N,1,H/8,W/8]: sum over channels of w (t - s - b)^2, both grids, the coarse one interpolated."""
    fine, coarse = (
        (w * (t - s - b).square()).sum(1, keepdim=True)
        for t, s, b, w in zip(taps, predicted, residual.bias, residual.weight)
    )
    return fine + F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)


def blur_kernel() -> np.ndarray:
    """f32 [1,1,5,5], a Gaussian of 0.75 cells: the smoothing of the other methods (models/src/graph/heads.rs)."""
    taps = np.exp(-0.5 * (np.arange(-2, 3) / 0.75) ** 2)
    taps /= taps.sum()
    return np.outer(taps, taps)[None, None].astype(np.float32)


def smooth(grid: Tensor) -> Tensor:
    """Blurs over the cells that exist."""
    kernel = torch.from_numpy(blur_kernel())
    return F.conv2d(grid, kernel, padding=2) / F.conv2d(torch.ones_like(grid[:1]), kernel, padding=2)


def anomaly_map(grid: Tensor, size: tuple[int, int]) -> Tensor:
    """[N,1,H,W], as the exported graph gives it."""
    return F.interpolate(smooth(grid), size=size, mode="bilinear", align_corners=False)
