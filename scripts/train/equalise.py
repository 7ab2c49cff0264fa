"""Rescale channels inside a folded backbone so that int8 loses less, without changing what it computes.

An activation tensor has one int8 scale for all its channels, so channels of small range drown in the rounding of large ones. ReLU
and convolution commute with a positive factor per channel, so a factor can move from the producer of a channel to its consumers
(cross-layer equalisation, Nagel et al. 2019). Here the ranges are measured on images, and three cases are told apart:

* into a depthwise convolution the move is free, because its weights have a scale per channel anyway: all ranges become 1;
* into a 1x1 convolution the factor lands in its columns, which share a scale per row: activation and weight range are balanced;
* a linear residual stream is scaled by its deviation where it ends; the two that end in taps by one number for all channels, because
  metric.py has given their axes a meaning. That number, the same for both taps, makes tap8's mean variance 1 and is the only
  visible change.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from backbone import Folded, FoldedConv
from metric import streams

# Ranges are this quantile of a channel's values: single outliers are allowed to saturate.
RANGE_QUANTILE = 0.9999
SMALLEST = 1e-3  # of the largest range; dead channels must not be blown up


def run(folded: Folded, image: Tensor) -> dict[str, Tensor]:
    """Every activation by the name of the convolution that made it; block results as `NAME.sum`, taps as `tap8`, `tap16`."""
    seen: dict[str, Tensor] = {}

    def apply(conv: FoldedConv, x: Tensor) -> Tensor:
        top, left, bottom, right = conv.pads
        x = F.pad(x, (left, right, top, bottom))
        x = F.conv2d(x, torch.from_numpy(conv.weight), torch.from_numpy(conv.bias), conv.stride, 0, 1, conv.groups)
        seen[conv.name] = F.relu(x) if conv.relu else x
        return seen[conv.name]

    x = apply(folded.stem, image)
    for stage, tap in zip(folded.stages, ("tap8", "tap16")):
        for block in stage:
            start = x
            for conv in block.convs:
                x = apply(conv, x)
            x = start + x if block.residual else x
            seen[f"{block.convs[-1].name}.sum"] = x
        seen[tap] = x
    return seen


def equalise(folded: Folded, images: Tensor) -> None:
    """Changes `folded` in place; `images` are f32 [N,3,H,W] in 0..1, a few dozen are enough."""
    with torch.inference_mode():
        seen = run(folded, images)
    blocks = [block for stage in folded.stages for block in stage]
    _move(folded.stem, [blocks[0].convs[0]], _range(seen["stem"]))
    for block in blocks:
        for producer, consumer in zip(block.convs[:-1], block.convs[1:]):
            factor = _range(seen[producer.name])
            if consumer.groups == 1:
                columns = np.abs(consumer.weight).max((0, 2, 3))
                factor = np.sqrt(factor / np.maximum(columns, SMALLEST * columns.max()))
            _move(producer, [consumer], factor)
    unit = float(seen["tap8"].std((0, 2, 3)).square().mean().sqrt())
    for writers, readers in streams(folded):
        last = seen[f"{writers[-1].name}.sum"]
        factor = last.std((0, 2, 3)).double().numpy()
        factor = np.maximum(factor, SMALLEST * factor.max())
        if writers[-1] in (folded.stages[0][-1].convs[-1], folded.stages[1][-1].convs[-1]):
            factor = np.full_like(factor, unit)
        for writer in writers:
            _move(writer, [], factor)
        for reader in readers:
            _scale_input(reader, factor)


def _range(values: Tensor) -> np.ndarray:
    """Per channel, f64; the quantile is over the non-zero values' order, taken from a subsample."""
    flat = values.transpose(0, 1).flatten(1)
    flat = flat[:, :: max(1, flat.shape[1] // 100_000)]
    ranges = torch.quantile(flat, RANGE_QUANTILE, dim=1).double().numpy()
    return np.maximum(ranges, SMALLEST * ranges.max())


def _move(producer: FoldedConv, consumers: list[FoldedConv], factor: np.ndarray) -> None:
    producer.weight = (producer.weight / factor[:, None, None, None]).astype(np.float32)
    producer.bias = (producer.bias / factor).astype(np.float32)
    for consumer in consumers:
        _scale_input(consumer, factor)


def _scale_input(conv: FoldedConv, factor: np.ndarray) -> None:
    shape = (-1, 1, 1, 1) if conv.groups > 1 else (1, -1, 1, 1)
    conv.weight = (conv.weight * factor.reshape(shape)).astype(np.float32)
