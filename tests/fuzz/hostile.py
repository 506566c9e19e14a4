"""Inputs made to harm: bombs, lies about sizes, names outside the target, code."""

import io
import os
import pickle
import stat
import struct
import zipfile
import zlib

import numpy as np
import rasterio
import torch
from mutations import repair_png
from originals import CANARY, SIZE, archive_files, encode, geotiff, ids, photo, zip_of


def bomb_png(height: int = 60_000, width: int = 60_000) -> bytes:
    """A PNG of 200 bytes that declares gigabytes."""
    data = bytearray(encode(ids(), "PNG"))
    data[16:24] = struct.pack(">II", width, height)
    return repair_png(bytes(data))


def images() -> list[bytes]:
    tiff = bytearray(geotiff(np.zeros((*SIZE, 3), np.uint8)))
    huge = bytes(tiff).replace(struct.pack("<H", SIZE[1]), struct.pack("<H", 65_000), 1)
    return [bomb_png(), bomb_png(2**31 - 1, 2**31 - 1), bomb_png(0, 0), huge]


def lists() -> list[bytes]:
    return [
        b"../a\n",
        b"/etc/passwd\n",
        b"a\0b\n",
        b"\xff\xfea\0\n\0",
        b"x" * 10**7,
        b"a\n" * 10**4,
    ]


def geotiffs() -> list[bytes]:
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


def zips() -> list[bytes]:
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


def checkpoints(state: dict) -> list[bytes]:
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
