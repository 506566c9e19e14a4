"""Look at a few samples of a data set before a run, and warn of what it should not meet."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import mmcv
import numpy as np
from mmengine.logging import MMLogger
from PIL import Image

from mmseg.datasets.classes import lonely_class
from mmseg.errors import UserError
from mmseg.imagery.mask import IGNORE_INDEX
from mmseg.randomness import own_generators, seed_all

FEW = 8  # samples
MOST = 2  # fold
DRAWS = 32
BLOCK = 8  # pixels; the marks are squares of this size
# Labels and image agree if their correlation is above this; noise and blots lower it.
AGREEING = 0.3
OWN = ("mmseg", "mmcv")


def glance(dataset: Any) -> None:
    """Warn of masks and sizes that a run should not meet, and check the transforms of a training.

    Raises `UserError` for a transform that moves the image alone.
    """
    few = np.linspace(0, len(dataset) - 1, min(len(dataset), FEW)).astype(int).tolist()
    steps, trains = dataset.pipeline.transforms, not dataset.test_mode
    if trains and dataset.data_prefix.get("seg_map_path"):
        warn_of_one_class(dataset, few)
    if not dataset.METAINFO:  # the recipe of a published data set says how it is resized
        warn_of_resizing([dataset.get_data_info(index)["img_path"] for index in few], steps)
    if trains and few:
        check_alignment(dataset.get_data_info(0), steps)


def warn_of_one_class(dataset: Any, indices: Iterable[int]) -> None:
    """Read masks, and warn if they hold a single class and 255: nothing can be learnt."""
    found = set[int]()
    for index in indices:
        with suppress(Exception):  # The training will name a bad file.
            found |= set(np.unique(dataset.get_seg_map(index)).tolist())
    advice = lonely_class(found - {IGNORE_INDEX}, dataset.metainfo["classes"])
    if advice and IGNORE_INDEX in found:
        folder = dataset.data_prefix["seg_map_path"]
        MMLogger.get_current_instance().warning(f"{folder}: a few masks {advice}")


def warn_of_resizing(paths: Sequence[str], transforms: Iterable[Any]) -> None:
    """Log it if images shrink more than twofold, or if their factors differ more than twofold.

    `transforms` resize the images at `paths` to fit one size. A map is made at the resolution of
    its scene, and a model that saw objects much smaller does not know them there.
    """
    resizes = [getattr(step, "resize", step) for step in transforms]
    scales = [scale for step in resizes if isinstance(scale := getattr(step, "scale", 0), tuple)]
    factors = []
    for path in paths if scales else ():
        with suppress(Exception), Image.open(path) as image:  # The run will name a bad file.
            factors.append(mmcv.rescale_size(image.size, scales[0], return_scale=True)[1])
    low, high = min(factors, default=1), max(factors, default=1)
    if low * MOST < 1 or low * MOST < high:
        MMLogger.get_current_instance().warning(
            f"{paths[0]} and others are resized {low:.2g} to {high:.2g}-fold to fit "
            f"{'x'.join(map(str, scales[0]))}, maps are not: scale=None of RandomScaleCropFlip and "
            "scale_factor=1.0 of Resize keep the size of each image"
        )


def check_alignment(sample: Mapping, steps: Sequence) -> None:
    """Raise `UserError` for a step after which the labels no longer lie where the image shows them.

    Each step that is not of this project or mmcv gets an image with marks, and labels with the same
    marks, `DRAWS` times with other random numbers. A training with such a step would learn noise.
    A step that cannot handle the sample is left to the training.
    """
    results: Any = dict(sample)
    with own_generators():
        for step in steps if any(map(_is_foreign, steps)) else ():
            try:
                samples = _marked(results) if _is_foreign(step) else ()
                faults = [_fault(step(marked)) for marked in samples]
                results = step(results)
            except Exception:  # The training will meet it too, if it is more than the marks.
                return
            for fault in filter(None, faults):
                raise UserError(
                    f"{type(step).__name__} in the training pipeline {fault}; it must change "
                    "all maps that results['seg_fields'] names as it changes the image"
                )
            if results is None:
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
        fields = [*results.get("seg_fields", ())]
        yield {**results, "img": shown.copy(), "gt_seg_map": marks.copy(), "seg_fields": fields}


def _marks(shape: tuple[int, ...]) -> np.ndarray:
    """Return random squares of 0 and 1, uint8."""
    squares = [side // BLOCK + 1 for side in shape]
    drawn = np.random.default_rng(0).integers(0, 2, squares, np.uint8)
    return np.kron(drawn, np.ones((BLOCK, BLOCK), np.uint8))[: shape[0], : shape[1]]


def _fault(results: Mapping | None) -> str | None:
    image, labels = ((results or {}).get(key) for key in ("img", "gt_seg_map"))
    if not isinstance(image, np.ndarray) or not isinstance(labels, np.ndarray):
        return None  # dropped, or packed for the model
    if image.shape[1:] == labels.shape:
        return None  # the channels come first
    if image.shape[:2] != labels.shape[:2]:
        return f"makes an image {image.shape[:2]} and labels {labels.shape[:2]}"
    shown, marks = image.reshape(labels.size, -1).mean(1), _marks(labels.shape)
    are_kept = np.array_equal(labels, marks) and shown.std() > 0
    if are_kept and abs(np.corrcoef(shown, marks.ravel())[0, 1]) <= AGREEING:
        return "moves the pixels of the image and leaves the labels as they were"
    return None
