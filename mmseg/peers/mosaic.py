"""Training samples of four images: `RandomMosaic` and the data set that gives it the others."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import mmcv
import numpy as np
from mmengine.registry import DefaultScope

from mmseg.datasets import RepeatDataset
from mmseg.peers.transforms import IGNORED, Augmentation, Chance, Label, offer, require
from mmseg.registry import DATASETS, SCOPE, TRANSFORMS


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


class MultiImageMixDataset(RepeatDataset):
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
