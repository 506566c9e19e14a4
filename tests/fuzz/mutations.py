"""Strategies that damage valid bytes as disks, networks, editors and attackers do."""

import re
import struct
import zlib
from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

PNG = b"\x89PNG"
PAGE = b"<html><body>404 Not Found</body></html>\n"
EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF)
VALUES = (b"-1", b"0", b"1e999", b"9" * 30, b"None", b"'x'", b"[]", b"{}", b"nan")
TEXTS = (b"\0", b"../../etc/passwd\n", b"/etc/passwd\n", b"\x1b[2J", b"a" * 100_000, b"\n\n")
CODECS = ("utf-16", "utf-16-le", "utf-32", "latin-1", "utf-8-sig", "gbk", "cp500")


def flip_bits(draw: DrawFn, data: bytes) -> bytes:
    flipped = bytearray(data)
    for bit in draw(st.lists(st.integers(0, 8 * len(data) - 1), min_size=1, max_size=32)):
        flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)


def write_number(draw: DrawFn, data: bytes) -> bytes:
    """Put an extreme number where headers have sizes and archives their directory."""
    at = draw(st.integers(-256, 255)) % len(data)
    code, value = draw(st.sampled_from(["<H", ">H", "<I", ">I"])), draw(st.sampled_from(EXTREMES))
    number = struct.pack(code, value & (0xFFFF if code[1] == "H" else 0xFFFFFFFF))
    return data[:at] + number + data[at + len(number) :]


def splice(draw: DrawFn, data: bytes) -> bytes:
    """Cut the end or a piece off, repeat or blank a piece, or swap two."""
    place = st.integers(0, len(data))
    a, b, c = sorted([draw(place), draw(place), draw(place)])
    start, piece, end = data[:a], data[a:b], data[b:]
    results = (start, start + end, start + piece + piece + end, start + bytes(b - a) + end)
    return draw(st.sampled_from([*results, start + data[b:c] + piece + data[c:]]))


def replace(draw: DrawFn, data: bytes) -> bytes:
    """Nothing, a server's page or noise instead of the file, or noise after it."""
    noise = draw(st.binary(min_size=1, max_size=4000))
    return draw(st.sampled_from([b"", PAGE, noise, data + noise]))


def change_word(draw: DrawFn, data: bytes) -> bytes:
    """Rename a key, give it another value, or insert something."""
    words = list(re.finditer(rb"\w+", data)) or [re.match(b"", data)]
    word, other = draw(st.sampled_from(words)), draw(st.sampled_from(words))
    new = draw(st.sampled_from([*VALUES, *TEXTS, other.group(), word.group()[1:]]))
    return data[: word.start()] + new + data[word.end() :]


def change_codec(draw: DrawFn, data: bytes) -> bytes:
    text = data.decode("utf-8", "replace") + "\u00e9\u4e2d"
    return text.encode(draw(st.sampled_from(CODECS)), "replace")


def repair_png(data: bytes) -> bytes:
    """Give every chunk of a PNG the check sum of its content, for damage that is found later."""
    repaired, at = bytearray(data), 8
    while at + 12 <= len(data):
        end = at + 8 + struct.unpack_from(">I", data, at)[0]
        if end + 4 <= len(data):
            repaired[end : end + 4] = struct.pack(">I", zlib.crc32(data[at + 4 : end]))
        at = end + 4
    return bytes(repaired)


@st.composite
def damaged(draw: DrawFn, valid: Sequence[bytes], is_text: bool) -> bytes:
    """One of the valid inputs with one to three mutations."""
    mutations = [flip_bits, write_number, splice, replace]
    mutations += [change_word, change_word, change_codec] if is_text else []
    data = draw(st.sampled_from(valid))
    for _ in range(draw(st.integers(1, 3))):
        data = draw(st.sampled_from(mutations))(draw, data or b"\0")
    return repair_png(data) if data.startswith(PNG) and draw(st.booleans()) else data
