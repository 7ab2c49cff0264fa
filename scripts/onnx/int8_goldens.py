"""Makes the golden files of the engine's int8 tests: small quantised graphs, and what onnxruntime gives for them.

    python int8_goldens.py runtime/engine/tests/golden

For each graph: NAME.onnx, and NAME.bin with the input's floats and then the output's, little-endian. Seeded, so that making
them again with the same versions (requirements.txt) gives the same files. The output is the last dequantisation's; its step
is in the model's metadata under `step`.
"""

import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

MICROSOFT = "com.microsoft"


class Net:
    """A graph under construction: bytes flow between its operators, each with a scale and a zero point."""

    def __init__(self, seed: int, shape: list[int]):
        self.random = np.random.default_rng(seed)
        self.shape = shape
        self.nodes, self.constants, self.scales = [], [], {}
        self.count = 0

    def constant(self, value: np.ndarray) -> str:
        self.count += 1
        name = f"c{self.count}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def node(self, op: str, inputs: list[str], domain: str = "", **attributes) -> str:
        self.count += 1
        name = f"{op.lower()}{self.count}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, domain=domain, **attributes))
        return name

    def params(self, scale: float, zero: int, signed: bool) -> tuple[str, str]:
        kind = np.int8 if signed else np.uint8
        return self.constant(np.float32(scale)), self.constant(np.array(zero, kind))

    def quantise(self, x: str, scale: float, zero: int, signed: bool = False) -> str:
        params = self.params(scale, zero, signed)
        bytes_ = self.node("QuantizeLinear", [x, *params])
        self.scales[bytes_] = (scale, *params)
        return bytes_

    def dequantise(self, bytes_: str) -> str:
        _, scale, zero = self.scales[bytes_]
        return self.node("DequantizeLinear", [bytes_, scale, zero])

    def qdq(self, x: str, scale: float, zero: int, signed: bool = False) -> str:
        return self.dequantise(self.quantise(x, scale, zero, signed))

    def weights(self, shape: list[int], axis: int, per_channel: bool = True) -> tuple[str, str, str, np.ndarray]:
        # Seven bits: onnxruntime's kernels for CPUs without VNNI saturate where two products of full-range bytes meet.
        values = self.random.integers(-63, 64, shape).astype(np.int8)
        count = shape[axis] if per_channel else 1
        fan = np.prod(shape) / shape[axis]
        steps = (self.random.uniform(0.7, 1.3, count) / np.sqrt(fan) / 63).astype(np.float32)
        if not per_channel:
            return self.constant(values), self.constant(steps[0]), self.constant(np.array(0, np.int8)), steps
        return self.constant(values), self.constant(steps), self.constant(np.zeros(count, np.int8)), steps

    def conv(self, x: str, ci: int, co: int, k: int, stride: int = 1, group: int = 1, x_scale: float = 0.0) -> str:
        values, steps, zeros, raw = self.weights([co, ci // group, k, k], 0)
        weights = self.node("DequantizeLinear", [values, steps, zeros], axis=0)
        units = self.random.integers(-3000, 3000, co)
        bias = self.constant((units * x_scale * raw).astype(np.float32))
        pads = [k // 2] * 4
        return self.node(
            "Conv", [x, weights, bias], kernel_shape=[k, k], strides=[stride, stride], pads=pads, group=group
        )

    def finish(self, bytes_: str, folder: pathlib.Path, name: str) -> None:
        output, step = self.dequantise(bytes_), self.scales[bytes_][0]
        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
            self.constants,
        )
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        helper.set_model_props(model, {"step": repr(float(np.float32(step)))})
        image = self.random.uniform(-1, 1, self.shape).astype(np.float32)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        (result,) = session.run(None, {"image": image})
        onnx.save(model, folder / f"{name}.onnx")
        (folder / f"{name}.bin").write_bytes(image.tobytes() + result.astype(np.float32).tobytes())
        print(f"{name}: {image.shape} to {result.shape}")


IN = (0.008, 127)


def convolutions(folder: pathlib.Path) -> None:
    cases = [
        # name, in, out, kernel, stride, group, signed, zero point of the result
        ("conv_3x3", 3, 9, 3, 1, 1, False, 113),
        ("conv_1x1", 8, 16, 1, 1, 1, True, -7),
        ("conv_5x5_stride", 5, 6, 5, 2, 1, False, 128),
        ("depthwise_3x3", 8, 8, 3, 1, 8, False, 120),
        ("depthwise_5x5_stride", 6, 6, 5, 2, 6, True, 11),
    ]
    for seed, (name, ci, co, k, stride, group, signed, zero) in enumerate(cases):
        net = Net(seed, [1, ci, 11, 9])
        zero_in = 0 if signed else 127
        x = net.qdq("image", IN[0], zero_in, signed)
        y = net.conv(x, ci, co, k, stride, group, IN[0])
        net.finish(net.quantise(y, 0.012, zero, signed), folder, name)
    for seed, (name, low, high) in enumerate([("conv_relu", 0.0, None), ("conv_relu6", 0.0, 6.0), ("conv_clip", -0.3, 0.5)]):
        net = Net(20 + seed, [1, 4, 8, 10])
        y = net.conv(net.qdq("image", *IN), 4, 8, 3, 1, 1, IN[0])
        if high is None:
            y = net.node("Relu", [y])
        else:
            y = net.node("Clip", [y, net.constant(np.float32(low)), net.constant(np.float32(high))])
        net.finish(net.quantise(y, 0.009, 0 if low == 0 else 100), folder, name)


def arithmetic(folder: pathlib.Path) -> None:
    for seed, op in enumerate(["Add", "Mul"]):
        net = Net(40 + seed, [1, 6, 7, 9])
        x = net.qdq("image", *IN)
        y = net.qdq(net.conv(x, 6, 6, 1, 1, 1, IN[0]), 0.011, 100)
        net.finish(net.quantise(net.node(op, [x, y]), 0.016, 131), folder, op.lower())
    for seed, (name, op, attributes) in enumerate(
        [("relu", "Relu", {}), ("sigmoid", "Sigmoid", {}), ("hard_swish", "HardSwish", {}), ("leaky", "LeakyRelu", {"alpha": 0.1})]
    ):
        net = Net(50 + seed, [1, 5, 6, 7])
        y = net.node(op, [net.qdq("image", *IN)], **attributes)
        net.finish(net.quantise(y, 0.0071, 40), folder, name)


def moves(folder: pathlib.Path) -> None:
    net = Net(60, [1, 6, 7, 9])
    x = net.qdq("image", *IN)
    y = net.qdq(net.conv(x, 6, 5, 1, 1, 1, IN[0]), 0.011, 100)
    net.finish(net.quantise(net.node("Concat", [x, y, x], axis=1), 0.0105, 117), folder, "concat")
    for mode, coordinates in [("nearest", "asymmetric"), ("linear", "half_pixel"), ("linear", "align_corners")]:
        net = Net(61, [1, 6, 7, 9])
        sizes = net.constant(np.array([1, 6, 15, 18], np.int64))
        attributes = {"mode": mode, "coordinate_transformation_mode": coordinates}
        if mode == "nearest":
            attributes["nearest_mode"] = "floor"
        y = net.node("Resize", [net.qdq("image", *IN), "", "", sizes], **attributes)
        net.finish(net.quantise(y, *IN), folder, f"resize_{mode}_{coordinates}")


def pools(folder: pathlib.Path) -> None:
    window = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    for name, op, attributes in [
        ("max_pool", "MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("average_pool", "AveragePool", {"kernel_shape": [2, 2], "strides": [1, 1]}),
        ("average_pool_pads", "AveragePool", {**window, "count_include_pad": 1}),
        ("average_pool_without_pads", "AveragePool", {**window, "count_include_pad": 0}),
        ("global_average_pool", "GlobalAveragePool", {}),
    ]:
        net = Net(70, [1, 6, 8, 10])
        y = net.node(op, [net.qdq("image", *IN)], **attributes)
        scale = IN if op == "MaxPool" else (0.0043, 121)
        net.finish(net.quantise(y, *scale), folder, name)


def matrices(folder: pathlib.Path) -> None:
    for name, per_channel in [("matmul", False), ("matmul_columns", True)]:
        net = Net(80, [5, 24])
        values, steps, zeros, _ = net.weights([24, 13], 1, per_channel)
        axis = {"axis": 1} if per_channel else {}
        weights = net.node("DequantizeLinear", [values, steps, zeros], **axis)
        y = net.node("MatMul", [net.qdq("image", *IN), weights])
        net.finish(net.quantise(y, 0.013, 126), folder, name)
    net = Net(82, [3, 24])
    values, steps, zeros, raw = net.weights([13, 24], 0, False)
    weights = net.node("DequantizeLinear", [values, steps, zeros])
    bias = net.constant((net.random.integers(-3000, 3000, 13) * IN[0] * raw[0]).astype(np.float32))
    y = net.node("Gemm", [net.qdq("image", *IN), weights, bias], transB=1)
    net.finish(net.quantise(y, 0.013, 126), folder, "gemm")


def operators_on_bytes(folder: pathlib.Path) -> None:
    """The QOperator forms, ONNX's own and onnxruntime's."""

    def result(net: Net, bytes_: str, scale: float, names: tuple[str, str], name: str) -> None:
        net.scales[bytes_] = (scale, *names)
        net.finish(bytes_, folder, name)

    net = Net(90, [1, 4, 9, 8])
    x = net.quantise("image", *IN)
    values, steps, zeros, _ = net.weights([7, 4, 3, 3], 0)
    bias = net.constant(net.random.integers(-3000, 3000, 7).astype(np.int32))
    out = net.params(0.012, 119, False)
    y = net.node(
        "QLinearConv", [x, *net.scales[x][1:], values, steps, zeros, *out, bias], kernel_shape=[3, 3], pads=[1, 1, 1, 1]
    )
    y = net.node("MaxPool", [y], kernel_shape=[2, 2], strides=[2, 2])
    result(net, y, 0.012, out, "qlinear_conv")

    net = Net(91, [5, 24])
    x = net.quantise("image", *IN)
    values, steps, zeros, _ = net.weights([24, 13], 1, False)
    out = net.params(0.013, 126, False)
    y = net.node("QLinearMatMul", [x, *net.scales[x][1:], values, steps, zeros, *out])
    result(net, y, 0.013, out, "qlinear_matmul")

    net = Net(92, [1, 4, 9, 8])
    x = net.quantise("image", *IN)
    y = net.quantise(net.conv(net.dequantise(x), 4, 4, 1, 1, 1, IN[0]), 0.011, 96)
    out = net.params(0.017, 120, False)
    y = net.node("QLinearAdd", [x, *net.scales[x][1:], y, *net.scales[y][1:], *out], MICROSOFT)
    result(net, y, 0.017, out, "qlinear_add")

    for op, attributes in [("QLinearAveragePool", {"kernel_shape": [2, 2], "strides": [2, 2]}), ("QLinearGlobalAveragePool", {}), ("QLinearSigmoid", {})]:
        net = Net(93, [1, 4, 8, 6])
        x = net.quantise("image", *IN)
        out = net.params(0.0045, 110, False)
        y = net.node(op, [x, *net.scales[x][1:], *out], MICROSOFT, **attributes)
        result(net, y, 0.0045, out, op.replace("QLinear", "qlinear_").lower())

    net = Net(94, [1, 4, 9, 8])
    x = net.quantise("image", *IN)
    y = net.quantise(net.conv(net.dequantise(x), 4, 3, 1, 1, 1, IN[0]), 0.011, 96)
    out = net.params(0.0123, 120, False)
    y = net.node("QLinearConcat", [*out, x, *net.scales[x][1:], y, *net.scales[y][1:]], MICROSOFT, axis=1)
    result(net, y, 0.0123, out, "qlinear_concat")


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for make in (convolutions, arithmetic, moves, pools, matrices, operators_on_bytes):
        make(folder)


if __name__ == "__main__":
    main()
