"""Load an image and its mask, and pack them for the model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import PixelData

from mmseg.errors import UserError
from mmseg.imagery.bands import RGB, is_bgr
from mmseg.imagery.image import read_bands
from mmseg.imagery.mask import IGNORE_INDEX, UNKNOWN, check_size, read_mask, to_train_ids
from mmseg.registry import TRANSFORMS
from mmseg.structures import SegDataSample

META_KEYS = (
    *("img_path", "seg_map_path", "ori_shape", "img_shape", "flip", "flip_direction"),
    *("reduce_zero_label", "distortion", "group"),
)


@TRANSFORMS.register_module()
@dataclass(eq=False)
class LoadImageFromFile(BaseTransform):
    """Add `img`, (H, W, 3) uint8 BGR, `img_shape` and `ori_shape` from `img_path`.

    An image that is already in `img` is kept. If the data set names its bands, `img` is (H, W, C)
    in their order and bits, and its pixels without image become `fill`, a value for each band; the
    mean of `data_preprocessor` makes them 0. `nodata`, bool (H, W), then tells which they are.
    `imdecode_backend` is for subclasses: all files have one reader.
    """

    imdecode_backend: str = "cv2"
    backend_args: dict | None = None
    fill: Sequence[float] | None = None

    def transform(self, results: dict) -> dict:
        if "img" not in results:
            path, bands, bits = results["img_path"], results.get("bands"), results.get("bits")
            image, valid = read_bands(path, bands, bits or "uint8", self.backend_args)
            if bands and not valid.all():
                results["nodata"] = ~valid
                if self.fill is not None:
                    image[~valid] = fill_value(self.fill, bands, image.dtype)
            results["img"] = image
        results["img_shape"] = results["ori_shape"] = results["img"].shape[:2]
        return results


def fill_value(fill: Sequence[float], bands: Sequence[str], dtype: np.dtype) -> np.ndarray:
    """Return the value of each band of a pixel without image, in the order of the image."""
    if len(fill) != len(bands):
        raise UserError(f"LoadImageFromFile.fill has {len(fill)} values for {len(bands)} bands")
    values = np.asarray(fill)[::-1] if is_bgr(bands, str(dtype)) else np.asarray(fill)
    return values.astype(dtype) if dtype.kind == "f" else np.rint(values).astype(dtype)


@TRANSFORMS.register_module()
@dataclass(eq=False)
class LoadAnnotations(BaseTransform):
    """Add `gt_seg_map`, (H, W) uint8 train ids with 255 = ignored, from `seg_map_path`.

    The data set gives the number of classes, whether 0 is ignored (`reduce_zero_label`, which may
    be repeated here), and which classes become others (`label_map`). Train ids that are already in
    `gt_seg_map` are kept. `seg_fields` names the map, because transforms written for MMSegmentation
    ask it. Without a data set any id is right. Raises `UserError` if there is no mask, or if its
    size is not that of the image.

    A subclass that reads other files overrides `_load_seg_map`; `imdecode_backend` is for it.
    """

    backend_args: dict | None = None
    reduce_zero_label: bool | None = None
    imdecode_backend: str = "pillow"

    def transform(self, results: dict) -> dict:
        results["seg_fields"] = []
        stated = results.setdefault("reduce_zero_label", bool(self.reduce_zero_label))
        if self.reduce_zero_label not in (None, stated):
            raise UserError(
                f"LoadAnnotations(reduce_zero_label={self.reduce_zero_label}) contradicts the data "
                f"set: give the data set reduce_zero_label={self.reduce_zero_label} too"
            )
        if "gt_seg_map" not in results:
            self._load_seg_map(results)
        results["seg_fields"] = sorted({*results["seg_fields"], "gt_seg_map"})
        return results

    def _load_seg_map(self, results: dict) -> None:
        """Add `gt_seg_map` to a sample."""
        path = results.get("seg_map_path")
        if path is None:
            image = results.get("img_path", "a sample")
            raise UserError(f"{image}: has no mask; give data_prefix.seg_map_path")
        values = read_mask(path, self.backend_args, results.get("colour_ids"))
        if "ori_shape" in results:
            check_size(path, values.shape, results.get("img_path", ""), results["ori_shape"])
        reduced = results["reduce_zero_label"]
        classes = results.get("num_classes", IGNORE_INDEX - reduced)
        labels = to_train_ids(values, classes, reduced, path, results.get("label_map"))
        results["gt_seg_map"] = labels
        if "nodata" in results:
            results["gt_seg_map"][results["nodata"]] = IGNORE_INDEX


@TRANSFORMS.register_module()
class LoadUnlabelled(LoadAnnotations):
    """Add `gt_seg_map`, (H, W) uint8, of an image that is trained without its labels.

    255 means that a pixel has no image, and 254 that its class is not known. Other values are the
    classes of the mask, if there is one: `SemiSupervisedHook` compares its own labels with them.
    """

    def _load_seg_map(self, results: dict) -> None:
        if "seg_map_path" in results:
            super()._load_seg_map(results)
        else:
            results["gt_seg_map"] = np.full(results["img_shape"], UNKNOWN, np.uint8)
        labels = results["gt_seg_map"]
        labels[labels == IGNORE_INDEX] = UNKNOWN
        if "nodata" in results:
            labels[results["nodata"]] = IGNORE_INDEX


@TRANSFORMS.register_module()
class PackSegInputs(BaseTransform):
    """Make `inputs`, (C, H, W), and `data_samples`, a `SegDataSample` with the labels.

    An array is copied only if it is read-only or not contiguous. The channels lie last in memory,
    as in the image. `meta_keys` are kept as metadata besides those that `SegDataSample` names.
    Raises `UserError` for an image or labels that a transform has made unfit.
    """

    def __init__(self, meta_keys: Sequence[str] = ()) -> None:
        self.meta_keys = meta_keys

    def transform(self, results: dict) -> dict:
        image = np.require(results["img"], requirements=("C", "W"))
        bands = len(results.get("bands") or RGB)
        if image.ndim == 2 and bands == 1:  # OpenCV drops the axis of a single band
            image = image[..., None]
        if image.ndim != 3 or image.shape[2] != bands:
            raise _unfit(results, f"the image {image.shape}, not (height, width, {bands})")
        sample = SegDataSample()
        for key in dict.fromkeys((*META_KEYS, *self.meta_keys)):
            if key in results:
                sample.set_field(results[key], key, field_type="metainfo")
        if "gt_seg_map" in results:
            labels = np.require(results["gt_seg_map"], requirements=("C", "W"))[None]
            if labels.dtype.kind not in "iu":
                raise _unfit(results, f"the labels {labels.dtype}; resize them by 'nearest'")
            sample.gt_sem_seg = PixelData(data=torch.from_numpy(labels))
        return {"inputs": torch.from_numpy(image).permute(2, 0, 1), "data_samples": sample}


def _unfit(results: dict, what: str) -> UserError:
    return UserError(f"{results.get('img_path')}: a transform of the pipeline has made {what}")
