"""The base of all data sets: pairs of images and masks."""

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.fileio import FileClient
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope

from mmseg.config.parts import steps_of
from mmseg.datasets.alignment import check_alignment
from mmseg.datasets.bad_samples import BadSamples
from mmseg.datasets.cache import ImageCache
from mmseg.datasets.classes import (
    check_bands,
    check_classes,
    label_map,
    palette_of,
    single_class_advice,
)
from mmseg.datasets.patterns import PathPatterns, check_complete
from mmseg.datasets.resizing import warn_of_resizing
from mmseg.datasets.subset import check_subset, class_presence, stratified_subset
from mmseg.errors import UserError
from mmseg.files import read_text
from mmseg.imagery.listing import names_in, other_spellings
from mmseg.imagery.mask import IGNORE_INDEX, read_mask, to_train_ids
from mmseg.imagery.palettes import compare_palettes, warn_of_nodata
from mmseg.randomness import Seeded
from mmseg.registry import DATASETS, SCOPE

# This many samples are looked at before a run, to warn of masks with a single class and of images
# that are resized much.
GLANCE = 8
FOLDERS = {"img_path": "", "seg_map_path": ""}


@DATASETS.register_module()
class BaseSegDataset(Seeded, BaseDataset):
    r"""A folder of images and a folder of masks; a mask has its image's name and its own suffix.

    Subclasses state the facts of a data set as class attributes. Any folder becomes a data set in
    a config alone, with `metainfo=dict(classes=..., palette=...)` and these arguments:

    - `metainfo` may name more: `bands` of its TIFFs (else red, green, blue), `bits` of a sample
      ("uint8", "uint16" or "float32"), and `gsd`, metres per pixel.
    - `data_prefix=dict(img_path=..., seg_map_path=...)`: the two folders, below `data_root`.
      Without `seg_map_path` there are no masks (prediction only). Both may be patterns of paths
      (`PathPatterns`), to which the suffixes then belong.
    - `ann_file`: a list of names without suffix, one per line; without it, all images.
    - `reduce_zero_label`: the value 0 in a mask is ignored, and k is class k - 1.
    - `metainfo=dict(classes=...)` of a known data set may name some of its classes in any order;
      the others are ignored (`label_map`). Without a palette, colours are drawn.
    - `subset=dict(fraction=..., seed=...)`: a fixed, class-stratified share of the images.
    - `on_bad_sample`: 'raise' ends a training at a file that cannot be read; 'skip' logs it and
      draws another one, until more than `max_bad_share` of the samples are bad.
    - `group_pattern`: a regular expression whose first group, in the name of an image, is the place
      that it belongs to, as r"(.+)_\d+" for numbered tiles of sheets. Intervals of scores need it.
    - `cache_in_memory=True` decodes all images and masks once, at the start.
    """

    METAINFO: ClassVar[dict] = {}
    img_suffix = ".jpg"
    seg_map_suffix = ".png"
    reduce_zero_label = False
    group_pattern: str | None = None
    source = "data_root and data_prefix of the config say where the images and masks are"

    def __init__(
        self,
        data_prefix: Mapping[str, str] = FOLDERS,
        img_suffix: str | None = None,
        seg_map_suffix: str | None = None,
        reduce_zero_label: bool | None = None,
        subset: Mapping | None = None,
        on_bad_sample: Literal["raise", "skip"] = "raise",
        max_bad_share: float = 0.01,
        cache_in_memory: bool = False,
        group_pattern: str | None = None,
        ignore_index: int = IGNORE_INDEX,
        backend_args: dict | None = None,
        **kwargs: object,
    ) -> None:
        self.group_pattern = group_pattern or self.group_pattern
        self.img_suffix = img_suffix or self.img_suffix
        self.seg_map_suffix = seg_map_suffix or self.seg_map_suffix
        steps = steps_of(kwargs.get("pipeline", ()), "LoadAnnotations")
        stated = [kwargs.get("metainfo") or {}, *steps]
        said = {reduce_zero_label, *(each.get("reduce_zero_label") for each in stated)} - {None}
        if len(said) > 1:
            raise UserError("reduce_zero_label is True in one place and False in another")
        for reduce_zero_label in said:
            # A class that the user wrote for MMSegmentation states it in its own constructor.
            author = next((c for c in type(self).__mro__ if vars(c).get("METAINFO")), None)
            known = author and author.__module__.startswith("mmseg.")
            if known and reduce_zero_label != self.reduce_zero_label:
                raise UserError(
                    f"{type(self).__name__}: reduce_zero_label={reduce_zero_label}, but its masks "
                    f"need {self.reduce_zero_label}, says the class; leave the argument out"
                )
            self.reduce_zero_label = reduce_zero_label
        if ignore_index != IGNORE_INDEX:
            raise UserError(f"ignore_index={ignore_index}: only {IGNORE_INDEX} is ignored here")
        self.ignore_index, self.backend_args = ignore_index, backend_args
        if unknown := set(data_prefix) - set(FOLDERS):
            raise UserError(
                f"data_prefix: nothing reads {', '.join(map(repr, sorted(unknown)))}; it has "
                "img_path and seg_map_path"
            )
        for key, folder in data_prefix.items():
            if not isinstance(folder, str | os.PathLike | None):
                raise UserError(f"data_prefix.{key}={folder!r}: give one folder, or ConcatDataset")
        check_subset(subset)
        self.subset = subset
        if on_bad_sample not in ("raise", "skip"):
            raise UserError(f"on_bad_sample={on_bad_sample!r}: use 'raise' or 'skip'")
        self.skips = on_bad_sample == "skip" and not kwargs.get("test_mode")
        self.max_bad_share = max_bad_share
        self.bad_samples: BadSamples | None = None
        self.cache_in_memory = cache_in_memory
        self.cache: ImageCache | None = None
        self.colour_ids: dict | None = None
        self.patterns: PathPatterns | None = None
        if PathPatterns.are_in(data_prefix):
            self.patterns = PathPatterns(str(kwargs.get("data_root") or "."), data_prefix)
        # The pipeline then means our transforms by their names, with and without a runner.
        with DefaultScope.overwrite_default_scope(SCOPE):
            super().__init__(data_prefix={"img_path": "", **data_prefix}, **kwargs)

    @classmethod
    def _load_metainfo(cls, metainfo: Mapping | None = None) -> dict:
        # mmengine takes a text for the name of a file.
        bits = {key: value for key, value in (metainfo or {}).items() if key == "bits"}
        info = super()._load_metainfo({k: v for k, v in (metainfo or {}).items() if k not in bits})
        info |= bits
        if "classes" in info and "palette" not in (metainfo or {}):
            info["palette"] = palette_of(info["classes"], cls.METAINFO)
        check_bands(info, cls.__name__)
        check_classes(info, cls.METAINFO.get("classes"), cls.__name__)
        return info

    @property
    def metainfo(self) -> dict:
        """Classes, palette and `reduce_zero_label`; `bands`, `bits` and `gsd` if they are known."""
        return {**super().metainfo, "reduce_zero_label": self.reduce_zero_label}

    @cached_property
    def label_map(self) -> dict[int, int] | None:
        """The new id of each class of the masks, if the config names other classes."""
        return label_map(self._metainfo["classes"], self.METAINFO.get("classes"))

    @property
    def file_client(self) -> FileClient:
        """The disk, as data sets of MMSegmentation ask for it."""
        return FileClient("disk")

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
        if not self.METAINFO:  # the recipe of a published data set says how it is resized
            paths = [self.get_data_info(index)["img_path"] for index in self._some()]
            warn_of_resizing(paths, self.pipeline.transforms)
        if not self.test_mode and len(self):
            check_alignment(self.get_data_info(0), self.pipeline.transforms)

    def load_data_list(self) -> list[dict]:
        """List the samples; see `sample`. Raises `UserError` if one of their files is missing."""
        if self.patterns:
            self.patterns.check_complete(names := self.list_names())
        else:
            images = self._folder("img_path"), self.img_suffix, "images"
            kinds = [images]
            if self._has("seg_map_path"):
                kinds.append((self._folder("seg_map_path"), self.seg_map_suffix, "masks"))
            names = self.list_names()
            for kind in kinds:
                check_complete(names, *kind, self.source)
        self.compare_palettes(names)
        return [self.sample(name) for name in names]

    def filter_data(self) -> list[dict]:
        """Return the samples, or the chosen ones if there is a `subset`."""
        samples = super().filter_data()
        if self.subset is None:
            return samples
        if not all("seg_map_path" in sample for sample in samples):
            raise UserError(f"{type(self).__name__}: subset needs masks (seg_map_path)")
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
        if self.patterns:
            return self.patterns.names()
        images = self._folder("img_path")
        names = names_in(images, self.img_suffix)
        if others := other_spellings(images, self.img_suffix):
            MMLogger.get_current_instance().warning(
                f"{others[0]}: it and {len(others) - 1} more images are left out, because they do "
                f"not end in {self.img_suffix!r} (img_suffix); rename them"
            )
        if not names:
            raise UserError(f"{images}: no image ends in {self.img_suffix!r} (img_suffix)")
        return names

    def sample(self, name: str) -> dict:
        """Return `img_path` and `seg_map_path` of a name, and the facts that its mask needs."""
        if self.patterns:
            image, mask = self.patterns.files(name)
        else:
            image = str(Path(self.data_prefix["img_path"], name + self.img_suffix))
            mask = str(Path(self.data_prefix.get("seg_map_path") or "", name + self.seg_map_suffix))
        masks = {"seg_map_path": mask} if self._has("seg_map_path") else {}
        return {"img_path": image, **self._facts_of_masks(), **self._facts_of_images(), **masks}

    def compare_palettes(self, names: Sequence[str]) -> None:
        """Read the masks by their colours from now on if their palettes differ.

        Raises `UserError` if the colours of two of them cannot be read.
        """
        from mmseg.imagery.geotiff import nodata_of  # Not all programs need GDAL.

        paths = [self.sample(name).get("seg_map_path") for name in names]
        self.colour_ids, differing = compare_palettes([p for p in paths if p], self.metainfo)
        for path in differing:
            read_mask(path, None, self.colour_ids)
        for path in filter(None, paths[:1]):
            warn_of_nodata(path, nodata_of(path), self.metainfo)

    def _facts_of_masks(self) -> dict:
        return {
            "reduce_zero_label": self.reduce_zero_label,
            # Not the property, which copies.
            "num_classes": len(self.label_map or self._metainfo["classes"]),
            "label_map": self.label_map,
            "colour_ids": self.colour_ids,
        }

    def _facts_of_images(self) -> dict:
        return {key: self._metainfo[key] for key in ("bands", "bits") if key in self._metainfo}

    def get_data_info(self, idx: int) -> dict:
        """Return sample `idx`, with the facts that reading its mask needs.

        A subclass may list samples without them, and samples with pixels instead of a path.
        """
        name = {"img_path": f"sample {idx}"}
        facts = {**self._facts_of_masks(), **self._facts_of_images()}
        info = {**name, **facts, **super().get_data_info(idx)}
        if self.group_pattern and (
            found := re.match(self.group_pattern, Path(info["img_path"]).stem)
        ):
            info.setdefault("group", found[1])
        return info

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
        values = read_mask(path, None, info["colour_ids"])
        return to_train_ids(
            values, info["num_classes"], self.reduce_zero_label, path, self.label_map
        )

    def get_cat_ids(self, idx: int) -> list[int]:
        """Return the classes in the mask of sample `idx`; `ClassBalancedDataset` asks for them."""
        found = np.unique(self.get_seg_map(idx))
        return found[found != IGNORE_INDEX].tolist()

    def _warn_of_one_class(self) -> None:
        """Read a few masks, and warn if they hold a single class and 255: nothing can be learnt."""
        found = set[int]()
        for index in self._some():
            with suppress(UserError, KeyError):  # The training will name a bad file.
                found |= set(np.unique(self.get_seg_map(index)).tolist())
        classes = self.metainfo["classes"]
        if IGNORE_INDEX in found and len(found) == 2 and len(classes) > 1:
            advice = single_class_advice(classes[min(found)])
            MMLogger.get_current_instance().warning(
                f"{self.data_prefix['seg_map_path']}: a few masks {advice}"
            )

    def _some(self) -> list[int]:
        """Return the numbers of a few samples, evenly spread."""
        return np.linspace(0, len(self) - 1, min(len(self), GLANCE)).astype(int).tolist()

    def _has(self, key: str) -> bool:
        return bool(self.data_prefix.get(key))

    def _folder(self, key: str) -> Path:
        folder = Path(self.data_prefix[key])
        if not folder.is_dir():
            raise self._missing(f"the folder {folder} ({key})")
        return folder

    def _missing(self, what: str) -> UserError:
        return UserError(f"{type(self).__name__}: {what} is not there; {self.source}")
