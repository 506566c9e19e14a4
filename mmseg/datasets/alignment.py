"""Find a transform of the user's that moves the image and leaves its labels as they were."""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np

from mmseg.errors import UserError
from mmseg.randomness import own_generators, seed_all

DRAWS = 32
BLOCK = 8  # pixels; the marks are squares of this size
# Labels and image agree if their correlation is above this; noise and blots lower it.
AGREEING = 0.3
OWN = ("mmseg", "mmcv")


def check_alignment(sample: Mapping, steps: Sequence) -> None:
    """Raise `UserError` for a step after which the labels no longer lie where the image shows them.

    Each step that is not of this project or mmcv gets an image with marks, and labels with the same
    marks, `DRAWS` times with other random numbers. A training with such a step would learn noise.
    A step that cannot handle the sample is left to the training.
    """
    if not any(map(_is_foreign, steps)):
        return
    with own_generators():
        results: Any = dict(sample)
        for step in steps:
            try:
                results, fault = _tried(step, results)
            except Exception:  # The training will meet it too, if it is more than the marks.
                return
            if fault:
                raise UserError(
                    f"{type(step).__name__} in the training pipeline {fault}; it must change all "
                    "maps that results['seg_fields'] names as it changes the image"
                )
            if results is None:
                return


def _is_foreign(step: Any) -> bool:
    if isinstance(step, Iterable):
        return any(map(_is_foreign, step))
    inside = getattr(step, "transforms", ())
    return type(step).__module__.partition(".")[0] not in OWN or _is_foreign(inside)


def _tried(step: Any, results: dict) -> tuple[Any, str | None]:
    """Apply a step; return its result, and what is wrong with it."""
    labels = results.get("gt_seg_map")
    if labels is None or not _is_foreign(step):
        return step(results), None
    height, width = labels.shape
    size = height // BLOCK + 1, width // BLOCK + 1
    squares = np.random.default_rng(0).integers(0, 2, size, np.uint8)
    marks = np.kron(squares, np.ones((BLOCK, BLOCK), np.uint8))[:height, :width]
    image = np.broadcast_to((40 + 170 * marks)[..., None], results["img"].shape)
    marked = {**results, "img": image.astype(results["img"].dtype), "gt_seg_map": marks}
    for seed in range(DRAWS):
        seed_all(seed)
        outcome = step(deepcopy(marked))
        if fault := _fault(outcome, marks):
            return outcome, fault
    return outcome, None


def _fault(outcome: Mapping | None, marks: np.ndarray) -> str | None:
    if not outcome or not {"img", "gt_seg_map"} <= outcome.keys():
        return None  # dropped, or packed for the model
    image, labels = outcome["img"], outcome["gt_seg_map"]
    if image.shape[:2] != labels.shape[:2] and image.shape[1:] != labels.shape:
        return f"makes an image {image.shape[:2]} and labels {labels.shape[:2]}"
    if not np.array_equal(labels, marks):
        return None
    shown = image.reshape(labels.size, -1).mean(1)
    if not shown.std() or abs(np.corrcoef(shown, marks.ravel())[0, 1]) > AGREEING:
        return None
    return "moves the pixels of the image and leaves the labels as they were"
