"""Read the bytes of an image file, and refuse those that decoders turn into wrong pixels."""

from pathlib import Path

from mmengine import fileio

from mmseg.errors import UserError

JPEG_START, JPEG_SCAN, JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
PNG_START, PNG_END = b"\x89PNG", b"\0\0\0\0IEND"
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_file(path: str | Path, kind: str, backend_args: dict | None = None) -> bytes:
    """Return the bytes of an image file; `kind`, such as "mask", names it in errors.

    Raises `UserError` for a file that is absent or empty, and for truncated ones: decoders fill the
    missing part of a JPEG with grey.
    """
    try:
        data = fileio.get(str(path), backend_args=backend_args)
    except OSError as error:
        raise UserError(f"{path}: cannot read the {kind} ({error.strerror or error})") from error
    if not data:
        raise UserError(f"{path}: cannot decode the {kind}, the file is empty; copy it again")
    for start, has_end in ((JPEG_START, _has_jpeg_end), (PNG_START, _has_png_end)):
        if data.startswith(start) and not has_end(data):
            raise UserError(f"{path}: the {kind} is truncated; copy or download it again")
    return data


def check_depth(samples: object, path: str | Path, bits: str = "uint8") -> None:
    """Raise `UserError` if the type of an image's samples, a NumPy dtype, is not `bits`."""
    if samples != bits:
        cure = "scale them to uint8, as in gdal_translate -ot Byte -scale LOW HIGH 0 255"
        cure = cure if bits == "uint8" else f"those of the data set are {bits} (metainfo.bits)"
        raise UserError(f"{path}: the samples of the image are {samples}; {cure}")


def _has_jpeg_end(data: bytes) -> bool:
    # A thumbnail has an end of its own, among the segments before the first scan: skip those.
    at = len(JPEG_START)
    while data[at : at + 1] == b"\xff" and data[at : at + 2] != JPEG_SCAN:
        is_fill = data[at + 1 : at + 2] == b"\xff"
        at += 1 if is_fill else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return data.rfind(JPEG_END, at) >= 0


def _has_png_end(data: bytes) -> bool:
    # Chunk by chunk, because a decoder reserves the memory that a damaged chunk declares.
    at = 8
    while data[at : at + 8] not in (PNG_END, b""):
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return data[at : at + 8] == PNG_END
