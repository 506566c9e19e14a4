"""Do the sides compute the same? Asked before their times are compared."""

from collections.abc import Mapping

import torch
from torch import Tensor

from mmseg.errors import UserError

# Largest difference, as a share of the largest value. Gradients of float32 differ by 1e-4 from
# those of float64 at 512x512 (one ReLU's mask).
TOLERANCES = {"logits": 1e-4, "loss": 1e-5, "gradients": 1e-3}
AMP_TOLERANCE = 0.2
# Logits a rounding apart may change places.
CLASSES_TOLERANCE = 1e-3


def differences(ours: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> dict[str, float]:
    """Return how far two workers' numbers are apart: see TOLERANCES; of `classes`, the share of
    pixels; `logits of amp` are ours against the other's of float32. `UserError` for other shapes.
    """
    pairs = {name: (ours[name], other[name]) for name in (*TOLERANCES, "classes")}
    if "logits of amp" in ours:
        pairs["logits of amp"] = (ours["logits of amp"], other["logits"])
    for name, (own, theirs) in pairs.items():
        if own.shape != theirs.shape:
            raise UserError(f"{name} differ in shape: {tuple(own.shape)}, {tuple(theirs.shape)}")
    return {
        name: (own != theirs).double().mean().item() if name == "classes" else _gap(own, theirs)
        for name, (own, theirs) in pairs.items()
    }


def _gap(own: Tensor, theirs: Tensor) -> float:
    return ((own - theirs).abs().max() / theirs.abs().max()).item()


def check_equal(ours: Mapping[str, Tensor], other: Mapping[str, Tensor], name: str) -> dict:
    """Return `differences`; `UserError` when they are more than rounding."""
    found = differences(ours, other)
    limits = {**TOLERANCES, "classes": CLASSES_TOLERANCE, "logits of amp": AMP_TOLERANCE}
    # Written so that NaN does not pass.
    wrong = [f"{what} by {gap:.1e}" for what, gap in found.items() if not gap <= limits[what]]
    if wrong:
        raise UserError(
            f"ours and {name} do not compute the same, so their times say nothing: "
            f"{', '.join(wrong)}"
        )
    return found


def read_numbers(path: str) -> dict[str, Tensor]:
    """Read what a worker's `check` wrote."""
    return torch.load(path, weights_only=True)
