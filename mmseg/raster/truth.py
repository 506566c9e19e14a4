"""A map compared with the ground truth."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import rasterio
import torch
from mmengine.logging import MMLogger
from rasterio.errors import RasterioError

from mmseg.errors import UserError
from mmseg.evaluation.confusion import confusion_matrix
from mmseg.imagery.mask import to_train_ids
from mmseg.raster.cog import NODATA
from mmseg.raster.georeference import is_measurable, places_in
from mmseg.raster.rows import read_rows
from mmseg.raster.scene import Scene


def compare(path: str, truth: str, meta: Mapping[str, Any]) -> np.ndarray:
    """Return the confusion matrix of a map, int64 (K, K): rows are the truth's classes.

    The truth has the values of the data set's masks: if `meta` has `reduce_zero_label`, 0 is
    ignored and k is class k - 1. A pixel does not count if its truth is 255 or nodata, or if the
    map has no class there.
    """
    num_classes, reduce_zero_label = len(meta["classes"]), meta.get("reduce_zero_label", False)
    total = np.zeros((num_classes, num_classes), np.int64)
    for (_, ids), (_, known) in zip(read_rows(path), read_rows(truth, masked=True), strict=True):
        values = np.ma.filled(known.astype(np.int64), NODATA)
        values[ids == NODATA] = NODATA
        labels = to_train_ids(values, num_classes, reduce_zero_label, truth)
        pair = torch.from_numpy(ids), torch.from_numpy(labels)
        total += confusion_matrix(*pair, num_classes).numpy()
    return total


def check_truth(truth: str, scene: Scene, meta: Mapping[str, Any]) -> None:
    """Raise `UserError` unless `truth` is one band of class ids on the scene's own pixels."""
    try:
        with rasterio.open(truth) as raster:
            (height, width), count, dtype = raster.shape, raster.count, raster.dtypes[0]
            crs, transform, nodata = raster.crs or scene.crs, raster.transform, raster.nodata
    except RasterioError as error:
        raise UserError(f"{truth}: not a readable raster") from error
    if (height, width) != (scene.height, scene.width):
        raise UserError(
            f"{truth}: the truth has {width} x {height} pixels, the scene {scene.width} x "
            f"{scene.height}"
        )
    if count != 1 or not np.issubdtype(dtype, np.integer):
        raise UserError(
            f"{truth}: the truth has {count} bands of {dtype}; one band of class ids is compared"
        )
    names = dict(enumerate(meta["classes"], start=1 if meta.get("reduce_zero_label") else 0))
    if nodata in names:
        MMLogger.get_current_instance().info(
            f"{truth}: its nodata value is {nodata:g}, the id of {names[nodata]!r}: pixels of that "
            "class are not compared"
        )
    if scene.is_measurable and is_measurable(crs, transform, height, width):
        corners = np.array([(0, 0), (width, 0), (0, height)])
        found = places_in(corners, transform, crs, scene.transform, scene.crs)
        if not np.abs(found - corners).max() <= 0.5:
            raise UserError(
                f"{truth}: the truth lies elsewhere than the scene: its upper left corner is at "
                f"column {found[0, 0]:.1f}, row {found[0, 1]:.1f} of {scene.path}"
            )
