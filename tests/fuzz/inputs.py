"""The inputs of each kind: valid ones, which are then damaged, and hostile ones."""

import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rasterio
import torch
from mutations import repair_png
from PIL import Image
from scipy.io import savemat

ROOT = Path(__file__).parents[2]
SIZE = (48, 64)  # height and width of all images and masks
TILE = 32
CANARY = "canary"  # if code of an input runs, it leaves a file of this name in its folder
NAMES = ("a", "b", "c", "d")
PHOTO = cv2.resize(np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8), SIZE[::-1])
IDS = (np.arange(SIZE[0] * SIZE[1]).reshape(SIZE) // 700 % 3).astype(np.uint8)
IDS[0] = 255


def written(write: Callable[[io.BytesIO], object]) -> bytes:
    """Return the bytes that `write` puts into a stream."""
    stream = io.BytesIO()
    write(stream)
    return stream.getvalue()


def encode(array: np.ndarray, kind: str, mode: str | None = None, **options: object) -> bytes:
    image = Image.fromarray(array)
    image = image.convert(mode) if mode else image
    return written(lambda stream: image.save(stream, kind, **options))


def geotiff(array: np.ndarray, **options: Any) -> bytes:
    """Write an array (H, W, bands)."""
    height, width, count = array.shape
    options |= {"height": height, "width": width, "count": count, "dtype": array.dtype}
    place = rasterio.Affine(0.25, 0, 5e5, 0, -0.25, 5e6)
    with rasterio.MemoryFile() as memory:
        with memory.open(driver="GTiff", transform=place, crs="EPSG:2180", **options) as raster:
            raster.write(array.transpose(2, 0, 1))
        return memory.read()


def zip_of(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    def write(stream: io.BytesIO) -> None:
        with zipfile.ZipFile(stream, "w", method) as archive:
            for name, content in files.items():
                archive.writestr(name, content)

    return written(write)


def images() -> list[bytes]:
    return [
        *(encode(PHOTO, "JPEG", mode) for mode in (None, "L", "CMYK")),
        encode(PHOTO, "JPEG", progressive=True),
        encode(PHOTO, "JPEG", exif=b"Exif\0\0" + encode(PHOTO, "JPEG")),
        *(encode(PHOTO, "PNG", mode) for mode in (None, "L", "P", "RGBA", "LA", "1")),
        encode(PHOTO[..., 0].astype(np.uint16) * 257, "PNG"),
        *(encode(PHOTO, kind) for kind in ("BMP", "WEBP", "GIF", "TIFF")),
        encode(PHOTO, "TIFF", compression="tiff_lzw"),
    ]


def masks() -> list[bytes]:
    wide = IDS.astype(np.uint16)
    return [
        *(encode(IDS, kind) for kind in ("PNG", "TIFF", "BMP", "GIF")),
        *(encode(IDS, "PNG", mode) for mode in ("P", "RGBA")),
        *(encode(array, "PNG") for array in (wide, wide * 257, IDS.T)),
        *(encode(IDS.astype(kind), "TIFF") for kind in (np.int32, np.float32)),
        encode(IDS, "TIFF", compression="tiff_deflate"),
        *(encode(np.stack([IDS] * 3, -1), kind) for kind in ("PNG", "JPEG")),
    ]


def hostile_images() -> list[bytes]:
    """PNGs of 200 bytes that declare gigabytes or nothing, and such a TIFF."""
    png = encode(IDS, "PNG")
    sizes = [(60_000, 60_000), (2**31 - 1, 2**31 - 1), (0, 0)]
    tiff = geotiff(np.zeros((*SIZE, 3), np.uint8))
    huge = tiff.replace(struct.pack("<H", SIZE[1]), struct.pack("<H", 65_000), 1)
    bombs = [png[:16] + struct.pack(">II", *size) + png[24:] for size in sizes]
    return [*map(repair_png, bombs), huge]


LISTS = [b"a\nb\nc\nd\n", b"d\r\nb\r\n", b"  a\n\n b\n", b"c"]
HOSTILE_LISTS = [b"../a\n", b"/etc/passwd\n", b"a\0b\n", b"\xff\xfea\0\n\0"]
HOSTILE_LISTS += [b"x" * 10**7, b"a\n" * 10**3]


def geotiffs() -> list[bytes]:
    array = np.tile(PHOTO, (2, 2, 1))
    tiled = {"tiled": True, "blockxsize": 16, "blockysize": 16}
    return [
        *(geotiff(array, compress=name) for name in ("none", "deflate", "lzw", "jpeg")),
        geotiff(array, **tiled, compress="deflate", predictor=2),
        geotiff(array, BIGTIFF="YES"),
        *map(geotiff, (array[..., :1], array.astype(np.uint16), array.astype(np.float32))),
    ]


def hostile_geotiffs() -> list[bytes]:
    """A raster of 4e12 pixels, and a description that makes GDAL open another file."""
    size = {"height": 2_000_000, "width": 2_000_000, "count": 1, "dtype": "uint8"}
    block = {"tiled": True, "blockxsize": 8192, "blockysize": 8192}
    with rasterio.MemoryFile() as memory:
        memory.open(driver="GTiff", **size, **block, SPARSE_OK=True, BIGTIFF="YES").close()
        sparse = memory.read()
    source = "<SimpleSource><SourceFilename>/etc/hostname</SourceFilename></SimpleSource>"
    band = f"<VRTRasterBand dataType='Byte' band='1'>{source}</VRTRasterBand>"
    vrt = f"<VRTDataset rasterXSize='64' rasterYSize='64'>{band}</VRTDataset>"
    return [sparse, vrt.encode(), encode(PHOTO, "PNG")]


def archive_files() -> dict[str, bytes]:
    """A LandCover.ai archive of one orthophoto with six tiles."""
    labels = np.tile(np.where(IDS == 255, 4, IDS), (2, 2)).astype(np.uint8)
    return {
        "images/N-1.tif": geotiff(np.tile(PHOTO, (2, 2, 1)), compress="deflate"),
        "masks/N-1.tif": geotiff(labels[..., None], compress="deflate"),
        "train.txt": b"N-1_0\nN-1_1\nN-1_2\nN-1_3\n",
        "val.txt": b"N-1_4\nN-1_5\n",
        "test.txt": b"N-1_6\n",
        "split.py": f"open({CANARY!r}, 'w')\n".encode(),
    }


def zips() -> list[bytes]:
    methods = (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    return [zip_of(archive_files(), method) for method in methods]


def hostile_zips() -> list[bytes]:
    """A file that is also a folder, a lie about a size, and a name that is too long."""
    files = archive_files()
    lie = bytearray(zip_of(files))
    entry = lie.rfind(b"PK\x01\x02", 0, lie.rfind(b"val.txt"))
    lie[entry + 24 : entry + 28] = struct.pack("<I", 0xFFFFFFF0)
    clash = zip_of({**files, "images": b"x", "images.txt/x.txt": b"x"})
    return [clash, bytes(lie), zip_of({**files, "n" * 251 + ".txt": b"x"})]


def network(value: float = 0.5) -> torch.nn.Module:
    """A network whose weights are all `value`."""
    layers = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    for parameter in layers.parameters():
        torch.nn.init.constant_(parameter, value)
    return layers


def save(content: object, new_format: bool = True) -> bytes:
    options = {"_use_new_zipfile_serialization": new_format}
    return written(lambda stream: torch.save(content, stream, **options))


def checkpoints() -> list[bytes]:
    """A state dict in torch's two formats, alone and as a training run saves it."""
    state = network().state_dict()
    contents = (state, {"state_dict": state, "meta": {"iter": 3, "seed": None}})
    return [save(content, new) for content in contents for new in (True, False)]


class Hostile:
    """Unpickled without care, it runs a command."""

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {CANARY}",)


def hostile_checkpoints() -> list[bytes]:
    state = network().state_dict()
    complex_numbers = {key: value.to(torch.complex64) for key, value in state.items()}
    contents = (dict.fromkeys(state, 3), {1: torch.zeros(2), **state}, complex_numbers, Hostile())
    wrong = [save({"state_dict": content}) for content in contents]
    return [*wrong, save([1, 2]), pickle.dumps(Hostile())]


def configs() -> list[bytes]:
    parts = ("models/mscan_tiny", "datasets/camvid", "schedules/adamw_20k", "default_runtime")
    text = f"""_base_ = {[f"{ROOT}/local_configs/_base_/{part}.py" for part in parts]}
model = dict(decode_head=dict(num_classes=11), backbone=dict(init_cfg=None))
train_dataloader = dict(batch_size=8, num_workers=2, dataset=dict(data_root="data"))
param_scheduler = [dict(type="PolyLR", power=1.0, by_epoch=False, begin=0, end=9)]
"""
    small = b"train_dataloader = dict(batch_size=2)\nmodel = dict(type='EncoderDecoder')\n"
    return [text.encode(), small]


HOSTILE_CONFIGS = f"""import sys; sys.exit(3)
_base_ = 3
_base_ = ['nothing.py']
x = 1 / 0
x = {{1: 2}}
train_dataloader = 5
train_dataloader = dict({{1: 2}})
model = dict(type=3)
model = dict(type='...')
model = [[[dict(type='')]]]
model = dict(type='Linear', a=1)
model = {"dict(a=" * 90}1{")" * 90}
def f(): f()
x = {"(" * 500}
""".encode().splitlines(keepends=True)


def mats() -> list[bytes]:
    fields = np.zeros((1, 1), [("Segmentation", object)])
    fields[0, 0]["Segmentation"] = IDS % 255
    content = {"GTcls": fields}
    return [written(lambda s, c=c: savemat(s, content, do_compression=c)) for c in (True, False)]
