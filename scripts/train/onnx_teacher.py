"""A frozen net out of any small ONNX of plain convolutions, for `teachers.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper
from torch import Tensor, nn


class OnnxTeacher(nn.Module):
    """An ONNX of Conv, Relu, MaxPool and Add, float or QDQ (dequantised here), whose two outputs are maps at 1/8 and 1/16.

    Input is taken to be normalised by ImageNet's mean and deviation, as torchvision's models are.
    """

    def __init__(self, path: Path):
        super().__init__()
        graph = onnx.load(path).graph
        self.constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        self.input, self.outputs = graph.input[0].name, [o.name for o in graph.output]
        self.nodes, self.convs = [], nn.ModuleDict()
        for node in graph.node:
            self._take(node)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))

    def _take(self, node: onnx.NodeProto) -> None:
        inputs, output = list(node.input), node.output[0]
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "DequantizeLinear" and inputs[0] in self.constants:
            value, scale, zero = (self.constants[n].astype(np.float64) for n in inputs)
            if scale.size > 1:
                shape = [-1 if axis == attributes.get("axis", 1) else 1 for axis in range(value.ndim)]
                scale, zero = scale.reshape(shape), zero.reshape(shape)
            self.constants[output] = ((value - zero) * scale).astype(np.float32)
        elif node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            self.nodes.append(("Identity", inputs[:1], output, {}))
        elif node.op_type == "Conv":
            weight, bias = (torch.from_numpy(self.constants[n]) for n in inputs[1:3])
            pads, strides = attributes["pads"], attributes["strides"]
            conv = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2], strides[0], pads[0])
            conv.weight.data, conv.bias.data = weight, bias
            name = f"conv{len(self.convs)}"
            self.convs[name] = conv
            self.nodes.append(("Conv", inputs[:1], output, name))
        elif node.op_type in ("Relu", "Add", "MaxPool"):
            self.nodes.append((node.op_type, inputs, output, attributes))
        else:
            raise SystemExit(f"error: teacher node {node.name}: {node.op_type} is none of Conv, Relu, Add, MaxPool")

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        values = {self.input: (image - self.mean) / self.std}
        for kind, inputs, output, extra in self.nodes:
            x = values[inputs[0]]
            if kind == "Conv":
                x = self.convs[extra](x)
            elif kind == "Relu":
                x = F.relu(x)
            elif kind == "Add":
                x = x + values[inputs[1]]
            elif kind == "MaxPool":
                x = F.max_pool2d(x, extra["kernel_shape"][0], extra["strides"][0], extra["pads"][0])
            values[output] = x
        return values[self.outputs[0]], values[self.outputs[1]]
