"""The digest inside a checkpoint file, by which a damaged one is told from a whole one.

A `.pth` file is a zip archive, and torch does not compare what it reads with the archive's sums.
The sha256 of all bytes before it is the archive's comment: torch and every zip tool read the file
as they always did, and no second file can be lost or left behind.
"""

import hashlib
import os
import struct
import zipfile
from pathlib import Path
from typing import BinaryIO

from mmseg.errors import UserError

MARK = b"sha256:"
DIGEST_LENGTH = 64  # in hexadecimal
SEAL_LENGTH = len(MARK) + DIGEST_LENGTH
# The last record of a zip archive: its mark, sizes and offsets, the length of the comment after it.
ZIP_END, ZIP_END_LENGTH = b"PK\x05\x06", 22
COMMENT_LENGTH = struct.pack("<H", SEAL_LENGTH)


def seal(path: Path) -> None:
    """Add the digest to a file that `torch.save` wrote, and check what was written.

    Raises `UserError` when the file's parts do not have the sums torch computed in memory.
    """
    with path.open("r+b") as file:
        # An archive without a comment ends in the two bytes of the comment's length.
        file.seek(-2, os.SEEK_END)
        file.write(COMMENT_LENGTH)
        size = file.tell()
        digest = _digest(file, size)
        file.seek(size)
        file.write(MARK + digest)
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged:
        raise UserError(f"{path}: {damaged} on the disk is not what was written")


def check_seal(path: str | Path) -> None:
    """Raise `UserError` when the file has a digest and is not what it was; others have none."""
    with open(path, "rb") as file:
        size = max(file.seek(0, os.SEEK_END) - SEAL_LENGTH, 0)
        file.seek(max(size - ZIP_END_LENGTH, 0))
        end = file.read()
        # Either is left of a seal when the file was cut within it.
        if MARK not in end and ZIP_END + COMMENT_LENGTH not in _without_sizes(end):
            return
        if end[-SEAL_LENGTH:] != MARK + _digest(file, size):
            raise UserError("its content does not have the digest stored in it")


def _without_sizes(end: bytes) -> bytes:
    """Return the mark of a zip's last record and what follows its sizes and offsets."""
    _, mark, record = end.rpartition(ZIP_END)
    return mark + record[ZIP_END_LENGTH - len(ZIP_END) - len(COMMENT_LENGTH) :]


def _digest(file: BinaryIO, size: int) -> bytes:
    digest = hashlib.sha256()
    file.seek(0)
    while size:
        block = file.read(min(size, 1 << 20))
        digest.update(block)
        size -= len(block)
    return digest.hexdigest().encode()
