"""Damage bytes as disks, networks, editors and attackers do; a seed gives the same damage again."""

import re
import struct
import zlib
from collections.abc import Callable

import numpy as np

EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF)
Mutation = Callable[[np.random.Generator, bytes], bytes]


def flip_bits(rng: np.random.Generator, data: bytes) -> bytes:
    array = np.frombuffer(data, np.uint8).copy()
    for position in rng.integers(0, len(array), 1 << int(rng.integers(0, 6))):
        array[position] ^= 1 << int(rng.integers(0, 8))
    return array.tobytes()


def truncate(rng: np.random.Generator, data: bytes) -> bytes:
    return data[: int(rng.integers(0, len(data)))]


def edit_header(rng: np.random.Generator, data: bytes) -> bytes:
    """Put an extreme number, of either byte order, where sizes and offsets are."""
    edited = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(0, min(len(data), 256)))
        code = str(rng.choice(["<H", ">H", "<I", ">I"]))
        value = EXTREMES[int(rng.integers(len(EXTREMES)))] & (0xFFFF if code[1] == "H" else ~0)
        edited[at : at + struct.calcsize(code)] = struct.pack(code, value)
    return bytes(edited)


def edit_footer(rng: np.random.Generator, data: bytes) -> bytes:
    """The same at the end, where archives have their directory."""
    return edit_header(rng, data[::-1])[::-1]


def swap_chunks(rng: np.random.Generator, data: bytes) -> bytes:
    a, b, c, d = sorted(int(i) for i in rng.integers(0, len(data) + 1, 4))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def duplicate_chunk(rng: np.random.Generator, data: bytes) -> bytes:
    a, b = sorted(int(i) for i in rng.integers(0, len(data) + 1, 2))
    return data[:b] + data[a:]


def drop_chunk(rng: np.random.Generator, data: bytes) -> bytes:
    a, b = sorted(int(i) for i in rng.integers(0, len(data) + 1, 2))
    return data[:a] + data[b:]


def blank_chunk(rng: np.random.Generator, data: bytes) -> bytes:
    """Zeros, as a disk that was full leaves them."""
    a, b = sorted(int(i) for i in rng.integers(0, len(data) + 1, 2))
    return data[:a] + bytes(b - a) + data[b:]


def replace_all(rng: np.random.Generator, data: bytes) -> bytes:
    """Noise, nothing, or the page of a server instead of the file."""
    page = b"<html><body>404 Not Found</body></html>\n"
    noise = rng.integers(0, 256, len(data), dtype=np.uint8).tobytes()
    return (page, noise, b"")[int(rng.integers(3))]


def add_end(rng: np.random.Generator, data: bytes) -> bytes:
    return data + rng.integers(0, 256, int(rng.integers(1, 5000)), dtype=np.uint8).tobytes()


def repair_png(data: bytes) -> bytes:
    """Give every chunk of a PNG the check sum of its content, so that damage gets deeper."""
    repaired, at = bytearray(data), 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        end = at + 8 + length
        if end + 4 > len(data):
            break
        repaired[end : end + 4] = struct.pack(">I", zlib.crc32(data[at + 4 : end]))
        at = end + 4
    return bytes(repaired)


def change_number(rng: np.random.Generator, data: bytes) -> bytes:
    numbers = list(re.finditer(rb"\d+", data))
    if not numbers:
        return data
    match = numbers[int(rng.integers(len(numbers)))]
    values = (b"-1", b"0", b"1e999", b"9" * 30, b"None", b"'x'", b"[]", b"{}", b"nan")
    return data[: match.start()] + values[int(rng.integers(len(values)))] + data[match.end() :]


def shuffle_words(rng: np.random.Generator, data: bytes) -> bytes:
    words = re.split(rb"(\W+)", data)
    for _ in range(int(rng.integers(1, 4))):
        i, j = rng.integers(0, len(words), 2)
        words[i], words[j] = words[j], words[i]
    return b"".join(words)


def encode_otherwise(rng: np.random.Generator, data: bytes) -> bytes:
    text = data.decode("utf-8", "replace") + "\u00e9\u4e2d"
    codings = ("utf-16", "utf-16-le", "utf-32", "latin-1", "utf-8-sig", "gbk", "cp500")
    return text.encode(codings[int(rng.integers(len(codings)))], "replace")


def insert_text(rng: np.random.Generator, data: bytes) -> bytes:
    texts = (b"\0", b"../../etc/passwd\n", b"/etc/passwd\n", b"\x1b[2J", b"a" * 100_000, b"\n\n")
    at = int(rng.integers(0, len(data) + 1))
    return data[:at] + texts[int(rng.integers(len(texts)))] + data[at:]


BINARY: tuple[Mutation, ...] = (
    *(flip_bits, truncate, edit_header, edit_footer, swap_chunks, duplicate_chunk),
    *(drop_chunk, blank_chunk, replace_all, add_end),
)
TEXT: tuple[Mutation, ...] = (
    *(change_number, shuffle_words, encode_otherwise, insert_text, flip_bits, truncate),
    *(swap_chunks, duplicate_chunk, drop_chunk, replace_all),
)


def mutate(rng: np.random.Generator, data: bytes, mutations: tuple[Mutation, ...]) -> bytes:
    """Apply one to three mutations; a PNG gets right check sums in half of the cases."""
    for _ in range(int(rng.integers(1, 4))):
        data = mutations[int(rng.integers(len(mutations)))](rng, data or b"\0")
    if data.startswith(b"\x89PNG") and rng.random() < 0.5:
        data = repair_png(data)
    return data
