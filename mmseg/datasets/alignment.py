"""Find a transform of the user's that moves the image and leaves its labels as they were."""

from collections.abc import Iterable, Mapping, Sequence
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
                outcomes = list(_outcomes(step, results))
            except Exception:  # The training will meet it too, if it is more than the marks.
                return
            marks = _marks(results)
            for outcome in outcomes:
                if marks is not None and (fault := _fault(outcome, marks)):
                    raise UserError(
                        f"{type(step).__name__} in the training pipeline {fault}; it must change "
                        "all maps that results['seg_fields'] names as it changes the image"
                    )
            results = outcomes[-1]
            if results is None:
                return


def _is_foreign(step: Any) -> bool:
    if isinstance(step, Iterable):
        return any(map(_is_foreign, step))
    inside = getattr(step, "transforms", ())
    return type(step).__module__.partition(".")[0] not in OWN or _is_foreign(inside)


def _outcomes(step: Any, results: dict) -> Iterable[Any]:
    marks = _marks(results)
    if marks is None or not _is_foreign(step):
        yield step(results)
        return
    image = results["img"]
    shown = np.broadcast_to((40 + 170 * marks)[..., None], image.shape).astype(image.dtype)
    for seed in range(DRAWS):
        seed_all(seed)
        fields = list(results.get("seg_fields", ()))
        own = {"img": shown.copy(), "gt_seg_map": marks.copy(), "seg_fields": fields}
        yield step({**results, **own})


def _marks(results: Any) -> np.ndarray | None:
    """Return random squares of 0 and 1, (H, W) uint8, or None if there are no labels to mark."""
    image, labels = results.get("img"), results.get("gt_seg_map")
    if not _are_arrays(image, labels) or image.shape[:2] != labels.shape:
        return None
    height, width = labels.shape
    squares = np.random.default_rng(0).integers(
        0, 2, (height // BLOCK + 1, width // BLOCK + 1), np.uint8
    )
    return np.kron(squares, np.ones((BLOCK, BLOCK), np.uint8))[:height, :width]


def _are_arrays(*maps: Any) -> bool:
    return all(isinstance(each, np.ndarray) for each in maps)


def _fault(results: Mapping | None, marks: np.ndarray) -> str | None:
    found: Any = results or {}
    image, labels = found.get("img"), found.get("gt_seg_map")
    if not _are_arrays(image, labels) or image.shape[1:] == labels.shape:
        return None  # dropped, or packed for the model
    if image.shape[:2] != labels.shape[:2]:
        return f"makes an image {image.shape[:2]} and labels {labels.shape[:2]}"
    if not np.array_equal(labels, marks):
        return None
    shown = image.reshape(labels.size, -1).mean(1)
    if not shown.std() or abs(np.corrcoef(shown, marks.ravel())[0, 1]) > AGREEING:
        return None
    return "moves the pixels of the image and leaves the labels as they were"
