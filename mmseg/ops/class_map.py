"""The class of every pixel of an image, from the logits of a network at 1/8 of its input's size.

Plainly, K logits per pixel of the image are interpolated, in up to two stages, and one number of
the K is kept. The fast paths compose the stages into one bilinear weighting per axis and never hold
more than a band of rows of them.
"""

from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg import ops
from mmseg.ops import compiled, triton
from mmseg.ops.bands import rows_of_logits

kernel = compiled.load("class_map")
gpu = triton.load("class_map")

Size = tuple[int, int]
FLIPPED_DIMS = {"horizontal": (-1,), "vertical": (-2,), "diagonal": (-2, -1)}

# Fast paths do much of their work once per logit of a class: they want this many pixels for each.
SMALLEST_CELL = 4


@dataclass(frozen=True)
class Frame:
    """Where logits lie in the image they belong to; all sizes are (height, width).

    They cover the network's input of size `padded`, of which `inside` holds the image, flipped by
    `flip` and resized from its size `original`.
    """

    padded: Size
    inside: Size
    original: Size
    flip: str | None = None
    align_corners: bool = False


def rescale(logits: Tensor, size: Size, align_corners: bool) -> Tensor:
    """Interpolate logits (B, K, h, w) bilinearly to (B, K, *size)."""
    if tuple(logits.shape[2:]) == tuple(size):
        return logits
    return F.interpolate(logits, size, mode="bilinear", align_corners=align_corners)


def to_original(logits: Tensor, frame: Frame) -> Tensor:
    """Logits (1, K, h, w) over a network's input -> (1, K, H, W) at the image's original size."""
    logits = rescale(logits, frame.padded, frame.align_corners)
    logits = logits[:, :, : frame.inside[0], : frame.inside[1]]
    if frame.flip:
        logits = logits.flip(FLIPPED_DIMS[frame.flip])
    return rescale(logits, frame.original, frame.align_corners)


def best_class(scores: Tensor) -> Tensor:
    """Scores (K, H, W) -> the first class of the highest score, (H, W) uint8."""
    return scores.max(0).indices.to(torch.uint8)


def class_map(logits: Tensor, frame: Frame) -> Tensor:
    """Logits (1, K, h, w) over a network's input -> classes at the original size, (H, W) uint8.

    Equal to `plain` but where rounding decides between two classes, and near logits
    that are not finite, where it is any class.
    """
    pixels, cells = frame.original[0] * frame.original[1], logits[0, 0].numel()
    if not ops.enabled() or pixels < SMALLEST_CELL * cells:
        return plain(logits, frame)
    logits = logits[0].detach().float()
    if triton.suits(logits):
        axes = [_cells(logits.shape[1 + axis], frame, axis, logits.device) for axis in (0, 1)]
        if max(len(weights) for _, weights in axes) <= gpu.TAPS:
            return gpu.best_classes(logits, *axes[0], *axes[1])
    if kernel is None or logits.device.type != "cpu":
        with torch.autocast(logits.device.type, enabled=False):
            return _by_bands(logits, frame)
    rows, columns = (_taps(logits.shape[1 + axis], frame, axis) for axis in (0, 1))
    if max(len(rows.weights), len(columns.weights)) > kernel.TAPS:
        return plain(logits[None], frame)
    return _by_cells(logits, frame, rows, columns)


def plain(logits: Tensor, frame: Frame) -> Tensor:
    """Compute `class_map` from all logits of the image."""
    return best_class(to_original(logits, frame)[0])


@lru_cache(maxsize=16)
def axis_weights(length: int, frame: Frame, axis: int) -> Tensor:
    """Return what each row (axis 0) or column (1) of the image takes from a map `length` long.

    float32 (H or W, length), a few entries per row, which sum to one: `to_original` of the unit
    vectors.
    """
    only = partial(_along, axis)
    frame = replace(
        frame,
        padded=only(frame.padded),
        inside=only(frame.inside),
        original=only(frame.original),
    )
    unit = torch.eye(length)
    vectors = unit[None, :, :, None] if axis == 0 else unit[None, :, None, :]
    return to_original(vectors, frame)[0].flatten(1).T.contiguous()


def _along(axis: int, size: Size) -> Size:
    return (size[0], 1) if axis == 0 else (1, size[1])


def _by_bands(logits: Tensor, frame: Frame) -> Tensor:
    device = logits.device
    columns = axis_weights(logits.shape[2], frame, 1).to(device)
    wide = logits @ columns.T  # (K, h, W)
    height = rows_of_logits(wide[:, 0].numel(), device)
    result = []
    for weights in axis_weights(logits.shape[1], frame, 0).split(height):
        used = weights.any(0).nonzero().flatten().tolist()
        rows = slice(used[0], used[-1] + 1)
        result.append(best_class(weights[:, rows].to(device) @ wide[:, rows]))
    return torch.cat(result)


class Taps(NamedTuple):
    """The weights of an axis by segments, runs of rows or columns that begin at the same logit.

    `bounds` (n + 1) are the ends of the segments, `starts` (n) the first logit of each, and
    `weights` (T, H or W) the weights of the T logits from there on.
    """

    bounds: np.ndarray
    starts: np.ndarray
    weights: np.ndarray


@lru_cache(maxsize=64)
def _taps(length: int, frame: Frame, axis: int) -> Taps:
    weights = axis_weights(length, frame, axis).numpy()
    used = weights != 0
    first, last = used.argmax(1), length - 1 - used[:, ::-1].argmax(1)
    number = (last - first).max() + 1
    first = np.minimum(first, length - number)
    taken = np.take_along_axis(weights, first[:, None] + np.arange(number), axis=1)
    bounds = np.flatnonzero(np.diff(first, prepend=-1, append=-1))
    return Taps(bounds, first[bounds[:-1]], np.ascontiguousarray(taken.T))


@lru_cache(maxsize=64)
def _cells(length: int, frame: Frame, axis: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return what a GPU's kernel takes of an axis: its cells, and the weights of its `Taps`."""
    taps = _taps(length, frame, axis)
    cells = gpu.cells_of(np.repeat(taps.starts, np.diff(taps.bounds)))
    return cells.to(device), torch.from_numpy(taps.weights).to(device)


def _by_cells(logits: Tensor, frame: Frame, rows: Taps, columns: Taps) -> Tensor:
    pixels = logits.permute(1, 2, 0).contiguous().numpy()  # no copy where they are channels_last
    result = np.empty(frame.original, np.uint8)

    def write_rows(begin: int, end: int) -> None:
        kernel.class_rows(pixels, *rows, *columns, begin, end, result)

    compiled.run_pieces(write_rows, len(rows.starts), per_thread=4)  # their costs differ
    return torch.from_numpy(result)
