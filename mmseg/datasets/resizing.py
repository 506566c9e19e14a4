"""Warn of images that a pipeline makes much smaller, or enlarges and shrinks by turns."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import mmcv
from mmengine.logging import MMLogger
from PIL import Image

MOST = 2  # fold


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
