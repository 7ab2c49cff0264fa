"""Turn the taps so that plain distance between them is distance between the teachers' features.

Distillation fixes the taps only up to a linear map: the heads H that predict the teachers are thrown away, and with them the
knowledge of which directions matter. Distance in the teachers' standardised space is |H (a - b)|; it is also |A (a - b)| with the
square root A of H^T H, which is as small as the tap itself. Each tap ends a linear residual stream that only 1x1 convolutions
write and read, so A can be folded into the writers and its inverse into the readers: the net computes the same, at no cost, in a
basis where Euclidean distance means what the heads meant.
"""

from __future__ import annotations

import numpy as np

from backbone import Folded, FoldedConv

# The deep tap's share in the distance, in units of tap8's. Below one because a defect must be found where it is.
DEEP_SHARE = 0.7


def streams(folded: Folded) -> list[tuple[list[FoldedConv], list[FoldedConv]]]:
    """For each residual stream in network order: the projections that add into it, and the convolutions that read it."""
    found: list[tuple[list[FoldedConv], list[FoldedConv]]] = []
    for i, block in enumerate(b for stage in folded.stages for b in stage):
        if i > 0:
            found[-1][1].append(block.convs[0])
        if block.residual:
            found[-1][0].append(block.convs[-1])
        else:
            found.append(([block.convs[-1]], []))
    return found


def root(heads: list[np.ndarray]) -> np.ndarray:
    """The symmetric square root of the mean over teachers of H^T H / rows; each H is [teacher channels, tap channels]."""
    gram = sum(h.T.astype(np.float64) @ h / len(h) for h in heads)
    values, vectors = np.linalg.eigh(gram)
    if values[0] < 1e-6 * values[-1]:
        raise ValueError(f"the heads ignore some direction of the tap (eigenvalues {values[0]:.1e} to {values[-1]:.1e})")
    return (vectors * np.sqrt(values)) @ vectors.T


def to_teacher_metric(folded: Folded, heads8: list[np.ndarray], heads16: list[np.ndarray]) -> None:
    """Changes `folded` in place; its taps become those of the teachers' metric."""
    of_stage = [[b.convs[-1].name for b in stage] for stage in folded.stages]
    for names, heads, share in zip(of_stage, (heads8, heads16), (1.0, DEEP_SHARE)):
        basis = root(heads) * share
        writers, readers = next(s for s in streams(folded) if s[0][-1].name == names[-1])
        inverse = np.linalg.inv(basis)
        for conv in writers:
            conv.weight = np.einsum("oc,cikl->oikl", basis, conv.weight).astype(np.float32)
            conv.bias = (basis @ conv.bias).astype(np.float32)
        for conv in readers:
            if conv.groups != 1 or conv.weight.shape[2] != 1:
                raise ValueError(f"{conv.name} reads a tap and is not a 1x1 convolution")
            conv.weight = np.einsum("oikl,ic->ockl", conv.weight, inverse).astype(np.float32)
