"""What reads the inputs of each kind. A reader raises `UserError`, or its result is right."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import inputs
import numpy as np
from PIL import Image

from mmseg.checkpoints.loading import load_model_weights
from mmseg.config import load_config
from mmseg.datasets import build_dataset
from mmseg.datasets.converters.landcover import convert_landcover
from mmseg.datasets.converters.relabel import convert_voc_aug
from mmseg.datasets.transforms import LoadAnnotations, LoadImageFromFile
from mmseg.errors import UserError


def read_image(path: Path) -> None:
    image = LoadImageFromFile()({"img_path": str(path)})["img"]
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size
    if path.read_bytes().startswith(b"\x89PNG"):  # lossless: another decoder must agree
        with Image.open(path) as other:
            if not other.mode.startswith("I") and "transparency" not in other.info:
                np.testing.assert_array_equal(image[..., ::-1], np.asarray(other.convert("RGB")))


def read_mask(path: Path) -> None:
    info = {"seg_map_path": str(path), "img_path": "a.jpg", "ori_shape": inputs.SIZE}
    values = LoadAnnotations()({**info, "num_classes": 3, "reduce_zero_label": False})["gt_seg_map"]
    assert values.dtype == np.uint8 and values.shape == inputs.SIZE
    assert set(np.unique(values)) <= {0, 1, 2, 255}


def read_list(path: Path) -> None:
    for kind, suffix in (("img", ".jpg"), ("ann", ".png")):
        (path.parent / kind).mkdir()
        for name in inputs.NAMES:
            (path.parent / kind / f"{name}{suffix}").touch()
    config = {"type": "BaseSegDataset", "data_root": str(path.parent), "ann_file": path.name}
    config["data_prefix"] = {"img_path": "img", "seg_map_path": "ann"}
    config["metainfo"] = {"classes": ("x",), "palette": [(0, 0, 0)]}
    dataset = build_dataset({**config, "pipeline": []})
    names = [Path(dataset.get_data_info(i)["img_path"]).stem for i in range(len(dataset))]
    assert names == path.read_bytes().decode("utf-8-sig").split()
    assert set(names) <= set(inputs.NAMES)


def read_geotiff(path: Path) -> None:
    image = LoadImageFromFile()({"img_path": str(path)})["img"]
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size


def convert_zip(path: Path) -> None:
    out = path.parent / "out"
    try:
        convert_landcover(path, out, tile=inputs.TILE)
    except UserError:
        assert not (out / "splits").exists() and not (out / "class_pixels.json").exists()
        raise
    finally:
        assert not (out / ".unpacked").exists()
    counts = json.loads((out / "class_pixels.json").read_text())
    tiles = {"train": 4, "val": 2, "test": 1}
    assert {name: sum(counts[name]) // inputs.TILE**2 for name in tiles} == tiles


def load_weights(path: Path) -> None:
    model = inputs.network(value=0)
    load_model_weights(model, path)
    if path.read_bytes().startswith(b"PK"):  # torch's old format has no check sums
        assert all((parameter == 0.5).all() for parameter in model.parameters())


def read_config(path: Path) -> None:
    assert load_config(path).filename == str(path)


def convert_mat(path: Path) -> None:
    voc, sbd = path.parent / "devkit/VOC2012", path.parent / "sbd/dataset"
    lists = voc / "ImageSets/Segmentation"
    for folder, names in ((lists, ""), (sbd, "case\n")):
        folder.mkdir(parents=True)
        (folder / "train.txt").write_text(names)
        (folder / "val.txt").write_text("")
    (sbd / "cls").mkdir()
    path.rename(sbd / "cls/case.mat")
    mask = voc / "SegmentationClassAug/case.png"
    try:
        convert_voc_aug(voc.parent, sbd.parent, allow_partial=True)
    except UserError:
        assert not mask.exists() and not (lists / "trainaug.txt").exists()
        raise
    values = np.asarray(Image.open(mask))
    assert values.dtype == np.uint8 and values.ndim == 2
    assert set(np.unique(values)) <= {*range(21), 255}


class Kind(NamedTuple):
    """Inputs of one kind, and what reads a file of them."""

    suffix: str
    valid: Sequence[bytes]
    hostile: Sequence[bytes]
    read: Callable[[Path], None]
    is_text: bool = False


KINDS: dict[str, Callable[[], Kind]] = {
    "image": lambda: Kind(".jpg", inputs.images(), inputs.hostile_images(), read_image),
    "mask": lambda: Kind(".png", inputs.masks(), inputs.hostile_images(), read_mask),
    "list": lambda: Kind(".txt", inputs.LISTS, inputs.HOSTILE_LISTS, read_list, True),
    "geotiff": lambda: Kind(".tif", inputs.geotiffs(), inputs.hostile_geotiffs(), read_geotiff),
    "zip": lambda: Kind(".zip", inputs.zips(), inputs.hostile_zips(), convert_zip),
    "checkpoint": lambda: Kind(
        ".pth", inputs.checkpoints(), inputs.hostile_checkpoints(), load_weights
    ),
    "config": lambda: Kind(".py", inputs.configs(), inputs.HOSTILE_CONFIGS, read_config, True),
    "mat": lambda: Kind(".mat", inputs.mats(), [], convert_mat),
}
