"""Whole inputs of every kind, to be damaged."""

import io
import zipfile
from pathlib import Path

import cv2
import numpy as np
import rasterio
import torch
from PIL import Image
from scipy.io import savemat

ROOT = Path(__file__).parents[2]
SIZE = (48, 64)  # height and width of all images and masks
TILE = 32
CANARY = "canary"  # an input whose code is run leaves a file of this name in its folder
NAMES = ("a", "b", "c", "d")


def encode(array: np.ndarray, kind: str, mode: str | None = None, **options: object) -> bytes:
    stream = io.BytesIO()
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(stream, kind, **options)
    return stream.getvalue()


def photo() -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    return cv2.resize(coarse, SIZE[::-1])


def ids() -> np.ndarray:
    values = np.arange(SIZE[0] * SIZE[1]).reshape(SIZE) // 700 % 3
    values[0] = 255
    return values.astype(np.uint8)


def images() -> list[bytes]:
    rgb = photo()
    with_thumbnail = encode(rgb, "JPEG", exif=b"Exif\0\0" + encode(rgb, "JPEG"))
    return [
        encode(rgb, "JPEG"),
        encode(rgb, "JPEG", progressive=True),
        with_thumbnail,
        *(encode(rgb, "JPEG", mode) for mode in ("L", "CMYK")),
        *(encode(rgb, "PNG", mode) for mode in (None, "L", "P", "RGBA", "LA", "1")),
        encode(rgb[..., 0].astype(np.uint16) * 257, "PNG"),
        *(encode(rgb, kind) for kind in ("BMP", "WEBP", "GIF", "TIFF")),
        encode(rgb, "TIFF", compression="tiff_lzw"),
    ]


def masks() -> list[bytes]:
    values = ids()
    return [
        *(encode(values, kind) for kind in ("PNG", "TIFF", "BMP", "GIF")),
        encode(values, "PNG", "P"),
        encode(values.astype(np.uint16), "PNG"),
        encode(values.astype(np.uint16) * 257, "PNG"),
        encode(values.astype(np.int32), "TIFF"),
        encode(values.astype(np.float32), "TIFF"),
        encode(values, "TIFF", compression="tiff_deflate"),
        *(encode(np.stack([values] * 3, -1), kind) for kind in ("PNG", "JPEG")),
        encode(values, "PNG", "RGBA"),
        encode(values.T, "PNG"),
    ]


def lists() -> list[bytes]:
    return [b"a\nb\nc\nd\n", b"d\r\nb\r\n", b"  a\n\n b\n", b"c"]


def geotiff(array: np.ndarray, **options: object) -> bytes:
    height, width, bands = array.shape
    size = {"height": height, "width": width, "count": bands, "dtype": array.dtype}
    place = {"transform": rasterio.Affine(0.25, 0, 5e5, 0, -0.25, 5e6), "crs": "EPSG:2180"}
    with rasterio.MemoryFile() as memory:
        with memory.open(driver="GTiff", **size, **place, **options) as raster:
            raster.write(array.transpose(2, 0, 1))
        return memory.read()


def geotiffs() -> list[bytes]:
    array = np.tile(photo(), (2, 2, 1))
    tiled = {"tiled": True, "blockxsize": 16, "blockysize": 16}
    return [
        *(geotiff(array, compress=name) for name in ("none", "deflate", "lzw", "jpeg")),
        geotiff(array, **tiled, compress="deflate", predictor=2),
        geotiff(array, BIGTIFF="YES"),
        geotiff(array[..., :1]),
        geotiff(array.astype(np.uint16)),
        geotiff(array.astype(np.float32)),
    ]


def archive_files() -> dict[str, bytes]:
    """A LandCover.ai archive of one orthophoto with six tiles."""
    photo_rows = np.tile(photo(), (2, 2, 1))
    labels = np.where(np.tile(ids(), (2, 2)) == 255, 4, np.tile(ids(), (2, 2)))[..., None]
    return {
        "images/N-1.tif": geotiff(photo_rows, compress="deflate"),
        "masks/N-1.tif": geotiff(labels.astype(np.uint8), compress="deflate"),
        "train.txt": b"N-1_0\nN-1_1\nN-1_2\nN-1_3\n",
        "val.txt": b"N-1_4\nN-1_5\n",
        "test.txt": b"N-1_6\n",
        "split.py": f"open({CANARY!r}, 'w')\n".encode(),
    }


def zip_of(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def zips() -> list[bytes]:
    methods = (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    return [zip_of(archive_files(), method) for method in methods]


def checkpoint(state: dict) -> list[bytes]:
    """A state dict in torch's two formats, as it is and as a training run saves it."""
    found = []
    for content in (state, {"state_dict": state, "meta": {"iter": 3, "seed": None}}):
        for new_format in (True, False):
            stream = io.BytesIO()
            torch.save(content, stream, _use_new_zipfile_serialization=new_format)
            found.append(stream.getvalue())
    return found


def configs() -> list[bytes]:
    bases = ROOT / "local_configs/_base_"
    text = f"""
_base_ = [
    "{bases}/models/mscan_tiny.py",
    "{bases}/datasets/camvid.py",
    "{bases}/schedules/adamw_20k.py",
    "{bases}/default_runtime.py",
]
model = dict(decode_head=dict(num_classes=11), backbone=dict(init_cfg=None))
train_dataloader = dict(batch_size=8, num_workers=2, dataset=dict(data_root="data"))
param_scheduler = [dict(type="PolyLR", power=1.0, by_epoch=False, begin=0, end=9)]
default_hooks = dict(logger=dict(interval=25))
"""
    small = b"train_dataloader = dict(batch_size=2)\nmodel = dict(type='EncoderDecoder')\n"
    return [text.encode(), small]


def mats() -> list[bytes]:
    found = []
    for compress in (True, False):
        fields = np.zeros((1, 1), [("Segmentation", object)])
        fields[0, 0]["Segmentation"] = ids() % 255
        stream = io.BytesIO()
        savemat(stream, {"GTcls": fields}, do_compression=compress)
        found.append(stream.getvalue())
    return found
