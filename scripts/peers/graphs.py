"""The graphs that bench-peers measures: named architectures with random weights, as f32 and as int8 (QDQ).

`graphs.py FOLDER` writes `mobilenet-v2.onnx`, `resnet18-layer3.onnx`, `pdn-s.onnx`, and `NAME.int8.onnx` of each. Random weights
take the time that trained ones take: no kernel of any engine here looks at the values. int8 is what exporters make:
weights i8 with a step for each channel, activations u8 with one step, calibrated on seeded noise.
"""
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process


class Net:
    """An ONNX graph in the making."""

    def __init__(self, name, size):
        self.random = np.random.default_rng(0)
        self.name, self.shape = name, [1, 3, size, size]
        self.nodes, self.constants, self.count = [], [], 0

    def fresh(self, prefix):
        self.count += 1
        return f"{prefix}{self.count}"

    def constant(self, values):
        name = self.fresh("c")
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def op(self, kind, inputs, **attributes):
        out = self.fresh(kind.lower())
        self.nodes.append(helper.make_node(kind, inputs, [out], name=f"{out}_node", **attributes))
        return out

    def conv(self, x, ins, outs, size, stride=1, pad=None, group=1, gain=1.0):
        pad = size // 2 if pad is None else pad
        fan = ins // group * size * size
        weights = self.random.standard_normal((outs, ins // group, size, size)) * np.sqrt(2 / fan) * gain
        bias = self.random.standard_normal(outs) * 0.05
        inputs = [x, self.constant(weights.astype(np.float32)), self.constant(bias.astype(np.float32))]
        return self.op("Conv", inputs, kernel_shape=[size] * 2, strides=[stride] * 2, pads=[pad] * 4, group=group)

    def relu6(self, x):
        return self.op("Clip", [x, self.constant(np.float32(0)), self.constant(np.float32(6))])

    def relu(self, x):
        return self.op("Relu", [x])

    def save(self, output, folder):
        inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, self.shape)]
        outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)]
        graph = helper.make_graph(self.nodes, self.name, inputs, outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        model = onnx.shape_inference.infer_shapes(model)
        onnx.checker.check_model(model)
        path = Path(folder) / f"{self.name}.onnx"
        onnx.save(model, path)
        quantise(path, self.shape)


def mobilenet_v2(folder):
    """Sandler et al., 2018, at 224 pixels, with its classifier."""
    net = Net("mobilenet-v2", 224)
    x = net.relu6(net.conv("input", 3, 32, 3, 2))
    ins = 32
    stages = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    for expand, outs, repeat, first_stride in stages:
        for index in range(repeat):
            stride, hidden = (first_stride if index == 0 else 1), ins * expand
            y = net.relu6(net.conv(x, ins, hidden, 1)) if expand != 1 else x
            y = net.relu6(net.conv(y, hidden, hidden, 3, stride, group=hidden))
            y = net.conv(y, hidden, outs, 1, gain=0.7)
            x = net.op("Add", [y, x]) if index > 0 else y
            ins = outs
    x = net.relu6(net.conv(x, 320, 1280, 1))
    x = net.op("Flatten", [net.op("GlobalAveragePool", [x])], axis=1)
    weights = (net.random.standard_normal((1000, 1280)) * 0.02).astype(np.float32)
    x = net.op("Gemm", [x, net.constant(weights), net.constant(np.zeros(1000, np.float32))], transB=1)
    net.save(x, folder)


def resnet18_layer3(folder):
    """He et al., 2015, at 224 pixels, up to layer3: what patch-based methods take their features from."""
    net = Net("resnet18-layer3", 224)
    x = net.relu(net.conv("input", 3, 64, 7, 2))
    x = net.op("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    ins = 64
    for outs, first_stride in [(64, 1), (128, 2), (256, 2)]:
        for index in range(2):
            stride = first_stride if index == 0 else 1
            y = net.relu(net.conv(x, ins, outs, 3, stride))
            y = net.conv(y, outs, outs, 3, gain=0.5)
            skip = x if stride == 1 and ins == outs else net.conv(x, ins, outs, 1, stride, pad=0, gain=0.5)
            x = net.relu(net.op("Add", [y, skip]))
            ins = outs
    net.save(x, folder)


def pdn_s(folder):
    """The small patch description network of EfficientAD (Batzner et al., 2024) at 256 pixels, without padding."""
    net = Net("pdn-s", 256)
    half = dict(kernel_shape=[2, 2], strides=[2, 2], pads=[0] * 4, count_include_pad=1)
    x = net.op("AveragePool", [net.relu(net.conv("input", 3, 128, 4, pad=0))], **half)
    x = net.op("AveragePool", [net.relu(net.conv(x, 128, 256, 4, pad=0))], **half)
    x = net.relu(net.conv(x, 256, 256, 3, pad=0))
    net.save(net.conv(x, 256, 384, 4, pad=0), folder)


class Noise(CalibrationDataReader):
    """A few images of noise."""

    def __init__(self, shape):
        random = np.random.default_rng(1)
        self.left = iter([{"input": random.standard_normal(shape).astype(np.float32)} for _ in range(3)])

    def get_next(self):
        return next(self.left, None)


def quantise(path, shape):
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(path, prepared, skip_symbolic_shape=True)
        quantize_static(prepared, path.with_suffix(".int8.onnx"), Noise(shape), quant_format=QuantFormat.QDQ,
                        per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)


if __name__ == "__main__":
    for make in (mobilenet_v2, resnet18_layer3, pdn_s):
        make(sys.argv[1])
