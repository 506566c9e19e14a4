"""Data sets as code for MMSegmentation 0.x writes, registers and asks them."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mmseg import datasets
from mmseg.compat.legacy.data import translate_dataset
from mmseg.datasets.base import BaseSegDataset
from mmseg.errors import UserError
from mmseg.peers import by_entry
from mmseg.registry import DATASETS, TRANSFORMS

PIPELINES = TRANSFORMS
# Arguments of 0.x that `translate_dataset` turns into those of `BaseSegDataset`.
LEGACY = ("img_dir", "ann_dir", "split", "classes", "palette")

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
        if any(key in kwargs for key in LEGACY):
            old = {"type": "CustomDataset", **kwargs, "pipeline": pipeline}
            kwargs = translate_dataset(old, test_mode, {})
            steps = kwargs.pop("pipeline")
            pipeline = steps if pipeline else ()
            del kwargs["type"]
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
