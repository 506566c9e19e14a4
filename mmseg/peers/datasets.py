"""Data sets by the names of MMSegmentation: those of 0.x, and one that mixes its images."""

import os
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

import mmcv
import numpy as np
from mmengine.registry import DefaultScope

from mmseg import datasets
from mmseg.compat.legacy.data import translate_dataset
from mmseg.datasets.base import BaseSegDataset
from mmseg.errors import UserError
from mmseg.peers import by_entry
from mmseg.peers.transforms import IGNORED, Augmentation, Chance, Label, offer, require
from mmseg.registry import DATASETS, SCOPE, TRANSFORMS

PIPELINES = TRANSFORMS
# Arguments of 0.x that `translate_dataset` turns into those of `BaseSegDataset`.
LEGACY = {"img_dir", "ann_dir", "split", "classes", "palette"}

# Names of data sets as MMSegmentation writes them, without dashes and in lower case.
KNOWN = by_entry(
    {
        "ADE20KDataset": "ade ade20k",
        "COCOStuffDataset": "cocostuff cocostuff10k cocostuff164k",
        "CityscapesDataset": "cityscapes",
        "ISPRSDataset": "vaihingen",
        "LoveDADataset": "loveda",
        "PascalContextDataset": "pcontext pascalcontext voc2010",
        "PascalVOCDataset": "voc pascalvoc voc12 voc12aug",
        "PotsdamDataset": "potsdam",
        "iSAIDDataset": "isaid",
    }
)


def _known(name: str) -> dict:
    key = name.lower().replace("-", "").replace("_", "")
    if key not in KNOWN:
        raise UserError(f"data set {name!r}: there are {', '.join(sorted(KNOWN))}")
    return getattr(datasets, KNOWN[key]).METAINFO


def get_classes(dataset: str) -> list[str]:
    """Return the classes of a data set by one of its names in MMSegmentation."""
    return list(_known(dataset)["classes"])


def get_palette(dataset: str) -> list:
    """Return the (R, G, B) of the classes of a data set by one of its names in MMSegmentation."""
    return list(_known(dataset)["palette"])


@DATASETS.register_module()
class CustomDataset(BaseSegDataset):
    """The base of data sets in 0.x: subclasses state `CLASSES` and `PALETTE`, not `METAINFO`.

    It takes the arguments of 0.x and those of `BaseSegDataset`. A subclass may list its samples in
    `load_annotations`.
    """

    CLASSES: Sequence[str] | None = None
    PALETTE: Sequence | None = None

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if "CLASSES" in vars(cls) and cls.CLASSES is not None:
            palette = {} if cls.PALETTE is None else {"palette": list(cls.PALETTE)}
            cls.METAINFO = {"classes": tuple(cls.CLASSES), **palette}

    def __init__(self, pipeline: Sequence = (), test_mode: bool = False, **kwargs: Any) -> None:
        kwargs.pop("file_client_args", None)
        kwargs.pop("gt_seg_map_loader_cfg", None)
        if LEGACY & kwargs.keys():
            kwargs = translate_dataset({**kwargs, "pipeline": pipeline}, test_mode, {})
            steps = kwargs.pop("pipeline")
            pipeline = steps if pipeline else ()
        super().__init__(**{"pipeline": list(pipeline), "test_mode": test_mode, **kwargs})
        self.CLASSES, self.PALETTE = (self._metainfo[key] for key in ("classes", "palette"))

    def load_annotations(
        self,
        img_dir: str,
        img_suffix: str,
        ann_dir: str | None,
        seg_map_suffix: str,
        split: str | None,
    ) -> list[dict]:
        """List the samples: the `filename` below `img_dir`, the mask below `ann_dir` in `ann`."""
        samples: list[dict] = []
        for sample in super().load_data_list():
            samples.append({"filename": os.path.relpath(sample["img_path"], img_dir)})
            if path := sample.get("seg_map_path"):
                samples[-1]["ann"] = {"seg_map": os.path.relpath(path, ann_dir)}
        return samples

    def load_data_list(self) -> list[dict]:
        prefix: Any = self.data_prefix
        self.img_dir, self.ann_dir = prefix["img_path"], prefix.get("seg_map_path")
        self.split = self.ann_file or None
        folders = self.img_dir, self.img_suffix, self.ann_dir, self.seg_map_suffix
        self.img_infos = self.load_annotations(*folders, self.split)
        samples = []
        for info in self.img_infos:
            sample = {"img_path": os.path.join(self.img_dir, info["filename"])}
            if self.ann_dir and "ann" in info:
                sample["seg_map_path"] = os.path.join(self.ann_dir, info["ann"]["seg_map"])
            samples.append(sample)
        return samples

    def get_gt_seg_maps(self, efficient_test: object = None) -> Iterator[np.ndarray]:
        """Yield the masks of all samples: (H, W) uint8 train ids, 255 = ignored."""
        return map(self.get_seg_map, range(len(self)))


class RandomMosaic(Augmentation):
    """With the chance `prob`, lay four images around a random centre, each scaled to `img_scale`.

    The result is twice `img_scale` (height, width) large. The image itself is the upper left one,
    the others are the `mix_results` of `MultiImageMixDataset`.
    """

    prob: Chance
    img_scale: tuple[int, int] = (640, 640)
    center_ratio_range: tuple[float, float] = (0.5, 1.5)
    pad_val: float = 0
    seg_pad_val: Label = IGNORED

    def get_indices(self, dataset: Sequence) -> list[int]:
        """Draw three samples."""
        return [np.random.randint(len(dataset)) for _ in range(3)]

    def transform(self, results: dict) -> dict:
        if np.random.rand() >= self.prob:
            return results
        sides = self.img_scale[::-1]
        centre = [int(np.random.uniform(*self.center_ratio_range) * side) for side in sides]
        require("mix_results" in results, "RandomMosaic: wrap the data set in MultiImageMixDataset")
        samples = [results, *results["mix_results"]]
        for key in ("img", *(results.get("seg_fields") or ("gt_seg_map",))):
            if key in results:
                how = (self.pad_val, "bilinear") if key == "img" else (self.seg_pad_val, "nearest")
                results[key] = self._mosaic([each[key] for each in samples], centre, *how)
        results["img_shape"] = results["ori_shape"] = results["img"].shape[:2]
        return results

    def _mosaic(self, parts: list, centre: list[int], fill: float, method: str) -> np.ndarray:
        height, width = self.img_scale
        mosaic = np.full((2 * height, 2 * width, *parts[0].shape[2:]), fill, parts[0].dtype)
        for number, part in enumerate(parts):
            scale = min(height / part.shape[0], width / part.shape[1])
            wide, high = int(part.shape[1] * scale), int(part.shape[0] * scale)
            part = mmcv.imresize(part, (wide, high), interpolation=method)
            # One corner of the part is at the centre. What lies outside the mosaic is cut off.
            left, top = centre[0] - wide * (number in (0, 2)), centre[1] - high * (number in (0, 1))
            inside = mosaic[max(top, 0) : top + high, max(left, 0) : left + wide]
            part = part[max(-top, 0) :, max(-left, 0) :]
            inside[:] = part[: inside.shape[0], : inside.shape[1]]
        return mosaic


class MultiImageMixDataset(datasets.RepeatDataset):
    """A data set and a pipeline whose steps may ask for more of its samples (`get_indices`).

    The inner data set's own pipeline loads them. A sample depends on its seed alone.
    """

    def __init__(
        self,
        dataset: Any,
        pipeline: Sequence[dict],
        skip_type_keys: Sequence[str] | None = None,
        lazy_init: bool = False,
    ) -> None:
        with DefaultScope.overwrite_default_scope(SCOPE):
            super().__init__(dataset, times=1, lazy_init=lazy_init)
            kept = [step for step in pipeline if step["type"] not in (skip_type_keys or ())]
            self.pipeline = [TRANSFORMS.build(step) for step in kept]

    def __getitem__(self, index: Any) -> Any:
        results = deepcopy(super().__getitem__(index))
        for step in self.pipeline:
            if hasattr(step, "get_indices"):
                indices = np.atleast_1d(step.get_indices(self.dataset)).tolist()
                results["mix_results"] = [deepcopy(self.dataset[each]) for each in indices]
            results = step(results)
            results.pop("mix_results", None)
        return results


offer(DATASETS, MultiImageMixDataset)
