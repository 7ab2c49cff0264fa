"""Read a float backbone of the zoo back from its ONNX file.

The file holds folded convolutions only (no batch norm, no heads), which is all that a frozen teacher needs.
"""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import numpy_helper

from backbone import ARCHITECTURES, Folded, FoldedBlock, FoldedConv


def read_folded(path: Path) -> tuple[Folded, dict[str, str]]:
    """The convolutions of a float zoo file and its metadata; an error says what is not as export.py writes it."""
    model = onnx.load(path)
    metadata = {p.key: p.value for p in model.metadata_props}
    name = metadata.get("jidoka.backbone", "")
    if name not in ARCHITECTURES:
        raise SystemExit(f"error: {path}: jidoka.backbone is {name!r}, expected one of {', '.join(ARCHITECTURES)}")
    values = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    nodes = {n.name: n for n in model.graph.node}

    def conv(label: str, relu: bool) -> FoldedConv:
        node = nodes.get(label)
        if node is None or node.op_type != "Conv":
            raise SystemExit(f"error: {path}: no float convolution named {label} (an int8 file cannot be read back)")
        settings = {a.name: a for a in node.attribute}
        weight, bias = (values[f"{label}.{part}"].copy() for part in ("weight", "bias"))
        return FoldedConv(label, weight, bias, settings["strides"].ints[0], settings["group"].i, tuple(settings["pads"].ints), relu)

    arch = ARCHITECTURES[name]
    stages, channels = [], arch.stem
    for stage, blocks in (("s8", arch.to_s8), ("s16", arch.to_s16)):
        folded = []
        for i, block in enumerate(blocks):
            roles = ("expand", "depthwise", "project") if block.expand else ("depthwise", "project")
            convs = [conv(f"{stage}.{i}.{role}", role != "project") for role in roles]
            folded.append(FoldedBlock(convs, block.stride == 1 and channels == block.out))
            channels = block.out
        stages.append(folded)
    return Folded(conv("stem", True), (stages[0], stages[1])), metadata
