"""What a right result of each kind of input is: `consume` raises `UserError`, or checks it."""

import shutil
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import hostile
import numpy as np
import originals
import torch
from mutations import BINARY, TEXT, Mutation
from PIL import Image

from mmseg.checkpoints.loading import load_model_weights
from mmseg.config import load_config
from mmseg.datasets import build_dataset
from mmseg.datasets.converters.landcover import convert_landcover
from mmseg.datasets.converters.voc_aug import convert_voc_aug
from mmseg.datasets.transforms import LoadAnnotations, LoadImageFromFile
from mmseg.errors import UserError
from mmseg.imagery.tiles import full_tiles, iter_full_tiles, raster_shape


class Kind(NamedTuple):
    suffix: str
    mutations: tuple[Mutation, ...]
    originals: Callable[[], Sequence[bytes]]
    hostile: Callable[[], Sequence[bytes]]
    consume: Callable[[Path], None]


def read_image(path: Path) -> None:
    image = LoadImageFromFile()({"img_path": str(path)})["img"]
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size
    if path.read_bytes().startswith(b"\x89PNG"):
        # PNG is lossless: another decoder must agree on every pixel.
        with Image.open(path) as other:
            if not other.mode.startswith("I") and "transparency" not in other.info:
                np.testing.assert_array_equal(image[..., ::-1], np.asarray(other.convert("RGB")))


def read_mask(path: Path) -> None:
    info = {"seg_map_path": str(path), "img_path": "a.jpg", "ori_shape": originals.SIZE}
    info.update(num_classes=3, reduce_zero_label=False)
    values = LoadAnnotations()(info)["gt_seg_map"]
    assert values.dtype == np.uint8 and values.shape == originals.SIZE
    assert set(np.unique(values)) <= {0, 1, 2, 255}


def read_list(path: Path) -> None:
    for kind, suffix in (("img", ".jpg"), ("ann", ".png")):
        (path.parent / kind).mkdir()
        for name in originals.NAMES:
            (path.parent / kind / f"{name}{suffix}").touch()
    dataset = build_dataset(
        {
            "type": "BaseSegDataset",
            "data_root": str(path.parent),
            "ann_file": path.name,
            "data_prefix": {"img_path": "img", "seg_map_path": "ann"},
            "metainfo": {"classes": ("x",), "palette": [(0, 0, 0)]},
            "pipeline": [],
        }
    )
    names = [Path(dataset.get_data_info(i)["img_path"]).stem for i in range(len(dataset))]
    assert names == path.read_bytes().decode("utf-8-sig").split()
    assert set(names) <= set(originals.NAMES)


def read_geotiff(path: Path) -> None:
    height, width, bands = raster_shape(path)
    numbers = []
    for number, tile in iter_full_tiles(path, originals.TILE):
        assert tile.shape == (originals.TILE, originals.TILE, bands) and tile.dtype == np.uint8
        numbers.append(number)
    assert numbers == full_tiles(height, width, originals.TILE)


def convert_zip(path: Path) -> None:
    out = path.parent / "out"
    try:
        convert_landcover(path, out, tile_size=originals.TILE)
        assert _files(out) == _expected_conversion()
    except UserError:
        assert not (out / "splits").exists() and not (out / "class_pixels.json").exists()
        raise
    finally:
        assert not (out / ".unpacked").exists()
        shutil.rmtree(out, ignore_errors=True)


@cache
def _expected_conversion() -> dict[str, bytes]:
    folder = Path("expected")
    for name, content in originals.archive_files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    convert_landcover(folder, folder / "out", tile_size=originals.TILE)
    files = _files(folder / "out")
    shutil.rmtree(folder)
    return files


def _files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _network() -> torch.nn.Module:
    layers = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    generator = torch.Generator().manual_seed(0)
    state = layers.state_dict()
    floats = {k: torch.rand(v.shape, generator=generator) for k, v in state.items() if v.ndim}
    layers.load_state_dict({**state, **floats})
    return layers


def load_weights(path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    load_model_weights(model, path)
    if path.read_bytes().startswith(b"PK"):  # torch's old format has no check sums
        for key, value in _network().state_dict().items():
            assert torch.equal(model.state_dict()[key], value), f"{key} is not what was saved"


def read_config(path: Path) -> None:
    assert load_config(path).filename == str(path)


def convert_mat(path: Path) -> None:
    voc, sbd = path.parent / "devkit/VOC2012", path.parent / "sbd/dataset"
    lists = {
        voc / "ImageSets/Segmentation/train.txt": "",
        voc / "ImageSets/Segmentation/val.txt": "",
    }
    lists |= {sbd / "train.txt": "case\n", sbd / "val.txt": ""}
    for file, text in lists.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (sbd / "cls").mkdir()
    path = path.rename(sbd / "cls/case.mat")
    written = voc / "SegmentationClassAug/case.png"
    try:
        convert_voc_aug(voc.parent, sbd.parent, allow_partial=True)
    except UserError:
        assert not written.exists() and not (voc / "ImageSets/Segmentation/trainaug.txt").exists()
        raise
    values = np.asarray(Image.open(written))
    assert values.dtype == np.uint8 and values.ndim == 2
    assert set(np.unique(values)) <= {*range(21), 255}


def nothing() -> list[bytes]:
    return []


KINDS = {
    "image": Kind(".jpg", BINARY, originals.images, hostile.images, read_image),
    "mask": Kind(".png", BINARY, originals.masks, hostile.images, read_mask),
    "list": Kind(".txt", TEXT, originals.lists, hostile.lists, read_list),
    "geotiff": Kind(".tif", BINARY, originals.geotiffs, hostile.geotiffs, read_geotiff),
    "zip": Kind(".zip", BINARY, originals.zips, hostile.zips, convert_zip),
    "checkpoint": Kind(
        ".pth",
        BINARY,
        lambda: originals.checkpoint(_network().state_dict()),
        lambda: hostile.checkpoints(_network().state_dict()),
        load_weights,
    ),
    "config": Kind(".py", TEXT, originals.configs, hostile.configs, read_config),
    "mat": Kind(".mat", BINARY, originals.mats, nothing, convert_mat),
}
