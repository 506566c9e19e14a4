"""The base of all data sets: pairs of images and masks."""

import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar
from unicodedata import normalize

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.fileio import FileClient
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope

from mmseg.datasets import classes
from mmseg.datasets.cache import ImageCache
from mmseg.datasets.glance import glance
from mmseg.datasets.patterns import patterns_in
from mmseg.datasets.subset import stratified_subset
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.errors import UserError, shorten
from mmseg.files import read_text
from mmseg.imagery.listing import IMAGE_SUFFIXES, names_in
from mmseg.imagery.mask import IGNORE_INDEX, compare_palettes, read_mask, warn_of_nodata
from mmseg.randomness import Seeded
from mmseg.registry import DATASETS, SCOPE, checked_arguments


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
    - `subset=dict(fraction=..., seed=...)`: a fixed, class-stratified share of the images, or with
      `rest=True` the others.
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
        data_prefix: classes.Folders = classes.FOLDERS,
        img_suffix: str | None = None,
        seg_map_suffix: str | None = None,
        reduce_zero_label: bool | None = None,
        subset: classes.Subset | None = None,
        on_bad_sample: classes.Reaction = "raise",
        max_bad_share: float = 0.01,
        cache_in_memory: bool = False,
        group_pattern: str | None = None,
        ignore_index: classes.Ignored = IGNORE_INDEX,
        backend_args: dict | None = None,
        **kwargs: object,
    ) -> None:
        self.group_pattern = group_pattern or self.group_pattern
        self.img_suffix = img_suffix or self.img_suffix
        self.seg_map_suffix = seg_map_suffix or self.seg_map_suffix
        own = {"data_prefix": data_prefix, "ignore_index": ignore_index, "subset": subset}
        own["on_bad_sample"] = on_bad_sample
        checked_arguments(BaseSegDataset, own, type(self).__name__)
        stated = classes.agreed_zero_label(type(self), reduce_zero_label, kwargs)
        if stated is not None:
            self.reduce_zero_label = stated
        self.ignore_index, self.backend_args, self.subset = ignore_index, backend_args, subset
        self.skips = on_bad_sample == "skip" and not kwargs.get("test_mode")
        self.max_bad_share = max_bad_share
        self.bad_samples: torch.Tensor | None = None
        self.cache_in_memory = cache_in_memory
        self.cache: ImageCache | None = None
        self.colour_ids: dict | None = None
        self.patterns = patterns_in(data_prefix, str(kwargs.get("data_root") or "."))
        # The pipeline then means our transforms by their names, with and without a runner.
        with DefaultScope.overwrite_default_scope(SCOPE):
            super().__init__(data_prefix={"img_path": "", **data_prefix}, **kwargs)

    @classmethod
    def _load_metainfo(cls, metainfo: Mapping | None = None) -> dict:
        given = dict(metainfo or {})
        # mmengine takes a text for the name of a file.
        bits = {"bits": given.pop("bits")} if "bits" in given else {}
        info = {**super()._load_metainfo(given), **bits}
        if "classes" in info and "palette" not in given:
            names, colours = (cls.METAINFO.get(key, ()) for key in ("classes", "palette"))
            own = dict(zip(names, colours, strict=False))
            info["palette"] = classes.distinct_colours([own.get(c) for c in info["classes"]])
        classes.check_metainfo(info, cls.METAINFO.get("classes"), cls.__name__)
        return info

    @property
    def metainfo(self) -> dict:
        """Classes, palette and `reduce_zero_label`; `bands`, `bits` and `gsd` if they are known."""
        return {**super().metainfo, "reduce_zero_label": self.reduce_zero_label}

    @cached_property
    def label_map(self) -> dict[int, int] | None:
        """The new id of each class of the masks, if the config names other classes.

        Those that it leaves out are ignored.
        """
        chosen, own = list(self._metainfo["classes"]), list(self.METAINFO.get("classes") or ())
        if not own or chosen == own:
            return None
        return {k: chosen.index(c) if c in chosen else IGNORE_INDEX for k, c in enumerate(own)}

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
        if self.skips and self.bad_samples is None:
            # All workers of a loader write into this memory, forked and spawned ones.
            self.bad_samples = torch.zeros(len(self), dtype=torch.bool).share_memory_()
        glance(self)

    def load_data_list(self) -> list[dict]:
        """List the samples; see `sample`. Raises `UserError` if one of their files is missing."""
        names = self.list_names()
        samples = [self.sample(name) for name in names]
        for key, kind in (("img_path", "images"), ("seg_map_path", "masks")):
            files = [sample[key] for sample in samples if key in sample]
            if absent := [file for file in files if not os.path.isfile(file)]:
                forms = (normalize(form, absent[0]) for form in ("NFC", "NFD"))
                hint = any(map(os.path.isfile, forms)) * " in this Unicode form (convmv --nfc)"
                where = self.data_root or os.curdir
                first = shorten(os.path.relpath(absent[0], where))
                count = f"{len(absent)} of {len(files)} {kind} are not there"
                raise UserError(f"{where}: {count}, as {first}{hint}; {self.source}")
        self.compare_palettes(names)
        return samples

    def filter_data(self) -> list[dict]:
        """Return the samples, or the chosen ones if there is a `subset`."""
        samples = super().filter_data()
        if self.subset is None:
            return samples
        if not all("seg_map_path" in sample for sample in samples):
            raise UserError(f"{type(self).__name__}: subset needs masks (seg_map_path)")
        MMLogger.get_current_instance().info(f"reading the classes of {len(samples)} masks")
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            presence = np.stack(list(pool.map(self.count_pixels, samples))) > 0
        # The names of the samples, as `list_names` gives them.
        folder = self.data_prefix.get("seg_map_path") or "."
        names = [os.path.relpath(sample["seg_map_path"], folder) for sample in samples]
        names = [n.replace(os.sep, "/").removesuffix(self.seg_map_suffix) for n in names]
        chosen = stratified_subset(names, presence, **self.subset)
        self.subset_ids = [names[i] for i in chosen]
        return [samples[i] for i in chosen]

    def list_names(self) -> list[str]:
        """Return the names in `ann_file`, or else of all images; their files may be missing."""
        if self.ann_file:
            if not Path(self.ann_file).is_file():
                raise UserError(f"{self.ann_file}: the list (ann_file) is not there; {self.source}")
            lines = read_text(self.ann_file).splitlines()
            names = [line.strip() for line in lines if line.strip()]
            if not names:
                raise UserError(f"{self.ann_file}: the list is empty")
            return names
        if self.patterns:
            return self.patterns.names()
        images = self.data_prefix["img_path"]
        if not Path(images).is_dir():
            raise UserError(f"{images}: the folder (img_path) is not there; {self.source}")
        files, end = names_in(images), self.img_suffix
        names = sorted(file.removesuffix(end) for file in files if file.endswith(end))
        others = [file for file in files if not file.endswith((end, self.seg_map_suffix))]
        if others := [file for file in others if file.lower().endswith(IMAGE_SUFFIXES)]:
            MMLogger.get_current_instance().warning(
                f"{images}/{others[0]}: it and {len(others) - 1} more images are left out, because "
                f"they do not end in {end!r} (img_suffix); rename them"
            )
        if not names:
            raise UserError(f"{images}: no image ends in {self.img_suffix!r} (img_suffix)")
        return names

    def sample(self, name: str) -> dict:
        """Return `img_path` and, if there are masks, `seg_map_path` of a name."""
        if self.patterns:
            image, mask = self.patterns.files(name)
        else:
            image = str(Path(self.data_prefix["img_path"], name + self.img_suffix))
            mask = str(Path(self.data_prefix.get("seg_map_path") or "", name + self.seg_map_suffix))
        masks = {"seg_map_path": mask} if self.data_prefix.get("seg_map_path") else {}
        return {"img_path": image, **masks}

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

    @property
    def facts(self) -> dict:
        """What reading an image and its mask needs to know of the data set."""
        return {
            "reduce_zero_label": self.reduce_zero_label,
            # Not the property, which copies.
            "num_classes": len(self.label_map or self._metainfo["classes"]),
            "label_map": self.label_map,
            "colour_ids": self.colour_ids,
            **{key: self._metainfo[key] for key in ("bands", "bits") if key in self._metainfo},
        }

    def get_data_info(self, idx: int) -> dict:
        """Return sample `idx`, with the facts that reading its mask needs.

        A subclass may list samples without them, and samples with pixels instead of a path.
        """
        info = {"img_path": f"sample {idx}", **self.facts, **super().get_data_info(idx)}
        pattern = self.group_pattern
        if pattern and (found := re.match(pattern, Path(info["img_path"]).stem)):
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
            if self.bad_samples[idx]:
                return None
            self.bad_samples[idx] = True
            MMLogger.get_current_instance().warning(f"{error}; another sample takes its place")
            count, most = int(self.bad_samples.sum()), self.max_bad_share
            if count > most * len(self):
                counts = f"{count} of {len(self)} samples are bad, more than max_bad_share={most}"
                raise UserError(f"{counts}; the last one: {error}") from error
            return None

    def step(self, kind: type) -> Any:
        """Return the first step of a kind in the pipeline, or one with its defaults."""
        return next((s for s in self.pipeline.transforms if isinstance(s, kind)), None) or kind()

    def get_seg_map(self, index: int) -> np.ndarray:
        """Read the mask of sample `index`: (H, W) uint8 train ids, 255 = ignored."""
        return self.step(LoadAnnotations)(self.get_data_info(index))["gt_seg_map"]

    def count_pixels(self, sample: Mapping) -> np.ndarray:
        """Return how many pixels of each class the mask of a sample has, int64 (C,)."""
        labels = self.step(LoadAnnotations)({**self.facts, **sample})["gt_seg_map"]
        return np.bincount(labels.ravel(), minlength=256)[: len(self._metainfo["classes"])]

    def get_cat_ids(self, idx: int) -> list[int]:
        """Return the classes in the mask of sample `idx`; `ClassBalancedDataset` asks for them."""
        return np.flatnonzero(self.count_pixels(self.get_data_info(idx))).tolist()
