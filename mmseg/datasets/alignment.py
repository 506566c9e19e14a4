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
                outcomes = [step(each) for each in _marked(results)] if _is_foreign(step) else []
                marks = _marks(results["gt_seg_map"].shape) if outcomes else None
                outcomes = outcomes or [step(results)]
            except Exception:  # The training will meet it too, if it is more than the marks.
                return
            for outcome in outcomes:
                if marks is not None and (fault := _fault(outcome or {}, marks)):
                    raise UserError(
                        f"{type(step).__name__} in the training pipeline {fault}; it must change "
                        "all maps that results['seg_fields'] names as it changes the image"
                    )
            if (results := outcomes[-1]) is None:
                return


def _is_foreign(step: Any) -> bool:
    if isinstance(step, Iterable):
        return any(map(_is_foreign, step))
    inside = getattr(step, "transforms", ())
    return type(step).__module__.partition(".")[0] not in OWN or _is_foreign(inside)


def _marked(results: Mapping) -> Iterable[dict]:
    """Yield samples whose image shows the marks that are its labels, each with another seed."""
    image, labels = results.get("img"), results.get("gt_seg_map")
    if not isinstance(image, np.ndarray) or getattr(labels, "shape", ()) != image.shape[:2]:
        return
    marks = _marks(image.shape[:2])
    shown = np.broadcast_to((40 + 170 * marks)[..., None], image.shape).astype(image.dtype)
    for seed in range(DRAWS):
        seed_all(seed)
        fields = list(results.get("seg_fields", ()))
        own = {"img": shown.copy(), "gt_seg_map": marks.copy(), "seg_fields": fields}
        yield {**results, **own}


def _marks(shape: tuple[int, ...]) -> np.ndarray:
    """Return random squares of 0 and 1, uint8."""
    squares = [side // BLOCK + 1 for side in shape]
    drawn = np.random.default_rng(0).integers(0, 2, squares, np.uint8)
    return np.kron(drawn, np.ones((BLOCK, BLOCK), np.uint8))[: shape[0], : shape[1]]


def _fault(results: Mapping, marks: np.ndarray) -> str | None:
    image, labels = results.get("img"), results.get("gt_seg_map")
    if not isinstance(image, np.ndarray) or not isinstance(labels, np.ndarray):
        return None  # dropped, or packed for the model
    if image.shape[1:] == labels.shape:
        return None  # the channels come first
    if image.shape[:2] != labels.shape[:2]:
        return f"makes an image {image.shape[:2]} and labels {labels.shape[:2]}"
    shown = image.reshape(labels.size, -1).mean(1)
    if not np.array_equal(labels, marks) or not shown.std():
        return None
    if abs(np.corrcoef(shown, marks.ravel())[0, 1]) > AGREEING:
        return None
    return "moves the pixels of the image and leaves the labels as they were"
