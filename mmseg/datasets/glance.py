"""Look at a few samples of a data set before a run, and warn of what it should not meet."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import mmcv
import numpy as np
from mmengine.logging import MMLogger
from PIL import Image

from mmseg.datasets.alignment import check_alignment
from mmseg.datasets.classes import single_class_advice
from mmseg.errors import UserError
from mmseg.imagery.mask import IGNORE_INDEX

FEW = 8  # samples
MOST = 2  # fold


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
        with suppress(UserError, KeyError):  # The training will name a bad file.
            found |= set(np.unique(dataset.get_seg_map(index)).tolist())
    classes = dataset.metainfo["classes"]
    if IGNORE_INDEX in found and len(found) == 2 and len(classes) > 1:
        advice = single_class_advice(classes[min(found)])
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
