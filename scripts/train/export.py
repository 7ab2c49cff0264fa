"""Write a backbone as ONNX, and prove that onnxruntime agrees with torch.

The graph holds Conv, Relu and Add only. Input `image` f32 [1,3,S,S] (RGB, 0..1), outputs `tap8` and `tap16`; nothing in it
depends on S, so a reader may change the input's size to any multiple of 16. What the file is goes into `metadata_props` under
`jidoka.*`.

    python export.py --checkpoint run/final.pt --images cache.npy --out ../../models/zoo/edge-s.onnx
    python export.py --init edge-s --out init.onnx      # random weights, to build against
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

import equalise
import metric
from backbone import ARCHITECTURES, Backbone, Folded, FoldedConv, fold

OPSET = 13
# ONNX IR 8 is what opset 13 readers of 2021 and later accept; newer IR versions add nothing that is used here.
IR_VERSION = 8
# The contract of the zoo: torch and onnxruntime agree to this, relative to the largest feature.
TOLERANCE = 1e-4


class GraphWriter:
    """Collects nodes and initializers."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def conv(self, source: str, conv: FoldedConv, out: str | None = None) -> str:
        """Appends `conv` (and its Relu); returns the name of the result."""
        kernel = conv.weight.shape[2]
        result = out or conv.name
        raw = f"{result}.raw" if conv.relu else result
        for suffix, value in (("weight", conv.weight), ("bias", conv.bias)):
            self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), f"{conv.name}.{suffix}"))
        self.nodes.append(
            helper.make_node(
                "Conv",
                [source, f"{conv.name}.weight", f"{conv.name}.bias"],
                [raw],
                name=conv.name,
                kernel_shape=[kernel, kernel],
                strides=[conv.stride, conv.stride],
                pads=list(conv.pads),
                group=conv.groups,
            )
        )
        if conv.relu:
            self.nodes.append(helper.make_node("Relu", [raw], [result], name=f"{conv.name}.relu"))
        return result

    def add(self, a: str, b: str, out: str) -> str:
        self.nodes.append(helper.make_node("Add", [a, b], [out], name=out))
        return out


def to_onnx(folded: Folded, name: str, size_px: int, metadata: dict[str, str]) -> onnx.ModelProto:
    """The whole net as an ONNX model."""
    writer = GraphWriter()
    x = writer.conv("image", folded.stem)
    for stage, tap in zip(folded.stages, ("tap8", "tap16")):
        for i, block in enumerate(stage):
            start, last = x, i == len(stage) - 1
            for conv in block.convs:
                ends_stage = last and conv is block.convs[-1] and not block.residual
                x = writer.conv(x, conv, tap if ends_stage else None)
            if block.residual:
                x = writer.add(start, x, tap if last else f"{block.convs[-1].name}.sum")
    taps = [
        helper.make_tensor_value_info(
            tap, TensorProto.FLOAT, [1, stage[-1].convs[-1].weight.shape[0], size_px // stride, size_px // stride]
        )
        for tap, stage, stride in zip(("tap8", "tap16"), folded.stages, (8, 16))
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, size_px, size_px])
    graph = helper.make_graph(writer.nodes, name, [image], taps, writer.initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="jidoka")
    model.ir_version = IR_VERSION
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    return model


def disagreement(model: onnx.ModelProto, net: Backbone, size_px: int, seed: int = 0) -> float:
    """Largest |onnxruntime - torch| over both taps, relative to the largest feature, on a random image.

    The taps may have been turned and scaled (metric.py, equalise.py), so a linear map is fitted and taken out first.
    """
    import onnxruntime

    image = np.random.default_rng(seed).random((1, 3, size_px, size_px), np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        want = [t.numpy() for t in net.eval().float()(torch.from_numpy(image))]
    got = session.run(["tap8", "tap16"], {"image": image})
    worst = 0.0
    for g, w in zip(got, want):
        g, w = (t[0].reshape(t.shape[1], -1).T.astype(np.float64) for t in (g, w))
        turned = g @ np.linalg.lstsq(g, w, rcond=None)[0]
        worst = max(worst, float(np.abs(turned - w).max() / np.abs(w).max()))
    return worst


def write_model(model: onnx.ModelProto, path: Path) -> str:
    """Writes by rename, so that a reader never sees half a file; returns the sha256."""
    data = model.SerializeToString(deterministic=True)
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    return hashlib.sha256(data).hexdigest()


def base_metadata(name: str, folded: Folded, size_px: int) -> dict[str, str]:
    """What every zoo file says about itself."""
    return {
        "jidoka.kind": "backbone",
        "jidoka.backbone": name,
        "jidoka.image": "RGB, f32, NCHW, 0..1; any multiple of 16 px",
        "jidoka.parameters": str(folded.parameters()),
        f"jidoka.macs_at_{size_px}": str(folded.macs(size_px)),
        "jidoka.licence": "MIT OR Apache-2.0",
    }


def load_checkpoint(path: Path) -> tuple[Backbone, dict[int, list[np.ndarray]], dict[str, str]]:
    """The averaged (EMA) net of a distil.py checkpoint, its heads by scale, and its provenance."""
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    heads: dict[int, list[np.ndarray]] = {8: [], 16: []}
    for i, target in enumerate(checkpoint["targets"]):
        heads[target["scale"]].append(checkpoint["average"][f"heads.{i}.weight"][:, :, 0, 0].numpy())
    net = Backbone(checkpoint["backbone"])
    net.load_state_dict({k.removeprefix("net."): v for k, v in checkpoint["average"].items() if k.startswith("net.")})
    return net, heads, checkpoint["provenance"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--checkpoint", type=Path, help="a checkpoint written by distil.py")
    source.add_argument("--init", choices=sorted(ARCHITECTURES), help="random weights of this architecture (seed 0)")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=Path, help="the array written by images.py: equalise channels for int8 on 64 of them")
    parser.add_argument("--size-px", type=int, default=256, help="input size written into the graph (multiple of 16)")
    args = parser.parse_args()
    if args.size_px % 16:
        parser.error(f"--size-px {args.size_px} is not a multiple of 16")

    if args.init:
        torch.manual_seed(0)
        net, heads, provenance = Backbone(args.init), None, {"jidoka.trained": "no: random weights, seed 0"}
    else:
        net, heads, provenance = load_checkpoint(args.checkpoint)
    folded = fold(net.eval())
    if heads:
        metric.to_teacher_metric(folded, heads[8], heads[16])
        provenance["jidoka.metric"] = "euclidean: compare taps as they are, without dividing channels by their deviation"
    if args.images:
        sample = np.load(args.images, mmap_mode="r")[:64].transpose(0, 3, 1, 2)
        equalise.equalise(folded, torch.from_numpy(sample.astype(np.float32) / 255))
    model = to_onnx(folded, net.name, args.size_px, base_metadata(net.name, folded, args.size_px) | provenance)
    error = disagreement(model, net, args.size_px)
    if not error < TOLERANCE:
        print(f"error: onnxruntime and torch differ by {error:.2e} (limit {TOLERANCE:.0e}); nothing written", file=sys.stderr)
        return 1
    digest = write_model(model, args.out)
    print(
        f"{args.out}: {folded.macs(args.size_px) / 1e6:.1f} MMAC at {args.size_px} px, {folded.parameters()} parameters, "
        f"onnxruntime agrees to {error:.1e}, sha256 {digest}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
