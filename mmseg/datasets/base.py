"""The base of all data sets: pairs of images and masks."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope

from mmseg.datasets.bad_samples import BadSamples
from mmseg.datasets.cache import ImageCache
from mmseg.datasets.classes import check_bands, check_classes, single_class_advice
from mmseg.datasets.subset import check_subset, class_presence, stratified_subset
from mmseg.errors import UserError, shorten
from mmseg.files import read_text
from mmseg.imagery.listing import names_in
from mmseg.imagery.mask import IGNORE_INDEX, read_mask, to_train_ids
from mmseg.randomness import Seeded
from mmseg.registry import DATASETS, SCOPE

# This many masks are read before a training, to warn of masks with a single class.
GLANCE = 8


@DATASETS.register_module()
class BaseSegDataset(Seeded, BaseDataset):
    """A folder of images and a folder of masks; a mask has its image's name and its own suffix.

    Subclasses state the facts of a data set as class attributes. Any folder becomes a data set in
    a config alone, with `metainfo=dict(classes=..., palette=...)` and these arguments:

    - `metainfo` may name more: `bands` of its TIFFs (else red, green, blue), `bits` of a sample
      ("uint8", "uint16" or "float32"), and `gsd`, metres per pixel.
    - `data_prefix=dict(img_path=..., seg_map_path=...)`: the two folders, below `data_root`.
      Without `seg_map_path` there are no masks (prediction only).
    - `ann_file`: a list of names without suffix, one per line; without it, all images.
    - `reduce_zero_label`: the value 0 in a mask is ignored, and k is class k - 1.
    - `subset=dict(fraction=..., seed=...)`: a fixed, class-stratified share of the images.
    - `on_bad_sample`: 'raise' ends a training at a file that cannot be read; 'skip' logs it and
      draws another one, until more than `max_bad_share` of the samples are bad.
    - `cache_in_memory=True` decodes all images and masks once, at the start.
    """

    METAINFO: ClassVar[dict] = {}
    img_suffix = ".jpg"
    seg_map_suffix = ".png"
    reduce_zero_label = False
    source = "data_root and data_prefix of the config say where the images and masks are"

    def __init__(
        self,
        data_prefix: Mapping[str, str],
        img_suffix: str | None = None,
        seg_map_suffix: str | None = None,
        reduce_zero_label: bool | None = None,
        subset: Mapping | None = None,
        on_bad_sample: Literal["raise", "skip"] = "raise",
        max_bad_share: float = 0.01,
        cache_in_memory: bool = False,
        **kwargs: object,
    ) -> None:
        self.img_suffix = img_suffix or self.img_suffix
        self.seg_map_suffix = seg_map_suffix or self.seg_map_suffix
        if reduce_zero_label is not None:
            if self.METAINFO and reduce_zero_label != self.reduce_zero_label:
                raise UserError(
                    f"{type(self).__name__}: reduce_zero_label={reduce_zero_label}, but its masks "
                    f"need {self.reduce_zero_label}, says the class; leave the argument out"
                )
            self.reduce_zero_label = reduce_zero_label
        if unknown := set(data_prefix) - {"img_path", "seg_map_path"}:
            raise UserError(
                f"data_prefix: nothing reads {', '.join(map(repr, sorted(unknown)))}; it has "
                "img_path and seg_map_path"
            )
        check_subset(subset)
        self.subset = subset
        if on_bad_sample not in ("raise", "skip"):
            raise UserError(f"on_bad_sample={on_bad_sample!r}: use 'raise' or 'skip'")
        self.skips = on_bad_sample == "skip" and not kwargs.get("test_mode")
        self.max_bad_share = max_bad_share
        self.bad_samples: BadSamples | None = None
        self.cache_in_memory = cache_in_memory
        self.cache: ImageCache | None = None
        # The pipeline then means our transforms by their names, with and without a runner.
        with DefaultScope.overwrite_default_scope(SCOPE):
            super().__init__(data_prefix=dict(data_prefix), **kwargs)

    @classmethod
    def _load_metainfo(cls, metainfo: Mapping | None = None) -> dict:
        # mmengine takes a text for the name of a file.
        bits = {key: value for key, value in (metainfo or {}).items() if key == "bits"}
        info = super()._load_metainfo({k: v for k, v in (metainfo or {}).items() if k not in bits})
        info |= bits
        check_bands(info, cls.__name__)
        check_classes(info, cls.METAINFO.get("classes"), cls.__name__)
        return info

    @property
    def metainfo(self) -> dict:
        """Classes, palette and `reduce_zero_label`; `bands`, `bits` and `gsd` if they are known."""
        return {**super().metainfo, "reduce_zero_label": self.reduce_zero_label}

    def full_init(self) -> None:
        """List the samples, and decode them if they are to be kept in memory."""
        super().full_init()
        if self.cache_in_memory and not self.cache:
            samples = [self.get_data_info(i) for i in range(len(self))]
            self.cache = ImageCache(samples, self.pipeline.transforms, self.skips)
        if self.skips and not self.bad_samples:
            self.bad_samples = BadSamples(len(self), self.max_bad_share)
        if not self.test_mode and self._has("seg_map_path"):
            self._warn_of_one_class()

    def load_data_list(self) -> list[dict]:
        """List the samples; see `sample`. Raises `UserError` if one of their files is missing."""
        files = {
            "img_path": (self.img_suffix, "images"),
            "seg_map_path": (self.seg_map_suffix, "masks"),
        }
        folders = {key: self._folder(key) for key in files if self._has(key)}
        names = self.list_names()
        for key, folder in folders.items():
            self._check_complete(names, folder, *files[key])
        return [self.sample(name) for name in names]

    def filter_data(self) -> list[dict]:
        """Return the samples, or the chosen ones if there is a `subset`."""
        samples = super().filter_data()
        if self.subset is None:
            return samples
        if not all("seg_map_path" in sample for sample in samples):
            raise UserError(
                f"{type(self).__name__}: subset chooses by the classes in the files of masks, and "
                "not all samples have one (seg_map_path)"
            )
        masks = [sample["seg_map_path"] for sample in samples]
        presence = class_presence(masks, **self._facts_of_masks(), cache_dir=Path(self.data_root))
        # The names of the samples, as `list_names` gives them.
        folder = self.data_prefix.get("seg_map_path") or "."
        names = [os.path.relpath(mask, folder).replace(os.sep, "/") for mask in masks]
        names = [name.removesuffix(self.seg_map_suffix) for name in names]
        chosen = stratified_subset(names, presence, **self.subset)
        self.subset_ids = [names[i] for i in chosen]
        return [samples[i] for i in chosen]

    def list_names(self) -> list[str]:
        """Return the names in `ann_file`, or else of all images; their files may be missing."""
        if self.ann_file:
            if not Path(self.ann_file).is_file():
                raise self._missing(f"the list {self.ann_file} (ann_file)")
            lines = read_text(self.ann_file).splitlines()
            names = [line.strip() for line in lines if line.strip()]
            if not names:
                raise UserError(f"{self.ann_file}: the list is empty")
            return names
        images = self._folder("img_path")
        names = names_in(images, self.img_suffix)
        if not names:
            raise UserError(f"{images}: no image ends in {self.img_suffix!r} (img_suffix)")
        return names

    def sample(self, name: str) -> dict:
        """Return `img_path` and `seg_map_path` of a name, and the facts that its mask needs."""
        image = str(Path(self.data_prefix["img_path"], name + self.img_suffix))
        sample = {"img_path": image, **self._facts_of_masks(), **self._facts_of_images()}
        if self._has("seg_map_path"):
            mask = Path(self.data_prefix["seg_map_path"], name + self.seg_map_suffix)
            sample["seg_map_path"] = str(mask)
        return sample

    def _facts_of_masks(self) -> dict:
        classes = self._metainfo["classes"]  # not the property, which copies
        return {"reduce_zero_label": self.reduce_zero_label, "num_classes": len(classes)}

    def _facts_of_images(self) -> dict:
        return {key: self._metainfo[key] for key in ("bands", "bits") if key in self._metainfo}

    def get_data_info(self, idx: int) -> dict:
        """Return sample `idx`, with the facts that reading its mask needs.

        A subclass may list samples without them, and samples with pixels instead of a path.
        """
        name = {"img_path": f"sample {idx}"}
        facts = {**self._facts_of_masks(), **self._facts_of_images()}
        return {**name, **facts, **super().get_data_info(idx)}

    def prepare_data(self, idx: int) -> Any:
        """Run the pipeline on one sample; mmengine draws another one if this returns None."""
        sample = self.get_data_info(idx)
        if self.cache:
            sample |= self.cache.get(sample)
        try:
            return self.pipeline(sample)
        except UserError as error:
            folder = Path(sample["img_path"]).parent
            if not folder.is_dir():
                raise UserError(f"{folder}: the folder is gone since the training began") from error
            if self.bad_samples is None:
                raise
            self.bad_samples.add(idx, error)
            return None

    def get_seg_map(self, index: int) -> np.ndarray:
        """Read the mask of sample `index`: (H, W) uint8 train ids, 255 = ignored."""
        info = self.get_data_info(index)
        if "gt_seg_map" in info:
            return info["gt_seg_map"]
        path = info["seg_map_path"]
        return to_train_ids(read_mask(path), info["num_classes"], self.reduce_zero_label, path)

    def get_cat_ids(self, idx: int) -> list[int]:
        """Return the classes in the mask of sample `idx`; `ClassBalancedDataset` asks for them."""
        found = np.unique(self.get_seg_map(idx))
        return found[found != IGNORE_INDEX].tolist()

    def _warn_of_one_class(self) -> None:
        """Read a few masks, and warn if they hold a single class and 255: nothing can be learnt."""
        found = set[int]()
        for index in np.linspace(0, len(self) - 1, min(len(self), GLANCE)).astype(int):
            with suppress(UserError, KeyError):  # The training will name a bad file.
                found |= set(np.unique(self.get_seg_map(int(index))).tolist())
        classes = self.metainfo["classes"]
        if IGNORE_INDEX in found and len(found) == 2 and len(classes) > 1:
            advice = single_class_advice(classes[min(found)])
            MMLogger.get_current_instance().warning(
                f"{self.data_prefix['seg_map_path']}: a few masks {advice}"
            )

    def _has(self, key: str) -> bool:
        return bool(self.data_prefix.get(key))

    def _folder(self, key: str) -> Path:
        folder = Path(self.data_prefix[key])
        if not folder.is_dir():
            raise self._missing(f"the folder {folder} ({key})")
        return folder

    def _missing(self, what: str) -> UserError:
        return UserError(f"{type(self).__name__}: {what} is not there; {self.source}")

    def _check_complete(self, names: Sequence[str], folder: Path, suffix: str, kind: str) -> None:
        there = set(names_in(folder, suffix))
        absent = [shorten(name + suffix) for name in names if name not in there]
        if absent:
            shown = ", ".join(absent[:5]) + (", ..." if len(absent) > 5 else "")
            raise UserError(
                f"{folder}: {len(absent)} of {len(names)} {kind} are not there: {shown}; "
                f"{self.source}"
            )
