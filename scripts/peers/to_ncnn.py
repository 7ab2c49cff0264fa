"""From the f32 graphs of graphs.py to ncnn's two files, activations fused as ncnn's own converter does; f32 or int8.

ncnn reads no ONNX. Its int8 is symmetric on both sides, with a step for each output channel of the weights; a convolution whose
readers are all convolutions requantises in its epilogue, others give floats. Formats: ncnn's wiki, "param and model file
structure" and "quantized int8 inference".
"""
import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

INT8_TAG, FLOAT_TAG = np.uint32(0x000D4B38), np.uint32(0)
# What a layer's `8=` says: int8 in and floats out, or int8 in and out.
TO_FLOAT, TO_INT8 = 1, 101


class Converter:
    """One graph on its way."""

    def __init__(self, path, int8):
        self.model, self.int8 = onnx.load(path), int8
        graph = self.model.graph
        self.constants = {c.name: numpy_helper.to_array(c) for c in graph.initializer}
        self.output = graph.output[0].name
        self.readers = {}
        for node in graph.node:
            for value in node.input:
                if value not in self.constants:
                    self.readers.setdefault(value, []).append(node)
        self.layers, self.blobs, self.copies, self.binary = [], 0, {}, b""
        self.ranges = self.calibrate() if int8 else {}

    def calibrate(self):
        """The greatest magnitude of each convolution's input and output on seeded noise."""
        probe = onnx.ModelProto()
        probe.CopyFrom(self.model)
        given = {o.name for o in probe.graph.output}
        probe.graph.output.extend(onnx.helper.make_empty_tensor_value_info(n.output[0])
                                  for n in probe.graph.node if n.output[0] not in given)
        session = onnxruntime.InferenceSession(probe.SerializeToString())
        shape = [d.dim_value for d in self.model.graph.input[0].type.tensor_type.shape.dim]
        noise = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
        values = dict(zip((o.name for o in session.get_outputs()), session.run(None, {"input": noise})))
        return {name: float(np.abs(value).max()) for name, value in (values | {"input": noise}).items()}

    def layer(self, kind, name, inputs, outputs, parameters=""):
        names = " ".join(inputs + outputs)
        self.layers.append(f"{kind} {name} {len(inputs)} {len(outputs)} {names} {parameters}")
        self.blobs += len(outputs)

    def weights(self, weights, bias, of, to):
        if not self.int8:
            return FLOAT_TAG.tobytes() + weights.astype("<f4").tobytes() + bias.astype("<f4").tobytes()
        rows = weights.reshape(len(weights), -1)
        steps = 127 / np.maximum(np.abs(rows).max(1), 1e-12)
        data = np.clip(np.round(rows * steps[:, None]), -127, 127).astype(np.int8).tobytes()
        parts = [INT8_TAG.tobytes(), data + b"\0" * (-len(data) % 4), bias.astype("<f4").tobytes(),
                 steps.astype("<f4").tobytes(), np.float32(127 / self.ranges[of]).tobytes()]
        return b"".join(parts + ([np.float32(127 / self.ranges[to]).tobytes()] if to else []))

    def conv(self, node, inputs, attributes):
        weights, bias = self.constants[node.input[1]], self.constants[node.input[2]]
        out, activation = node.output[0], ""
        readers = self.readers.get(out, [])
        if len(readers) == 1 and readers[0].op_type in ("Relu", "Clip"):
            activation = "9=1" if readers[0].op_type == "Relu" else "9=3 -23310=2,0.0,6.0"
            out = readers[0].output[0]
        readers = self.readers.get(out, [])
        stays = self.int8 and readers and all(r.op_type == "Conv" for r in readers)
        (down, right), (top, left) = attributes["strides"], attributes["pads"][:2]
        group, form = attributes["group"], f"8={TO_INT8 if stays else TO_FLOAT}" if self.int8 else ""
        parameters = (f"0={weights.shape[0]} 1={weights.shape[3]} 11={weights.shape[2]} 3={right} 13={down} 4={left} "
                      f"14={top} 5=1 6={weights.size} {form} {activation}" + (f" 7={group}" if group > 1 else ""))
        self.layer("ConvolutionDepthWise" if group > 1 else "Convolution", node.name, inputs, [out], parameters)
        self.binary += self.weights(weights, bias, node.input[0], out if stays else None)
        return out

    def gemm(self, node, inputs):
        weights, bias = self.constants[node.input[1]], self.constants[node.input[2]]
        form = f" 8={TO_FLOAT}" if self.int8 else ""
        self.layer("InnerProduct", node.name, inputs, [node.output[0]], f"0={len(weights)} 1=1 2={weights.size}{form}")
        self.binary += self.weights(weights, bias, node.input[0], None)
        return node.output[0]

    def node(self, node):
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        inputs = [self.copies[v].pop() if v in self.copies else v for v in node.input if v not in self.constants]
        if node.op_type == "Conv":
            return self.conv(node, inputs, attributes)
        if node.op_type == "Gemm":
            return self.gemm(node, inputs)
        size, stride, pad = (attributes.get(n, [0])[0] for n in ("kernel_shape", "strides", "pads"))
        kind, parameters = {
            "Relu": ("ReLU", ""), "Add": ("BinaryOp", "0=0"), "Flatten": ("Flatten", ""),
            "GlobalAveragePool": ("Pooling", "0=1 4=1"),
            "MaxPool": ("Pooling", f"0=0 1={size} 2={stride} 3={pad} 5=1"),
            "AveragePool": ("Pooling", f"0=1 1={size} 2={stride} 3={pad} 5=1"),
        }[node.op_type]
        self.layer(kind, node.name, inputs, [node.output[0]], parameters)
        return node.output[0]

    def split(self, value):
        """ncnn wants a copy of a value for each of its readers."""
        readers = len(self.readers.get(value, []))
        if readers > 1:
            self.copies[value] = [f"{value}_{i}" for i in range(readers)]
            self.layer("Split", f"{value}_split", [value], list(self.copies[value]))

    def convert(self, stem):
        self.layer("Input", "input", [], ["input"])
        self.split("input")
        done = set()
        for node in self.model.graph.node:
            if node.output[0] not in done:
                out = self.node(node)
                done.add(out)
                self.split(out)
        text = "\n".join(["7767517", f"{len(self.layers)} {self.blobs}", *self.layers])
        stem.with_suffix(".param").write_text(text + "\n")
        stem.with_suffix(".bin").write_bytes(self.binary)
        return self.output
