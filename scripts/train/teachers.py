"""The frozen networks that a backbone learns to imitate.

A teacher maps images f32 [N,3,H,W] in 0..1 to one feature map at 1/8 and one at 1/16 of the input. Named on the command line:

    PATH.npz        MobileNetV2 of Keras, any width, arrays named `block_5_expand__kernel`, `bn_Conv1__gamma`, ...
    PATH.tflite     MobileNetV2 of TensorFlow Lite, float or quantised (dequantised here)
    PATH.onnx       plain convolutions with outputs at 1/8 and 1/16, float or QDQ (dequantised here), say a ResNet to its third layer
    timm:NAME       any timm model with pretrained weights and `features_only` (needs timm and a network)

and may be followed by `:8`, `:16` or `:8,16` (the default) to choose which scales it teaches.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from onnx_teacher import OnnxTeacher

SCALES = (8, 16)


@dataclass
class Teacher:
    """A frozen net and the scales (of 8 and 16) that it teaches."""

    name: str
    digest: str  # sha256 of the weights file, or "" for timm
    net: nn.Module  # images -> (map at 1/8, map at 1/16)
    scales: tuple[int, ...]


def load_teacher(spec: str) -> Teacher:
    """Reads `spec` as described at the top of this file."""
    source, scales = _split_scales(spec)
    if source.startswith("timm:"):
        return Teacher(source, "", _freeze(TimmTeacher(source.removeprefix("timm:"))), scales)
    path = Path(source)
    if not path.is_file():
        raise SystemExit(f"error: teacher {source}: no such file (expected .npz, .tflite, .onnx or timm:NAME)")
    readers = {".npz": _read_keras, ".tflite": _read_tflite, ".onnx": OnnxTeacher}
    if path.suffix not in readers:
        raise SystemExit(f"error: teacher {source}: unknown kind {path.suffix!r} (expected .npz, .tflite, .onnx or timm:NAME)")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Teacher(path.name, digest, _freeze(readers[path.suffix](path)), scales)


def _split_scales(spec: str) -> tuple[str, tuple[int, ...]]:
    head, colon, tail = spec.rpartition(":")
    if not colon or not set(tail) <= set("0123456789,"):
        return spec, SCALES
    scales = tuple(int(s) for s in tail.split(",") if s)
    if not scales or not set(scales) <= set(SCALES):
        raise SystemExit(f"error: teacher {spec}: scales must be of 8 and 16, for example {head}:8,16")
    return head, scales


def _freeze(net: nn.Module) -> nn.Module:
    return net.eval().requires_grad_(False).to(memory_format=torch.channels_last)


Layer = tuple[np.ndarray, np.ndarray]  # weight [out, in/groups, k, k] with batch norm folded in, bias [out]


class MobileNetV2(nn.Module):
    """MobileNetV2 (Sandler et al. 2018) up to block 12; taps after block 5 (1/8) and block 12 (1/16).

    `layers` holds the folded convolutions in network order: the stem, the first depthwise and projection, then expansion,
    depthwise and projection of blocks 1 to 12. Input is scaled to -1..1, padding follows TensorFlow.
    """

    STRIDE_2_BLOCKS = (1, 3, 6)
    TAPS = (5, 12)

    def __init__(self, layers: list[Layer]):
        super().__init__()
        depth = 3 + 3 * self.TAPS[-1]
        if len(layers) < depth:
            raise ValueError(f"{len(layers)} convolutions where MobileNetV2 to block {self.TAPS[-1]} has {depth}")
        self.convs = nn.ModuleList(_conv(*layer) for layer in layers[:depth])

    def _run(self, i: int, x: Tensor, stride: int = 1, relu: bool = True) -> Tensor:
        conv = self.convs[i]
        if stride == 2:
            x = F.conv2d(F.pad(x, (0, 1, 0, 1)), conv.weight, conv.bias, 2, 0, 1, conv.groups)
        else:
            x = conv(x)
        return F.relu6(x) if relu else x

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        x = self._run(0, image * 2 - 1, stride=2)
        x = self._run(2, self._run(1, x), relu=False)
        taps = []
        for block in range(1, self.TAPS[-1] + 1):
            i, stride = 3 * block, 2 if block in self.STRIDE_2_BLOCKS else 1
            y = self._run(i + 2, self._run(i + 1, self._run(i, x), stride), relu=False)
            x = x + y if stride == 1 and x.shape[1] == y.shape[1] else y
            if block in self.TAPS:
                taps.append(x)
        return taps[0], taps[1]


def _conv(weight: np.ndarray, bias: np.ndarray, stride: int = 1) -> nn.Conv2d:
    out, per_group, kernel, _ = weight.shape
    groups = out if per_group == 1 and kernel > 1 else 1
    conv = nn.Conv2d(per_group * groups, out, kernel, stride, kernel // 2, groups=groups)
    conv.weight.data = torch.from_numpy(np.ascontiguousarray(weight, np.float32))
    conv.bias.data = torch.from_numpy(np.ascontiguousarray(bias, np.float32))
    return conv


def _read_keras(path: Path) -> MobileNetV2:
    arrays = np.load(path)

    def layer(kernel: str, norm: str) -> Layer:
        gamma, beta, mean, var = (
            arrays[f"{norm}__{n}"].astype(np.float64) for n in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        scale = gamma / np.sqrt(var + 1e-3)  # 1e-3: Keras' batch norm epsilon in this family
        weight = arrays[kernel].astype(np.float64)  # [k, k, in, out], depthwise [k, k, channels, 1]
        weight = weight.transpose(2, 3, 0, 1) if "depthwise" in kernel else weight.transpose(3, 2, 0, 1)
        return weight * scale[:, None, None, None], beta - mean * scale

    names = [("Conv1__kernel", "bn_Conv1")]
    for prefix in ["expanded_conv"] + [f"block_{b}" for b in range(1, MobileNetV2.TAPS[-1] + 1)]:
        for role in ("expand", "depthwise", "project"):
            kernel = f"{prefix}_{role}__" + ("depthwise_kernel" if role == "depthwise" else "kernel")
            if kernel in arrays:
                names.append((kernel, f"{prefix}_{role}_BN"))
    return MobileNetV2([layer(*pair) for pair in names])


def _read_tflite(path: Path) -> MobileNetV2:
    import tflite

    model = tflite.Model.GetRootAs(path.read_bytes(), 0)
    graph = model.Subgraphs(0)
    kinds = {
        tflite.TensorType.FLOAT32: np.float32,
        tflite.TensorType.INT8: np.int8,
        tflite.TensorType.UINT8: np.uint8,
        tflite.TensorType.INT32: np.int32,
    }

    def dequantised(index: int) -> np.ndarray:
        tensor = graph.Tensors(index)
        raw = model.Buffers(tensor.Buffer()).DataAsNumpy().tobytes()
        values = np.frombuffer(raw, kinds[tensor.Type()]).reshape(tensor.ShapeAsNumpy())
        quantisation = tensor.Quantization()
        if tensor.Type() == tflite.TensorType.FLOAT32 or quantisation is None or quantisation.ScaleLength() == 0:
            return values.astype(np.float64)
        scale, zero = quantisation.ScaleAsNumpy(), quantisation.ZeroPointAsNumpy()
        if len(scale) > 1:
            shape = [1] * values.ndim
            shape[quantisation.QuantizedDimension()] = -1
            scale, zero = scale.reshape(shape), zero.reshape(shape)
        return (values.astype(np.float64) - zero) * scale

    layers = []
    for i in range(graph.OperatorsLength()):
        operator = graph.Operators(i)
        code = model.OperatorCodes(operator.OpcodeIndex())
        kind = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        if kind == tflite.BuiltinOperator.CONV_2D:  # [out, k, k, in]
            layers.append((dequantised(operator.Inputs(1)).transpose(0, 3, 1, 2), dequantised(operator.Inputs(2))))
        elif kind == tflite.BuiltinOperator.DEPTHWISE_CONV_2D:  # [1, k, k, channels]
            layers.append((dequantised(operator.Inputs(1)).transpose(3, 0, 1, 2), dequantised(operator.Inputs(2))))
    return MobileNetV2(layers)


class TimmTeacher(nn.Module):
    """A timm model with `features_only`, normalised as its own configuration says."""

    def __init__(self, name: str, pretrained: bool = True):
        super().__init__()
        try:
            import timm
        except ImportError:
            raise SystemExit(f"error: teacher timm:{name} needs timm (pip install timm)") from None
        probe = timm.create_model(name, pretrained=False, features_only=True)
        reductions = list(probe.feature_info.reduction())
        missing = [s for s in SCALES if s not in reductions]
        if missing:
            raise SystemExit(f"error: teacher timm:{name} has features at {reductions}, none at {missing}; choose another")
        indices = [reductions.index(s) for s in SCALES]
        try:
            self.net = timm.create_model(name, pretrained=pretrained, features_only=True, out_indices=indices)
        except (OSError, RuntimeError) as error:
            raise SystemExit(f"error: teacher timm:{name}: its weights could not be had: {error}") from None
        config = self.net.pretrained_cfg
        self.register_buffer("mean", torch.tensor(config["mean"]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(config["std"]).view(1, 3, 1, 1))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        s8, s16 = self.net((image - self.mean) / self.std)
        return s8, s16

