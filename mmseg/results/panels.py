"""An image, its truth, its prediction and the errors, side by side."""

from pathlib import Path

import cv2
import mmcv
import numpy as np

from mmseg.errors import UserError
from mmseg.imagery.image import read_image
from mmseg.imagery.listing import OutputNames
from mmseg.imagery.mask import read_mask, to_train_ids
from mmseg.imagery.pictures import error_map, overlay, side_by_side
from mmseg.results.runs import Run

SIDE = 360  # the longest side of a picture, in pixels


def panel(run: Run, index: int, predictions: Path) -> np.ndarray:
    """Draw image `index` of a run, RGB uint8; its prediction is a PNG in `predictions`.

    A picture whose file is gone is left out, and so are truth and errors without a mask.
    """
    classes, palette = run.facts["classes"], run.facts["palette"]
    zero = run.facts["reduce_zero_label"]
    name, mask = str(run.counts.names[index]), str(run.counts.masks[index])
    pictures, ids = [], []
    try:
        image = mmcv.bgr2rgb(read_image(name))
        pictures.append(image)
        for path in (mask, str(OutputNames(str(predictions))(name))):
            values = read_mask(path)
            ids.append(to_train_ids(values, len(classes), zero, path))
            pictures.append(overlay(image, ids[-1], palette, 0.6))
        pictures.append(error_map(image, *ids))
    except UserError:
        pass
    scaled = [_small(picture) for picture in pictures]
    return side_by_side(scaled) if scaled else np.full((SIDE, SIDE, 3), 255, np.uint8)


def _small(picture: np.ndarray) -> np.ndarray:
    factor = min(1, SIDE / max(picture.shape[:2]))
    return cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
