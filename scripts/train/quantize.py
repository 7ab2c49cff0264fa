"""Quantise a float ONNX of the zoo to int8, and say what it cost.

    python quantize.py --model ../../models/zoo/edge-s.onnx --images cache.npy --out ../../models/zoo/edge-s.int8.onnx

Static QDQ: weights s8, symmetric, one scale an output channel; activations u8, one scale and zero point a tensor, from calibration
images (the last of the cache, which distil.py holds out). The first layers stay f32 (`--float`): on the even ground of most parts what
matters there is a few grey levels, which u8 steps made for whole photographs round away, and everything after inherits that noise.
Their weights are few and their result is small. Outputs stay f32, after DequantizeLinear. The report gives the signal to quantisation
noise ratio of each tap on further images; a model under `--least-db` is not written.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from export import write_model

METHODS = {
    "minmax": (CalibrationMethod.MinMax, {}),
    "average": (CalibrationMethod.MinMax, {"CalibMovingAverage": True, "CalibMovingAverageConstant": 0.02}),
    "percentile": (CalibrationMethod.Percentile, {"CalibPercentile": 99.999}),
    "entropy": (CalibrationMethod.Entropy, {}),
}

SUFFIXES = (
    ("_QuantizeLinear_Output", ".q"),
    ("_DequantizeLinear_Output", ".d"),
    ("_QuantizeLinear_Input", ".i"),
    ("_quantized", ".q"),
    ("_zero_point", ".z"),
    ("_scale", ".s"),
    (".weight", ".w"),
    (".bias", ".b"),
    ("depthwise", "dw"),
    ("expand", "ex"),
    ("project", "pr"),
)


class Images(CalibrationDataReader):
    """Feeds images one by one."""

    def __init__(self, images: np.ndarray, name: str):
        self.images, self.name, self.next = images, name, 0

    def get_next(self) -> dict[str, np.ndarray] | None:
        if self.next == len(self.images):
            return None
        self.next += 1
        return {self.name: as_input(self.images[self.next - 1])}


def as_input(image: np.ndarray) -> np.ndarray:
    """u8 [S,S,3] -> f32 [1,3,S,S] in 0..1."""
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32) / 255


def quantised(
    source: Path,
    images: np.ndarray,
    method: str,
    nodes: list[str] | None = None,
) -> onnx.ModelProto:
    """The QDQ model, with the metadata of its source. `nodes` restricts quantisation to some nodes by name."""
    model = onnx.load(source)
    calibrate, options = METHODS[method]
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "int8.onnx"
        quantize_static(
            source,
            target,
            Images(images, model.graph.input[0].name),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            calibrate_method=calibrate,
            nodes_to_quantize=nodes,
            extra_options={"ActivationSymmetric": False, "WeightSymmetric": True} | options,
        )
        result = onnx.load(target)
    del result.metadata_props[:]
    helper.set_model_props(result, {p.key: p.value for p in model.metadata_props})
    return result


def exact_image_scale(model: onnx.ModelProto) -> None:
    """Sets the image's quantisation, where it has one, to scale 1/255, zero point 0, whatever the calibration images span."""
    name = model.graph.input[0].name
    node = next((n for n in model.graph.node if n.op_type == "QuantizeLinear" and n.input[0] == name), None)
    if node is None:
        return
    values = {node.input[1]: np.float32(1 / 255), node.input[2]: np.uint8(0)}
    for initializer in model.graph.initializer:
        if initializer.name in values:
            value = np.asarray(values[initializer.name]).reshape(tuple(initializer.dims))
            initializer.CopyFrom(numpy_helper.from_array(value, initializer.name))


def shorten_names(model: onnx.ModelProto) -> None:
    """onnxruntime's tensor names are a third of a small model's file."""
    outside = {v.name for v in (*model.graph.input, *model.graph.output)}
    short: dict[str, str] = {}

    def renamed(name: str) -> str:
        if name in outside or not name:
            return name
        if name not in short:
            tail = name
            for long, brief in SUFFIXES:
                tail = tail.replace(long, brief)
            short[name] = tail
        return short[name]

    for node in model.graph.node:
        node.input[:] = [renamed(n) for n in node.input]
        node.output[:] = [renamed(n) for n in node.output]
        # Convolutions keep the name that profiles and cards use, and so does a ReLU, whose result is called like its convolution; the
        # rest is implied.
        node.name = node.name if node.op_type in ("Conv", "Relu") else ""
    for initializer in model.graph.initializer:
        initializer.name = renamed(initializer.name)
    del model.graph.value_info[:]
    assert len(set(short.values())) == len(short), "two tensors got the same short name"


def taps(model: onnx.ModelProto, images: np.ndarray) -> dict[str, np.ndarray]:
    """Every output over all images."""
    options = onnxruntime.SessionOptions()
    # QDQ as it is written: see evaluate.py.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    rows = [session.run(names, {session.get_inputs()[0].name: as_input(x)}) for x in images]
    return {name: np.concatenate(column) for name, column in zip(names, zip(*rows))}


def noise_ratio_db(reference: np.ndarray, other: np.ndarray) -> float:
    """Variance of the reference (per channel mean taken away) over the mean squared error, in dB."""
    signal = np.square(reference - reference.mean((0, 2, 3), keepdims=True)).sum(dtype=np.float64)
    return float(10 * np.log10(signal / np.square(reference - other).sum(dtype=np.float64)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="the float ONNX")
    parser.add_argument("--images", type=Path, required=True, help="the array written by images.py, of the model's input size")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=96, help="calibration images; as many again are for the report (at most 128)")
    parser.add_argument("--method", choices=sorted(METHODS), default="average", help="how activation ranges are chosen")
    parser.add_argument("--float", nargs="*", default=["stem", "s8.0.", "s8.1."], help="beginnings of the names of layers left in f32")
    parser.add_argument("--least-db", type=float, default=20.0)
    args = parser.parse_args()
    # distil.py holds out the last 256 images.
    if not 1 <= args.count <= 128:
        parser.error(f"--count {args.count}: expected 1 to 128")
    unseen = np.load(args.images, mmap_mode="r")[-2 * args.count :]
    calibration, probes = unseen[: args.count], unseen[args.count :]

    nodes = [n.name for n in onnx.load(args.model).graph.node if not n.name.startswith(tuple(args.float))]
    model = quantised(args.model, calibration, args.method, nodes)
    exact_image_scale(model)
    shorten_names(model)
    reference = taps(onnx.load(args.model), probes)
    ratios = {k: noise_ratio_db(reference[k], v) for k, v in taps(model, probes).items()}
    if min(ratios.values()) < args.least_db:
        print(f"error: signal to noise {ratios} is under {args.least_db} dB; nothing written", file=sys.stderr)
        return 1
    report = ", ".join(f"{k} {v:.1f} dB" for k, v in ratios.items())
    properties = {p.key: p.value for p in model.metadata_props} | {
        "jidoka.quantised": f"QDQ, s8 weights per channel, u8 activations, {args.count} calibration images, {args.method} ranges"
        + (f"; f32: {', '.join(args.float)}" if args.float else ""),
        "jidoka.quantisation_noise": report,
        "jidoka.quantised_from": hashlib.sha256(args.model.read_bytes()).hexdigest(),
    }
    del model.metadata_props[:]
    helper.set_model_props(model, properties)
    onnx.checker.check_model(model, full_check=True)
    digest = write_model(model, args.out)
    print(f"{args.out}: {args.out.stat().st_size} bytes, signal to quantisation noise {report}, sha256 {digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
