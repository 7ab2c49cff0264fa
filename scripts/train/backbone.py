"""The zoo's backbones: `edge-s` and `edge-m`, as torch modules.

What lives here: the architectures, their cost, and the folding of a trained net into plain convolutions.
What must not: data, teachers, losses, files.

Both nets are depthwise-separable and inverted-residual blocks of 1x1 and 3x3 convolutions with ReLU (Howard et al. 2017,
Sandler et al. 2018): the only operators that every int8 kernel of the engine has. Two taps come out, at 1/8 and 1/16 of the
input, both linear (no activation), because nearest-neighbour and Gaussian heads want signed features.

Two conventions make the exported graph exact and its grid agree with TensorFlow's teachers:

* a stride-2 convolution pads one row and one column at the right and the bottom only (TF "SAME" on even sizes);
* the image is padded *before* it is normalised, so padding is black (0 in 0..1), and the normalisation 2x - 1 folds into the
  stem's weights and bias without any border error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Block:
    """One inverted residual: 1x1 to `expand` channels (None: no expansion), 3x3 depthwise, linear 1x1 to `out`."""

    expand: int | None
    out: int
    stride: int = 1


@dataclass(frozen=True)
class Architecture:
    """A stem (3x3, stride 2) and two stages; a tap leaves at the end of each."""

    stem: int
    to_s8: tuple[Block, ...]
    to_s16: tuple[Block, ...]


ARCHITECTURES: dict[str, Architecture] = {
    # 55 MMAC and 91 k parameters at 256x256.
    "edge-s": Architecture(
        stem=16,
        to_s8=(Block(None, 24, 2), Block(None, 24), Block(72, 32, 2), Block(80, 32), Block(80, 32)),
        to_s16=(Block(96, 64, 2), Block(112, 64), Block(112, 64), Block(112, 64), Block(112, 64)),
    ),
    # 289 MMAC and 481 k parameters at 256x256.
    "edge-m": Architecture(
        stem=32,
        to_s8=(Block(None, 40, 2), Block(120, 40), Block(160, 64, 2), Block(192, 64), Block(192, 64), Block(192, 64)),
        to_s16=(Block(256, 96, 2), *(Block(320, 96) for _ in range(5))),
    ),
}


class ConvBn(nn.Module):
    """Convolution, batch norm and, unless `linear`, ReLU."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1, linear: bool = False):
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, 0, groups=groups, bias=False)
        # 0.02: the running statistics must average many small batches, they are what the exported net uses.
        self.norm = nn.BatchNorm2d(c_out, momentum=0.02)
        self.linear = linear
        # ONNX order: top, left, bottom, right.
        half = kernel // 2
        self.pads = (0, 0, half, half) if stride == 2 else (half, half, half, half)

    def pad(self, x: Tensor) -> Tensor:
        top, left, bottom, right = self.pads
        if top == bottom:
            return x
        return F.pad(x, (left, right, top, bottom))

    def forward(self, x: Tensor) -> Tensor:
        if self.conv.stride[0] == 2:
            x = self.norm(self.conv(self.pad(x)))
        else:
            x = self.norm(F.conv2d(x, self.conv.weight, None, 1, self.pads[0], 1, self.conv.groups))
        return x if self.linear else F.relu_(x)


class InvertedResidual(nn.Module):
    """`Block` as a module, with the identity added when shapes allow it."""

    def __init__(self, c_in: int, block: Block):
        super().__init__()
        middle = block.expand or c_in
        layers = [ConvBn(c_in, middle, 1)] if block.expand else []
        layers += [ConvBn(middle, middle, 3, block.stride, groups=middle), ConvBn(middle, block.out, 1, linear=True)]
        self.layers = nn.Sequential(*layers)
        self.residual = block.stride == 1 and c_in == block.out

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x)
        return x + y if self.residual else y


class Backbone(nn.Module):
    """Image [N,3,H,W], f32 in 0..1, RGB -> (tap8 [N,C8,H/8,W/8], tap16 [N,C16,H/16,W/16]); H and W multiples of 16."""

    def __init__(self, name: str):
        super().__init__()
        if name not in ARCHITECTURES:
            raise ValueError(f"no backbone named {name!r}; there are {', '.join(ARCHITECTURES)}")
        self.name, arch = name, ARCHITECTURES[name]
        self.stem = ConvBn(3, arch.stem, 3, 2)
        self.to_s8, c8 = _stage(arch.stem, arch.to_s8)
        self.to_s16, c16 = _stage(c8, arch.to_s16)
        self.channels = (c8, c16)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stem.pad(image) * 2 - 1
        x = F.relu_(self.stem.norm(self.stem.conv(x)))
        tap8 = self.to_s8(x)
        return tap8, self.to_s16(tap8)


def _stage(c_in: int, blocks: tuple[Block, ...]) -> tuple[nn.Sequential, int]:
    layers = []
    for block in blocks:
        layers.append(InvertedResidual(c_in, block))
        c_in = block.out
    return nn.Sequential(*layers), c_in


@dataclass
class FoldedConv:
    """A convolution with batch norm (and, in the stem, the image normalisation) folded in."""

    name: str
    weight: np.ndarray  # f32 [out, in/groups, k, k]
    bias: np.ndarray  # f32 [out]
    stride: int
    groups: int
    pads: tuple[int, int, int, int]  # top, left, bottom, right
    relu: bool


@dataclass
class FoldedBlock:
    """Convolutions in order, and whether the block's input is added to their result."""

    convs: list[FoldedConv]
    residual: bool


@dataclass
class Folded:
    """The whole net as plain convolutions; `stages[0]` ends in tap8, `stages[1]` in tap16."""

    stem: FoldedConv
    stages: tuple[list[FoldedBlock], list[FoldedBlock]]

    def convs(self) -> list[FoldedConv]:
        return [self.stem] + [c for stage in self.stages for block in stage for c in block.convs]

    def parameters(self) -> int:
        return sum(c.weight.size + c.bias.size for c in self.convs())

    def macs(self, size_px: int) -> int:
        """Multiply-accumulates for one square image of `size_px`."""
        total, side = 0, size_px
        for conv in self.convs():
            side //= conv.stride
            total += conv.weight.size * side * side
        return total


def fold(net: Backbone) -> Folded:
    """Batch norm and normalisation into weights, in f64; equals `net.eval()` up to f32 rounding."""
    stem = _fold_conv(net.stem, "stem")
    # W * (2x - 1) + b = (2W) * x + (b - sum W), exact because the padding was already there when x was normalised.
    weight = stem.weight.astype(np.float64)
    stem.bias = (stem.bias - weight.sum((1, 2, 3))).astype(np.float32)
    stem.weight = (2 * weight).astype(np.float32)
    stages = []
    for stage_name, stage in (("s8", net.to_s8), ("s16", net.to_s16)):
        blocks = []
        for i, block in enumerate(stage):
            roles = ("expand", "depthwise", "project")[-len(block.layers) :]
            convs = [_fold_conv(c, f"{stage_name}.{i}.{role}") for c, role in zip(block.layers, roles)]
            blocks.append(FoldedBlock(convs, block.residual))
        stages.append(blocks)
    return Folded(stem, (stages[0], stages[1]))


def _fold_conv(layer: ConvBn, name: str) -> FoldedConv:
    norm = layer.norm
    scale = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)
    weight = layer.conv.weight.detach().double() * scale[:, None, None, None]
    bias = norm.bias.detach().double() - norm.running_mean.double() * scale
    return FoldedConv(
        name,
        weight.float().contiguous().numpy(),
        bias.float().numpy(),
        layer.conv.stride[0],
        layer.conv.groups,
        layer.pads,
        not layer.linear,
    )
