"""Whole inputs of every kind, to be damaged, and hostile ones, which are damage as they are."""

import io
import os
import pickle
import stat
import struct
import zipfile
import zlib
from pathlib import Path

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


def bomb_png(height: int = 60_000, width: int = 60_000) -> bytes:
    """A PNG of 200 bytes that declares gigabytes."""
    data = bytearray(encode(ids(), "PNG"))
    data[16:24] = struct.pack(">II", width, height)
    return repair_png(bytes(data))


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


def hostile_images() -> list[bytes]:
    tiff = bytearray(geotiff(np.zeros((*SIZE, 3), np.uint8)))
    huge = bytes(tiff).replace(struct.pack("<H", SIZE[1]), struct.pack("<H", 65_000), 1)
    return [bomb_png(), bomb_png(2**31 - 1, 2**31 - 1), bomb_png(0, 0), huge]


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


def hostile_lists() -> list[bytes]:
    return [
        b"../a\n",
        b"/etc/passwd\n",
        b"a\0b\n",
        b"\xff\xfea\0\n\0",
        b"x" * 10**7,
        b"a\n" * 10**4,
    ]


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


def hostile_geotiffs() -> list[bytes]:
    """Rasters of billions of pixels, and a description that makes GDAL open another file."""
    with rasterio.MemoryFile() as memory:
        size = {"height": 2_000_000, "width": 2_000_000, "count": 1, "dtype": "uint8"}
        block = {"tiled": True, "blockxsize": 8192, "blockysize": 8192}
        with memory.open(driver="GTiff", **size, **block, SPARSE_OK=True, BIGTIFF="YES"):
            pass
        sparse = memory.read()
    source = "<SourceFilename>/etc/hostname</SourceFilename>"
    band = f"<VRTRasterBand dataType='Byte' band='1'><SimpleSource>{source}</SimpleSource>"
    vrt = f"<VRTDataset rasterXSize='64' rasterYSize='64'>{band}</VRTRasterBand></VRTDataset>"
    return [sparse, vrt.encode(), encode(photo(), "PNG")]


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


def bomb_zip(files: dict[str, bytes]) -> bytes:
    """A true bomb: zeros that fill the disk a thousand times faster than they were sent."""
    stream = io.BytesIO(zip_of(files))
    with (
        zipfile.ZipFile(stream, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("images/bomb.tif", "w") as member,
    ):
        for _ in range(400):
            member.write(bytes(2**20))
    return stream.getvalue()


def hostile_zips() -> list[bytes]:
    files = archive_files()
    names = ("../x.txt", "/x.txt", "a/../../x.txt", "..\\x.txt", "C:/x.txt", "images", "n" * 300)
    link = io.BytesIO(zip_of(files))
    with zipfile.ZipFile(link, "a") as archive:
        member = zipfile.ZipInfo("images/link.tif")
        member.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(member, "/etc/hostname")
    declared = bytearray(zip_of(files))
    entry = declared.rfind(b"PK\x01\x02", 0, declared.rfind(b"val.txt"))
    declared[entry + 24 : entry + 28] = struct.pack("<I", 0xFFFFFFF0)
    return [
        *(zip_of({**files, f"{name}.txt"[-255:]: b"x"}) for name in names),
        zip_of({**files, "images": b"x", "images.txt/x.txt": b"x"}),
        link.getvalue(),
        bomb_zip(files),
        bytes(declared),
    ]


class Hostile:
    """Unpickled without care, it runs a command."""

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {CANARY}",)


def checkpoint(state: dict) -> list[bytes]:
    """A state dict in torch's two formats, as it is and as a training run saves it."""
    found = []
    for content in (state, {"state_dict": state, "meta": {"iter": 3, "seed": None}}):
        for new_format in (True, False):
            stream = io.BytesIO()
            torch.save(content, stream, _use_new_zipfile_serialization=new_format)
            found.append(stream.getvalue())
    return found


def hostile_checkpoints(state: dict) -> list[bytes]:
    streams = [io.BytesIO() for _ in range(5)]
    torch.save({"state_dict": state, "meta": Hostile()}, streams[0])
    torch.save({"state_dict": dict.fromkeys(state, 3)}, streams[1])
    torch.save({"state_dict": {1: torch.zeros(2), **state}}, streams[2])
    torch.save([1, 2], streams[3])
    torch.save({"state_dict": {k: v.to(torch.complex64) for k, v in state.items()}}, streams[4])
    plain = [stream.getvalue() for stream in streams]
    with zipfile.ZipFile(io.BytesIO(plain[0])) as archive:
        packed = {name: archive.read(name) for name in archive.namelist()}
    packed["archive/data/0"] = bytes(10**7)
    return [*plain, zip_of(packed), pickle.dumps(Hostile()), zlib.compress(bytes(10**6))]


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


def hostile_configs() -> list[bytes]:
    lines = (
        *("_base_ = './case.py'", "import sys; sys.exit(3)", "exit()"),
        *("_base_ = 3", "_base_ = ['nothing.py']", "x = 1 / 0", "train_dataloader = 5"),
        *(
            "model = dict(type=3)",
            "model = dict(type='...')",
            "model = dict(type='.a')",
            "model = [[[dict(type='')]]]",
            "def f(): f()",
            "_base_ = '..'",
        ),
        *("x = {1: 2}", "train_dataloader = dict({1: 2})", "model = dict(type='Linear', a=1)"),
    )
    nested = "model = " + "dict(a=" * 90 + "1" + ")" * 90
    return [line.encode() + b"\n" for line in (*lines, nested, "x = " + "(" * 500)]


def mats() -> list[bytes]:
    found = []
    for compress in (True, False):
        fields = np.zeros((1, 1), [("Segmentation", object)])
        fields[0, 0]["Segmentation"] = ids() % 255
        stream = io.BytesIO()
        savemat(stream, {"GTcls": fields}, do_compression=compress)
        found.append(stream.getvalue())
    return found
