"""The exported graph: image -> teacher and student on one stem -> `anomaly_map`, `pred_score`; and the proof that it is right."""

from __future__ import annotations

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from backbone import Folded, FoldedConv
from export import IR_VERSION, OPSET, GraphWriter

from .model import Residual, anomaly_map, blur_kernel, score_map

# onnxruntime and torch may differ by this share of the largest value of the map.
TOLERANCE = 1e-4


class Writer(GraphWriter):
    """Convolutions, and the few other operators of the score."""

    def constant(self, name: str, value: np.ndarray) -> str:
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, op: str, inputs: list[str], out: str, **attributes) -> str:
        self.nodes.append(helper.make_node(op, inputs, [out], name=out, **attributes))
        return out

    def chain(self, source: str, convs: list[FoldedConv]) -> str:
        for conv in convs:
            source = self.conv(source, conv)
        return source

    def resize(self, source: str, out: str, shape: list[int]) -> str:
        sizes = self.constant(f"{out}.sizes", np.array(shape, np.int64))
        return self.node(
            "Resize", [source, "", "", sizes], out, mode="linear", coordinate_transformation_mode="half_pixel"
        )


def teacher_taps(writer: Writer, folded: Folded) -> tuple[str, str, str]:
    """Appends the backbone as export.py does; returns stem, tap8, tap16."""
    stem = x = writer.conv("image", folded.stem)
    taps = []
    for stage, tap in zip(folded.stages, ("tap8", "tap16")):
        for i, block in enumerate(stage):
            start, last = x, i == len(stage) - 1
            for conv in block.convs:
                x = writer.conv(x, conv, tap if last and conv is block.convs[-1] and not block.residual else None)
            if block.residual:
                x = writer.add(start, x, tap if last else f"{block.convs[-1].name}.sum")
        taps.append(x)
    return stem, taps[0], taps[1]


def to_onnx(
    folded: Folded, student: dict[str, list[FoldedConv]], residual: Residual, size_px: int, metadata: dict[str, str]
) -> onnx.ModelProto:
    """The whole model, f32."""
    writer, side = Writer(), size_px // 8
    stem, tap8, tap16 = teacher_taps(writer, folded)
    trunk8 = writer.chain(stem, student["to8"])
    guess8 = writer.chain(trunk8, student["head8"])
    guess16 = writer.chain(writer.chain(trunk8, student["to16"]), student["head16"])
    sums = []
    for k, (tap, guess) in enumerate(((tap8, guess8), (tap16, guess16))):
        difference = writer.node("Sub", [tap, guess], f"residual{k}.difference")
        bias = writer.constant(f"residual{k}.bias", residual.bias[k].numpy())
        centred = writer.node("Sub", [difference, bias], f"residual{k}.centred")
        squared = writer.node("Mul", [centred, centred], f"residual{k}.squared")
        weight = writer.constant(f"residual{k}.weight", residual.weight[k].numpy())
        weighted = writer.node("Mul", [squared, weight], f"residual{k}.weighted")
        axis = writer.constant(f"residual{k}.axis", np.array([1], np.int64))
        sums.append(writer.node("ReduceSum", [weighted, axis], f"residual{k}.sum", keepdims=1))
    coarse = writer.resize(sums[1], "residual1.upsampled", [1, 1, side, side])
    score = writer.node("Add", [sums[0], coarse], "scores")
    finish(writer, score, side, size_px)
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, size_px, size_px])
    outputs = [
        helper.make_tensor_value_info("anomaly_map", TensorProto.FLOAT, [1, 1, size_px, size_px]),
        helper.make_tensor_value_info("pred_score", TensorProto.FLOAT, [1]),
    ]
    graph = helper.make_graph(writer.nodes, "teacher-student", [image], outputs, writer.initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="jidoka")
    model.ir_version = IR_VERSION
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    return model


def finish(writer: Writer, score: str, side: int, size_px: int) -> None:
    """Smoothing on the grid, the map at full size, its maximum: as models/src/graph/heads.rs."""
    weight = writer.constant("blur.weight", blur_kernel())
    blurred = writer.node("Conv", [score, weight], "blur.zero_padded", kernel_shape=[5, 5], pads=[2, 2, 2, 2])
    inside = np.convolve(np.ones(side), blur_kernel()[0, 0].sum(0), "same")
    border = writer.constant("blur.border", (1 / np.outer(inside, inside))[None, None].astype(np.float32))
    smoothed = writer.node("Mul", [blurred, border], "blur")
    writer.resize(smoothed, "anomaly_map", [1, 1, size_px, size_px])
    writer.node("ReduceMax", ["anomaly_map"], "pred_score", axes=[1, 2, 3], keepdims=0)


def disagreement(model: onnx.ModelProto, teacher, student, standard, residual: Residual, image: torch.Tensor) -> float:
    """Largest |onnxruntime - torch| over the map of one image, as a share of the map's largest value."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    got = session.run(["anomaly_map"], {"image": image.numpy()})[0]
    with torch.inference_mode():
        stem, taps = teacher(image)
        # The residual's statistics are in the teacher's units; the student predicts standardised ones.
        guess = [g * s + m for g, s, m in zip(student.eval()(stem), standard.spread, standard.mean)]
        want = anomaly_map(score_map(taps, guess, residual), tuple(image.shape[2:])).numpy()
    return float(np.abs(got - want).max() / np.abs(want).max())
