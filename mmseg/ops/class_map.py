"""The class of every pixel of an image, from the logits of a network at 1/8 of its input's size.

The logits are interpolated bilinearly to the size of the network's input and from there to the size
of the image, and the class of the largest one is kept. Both interpolations together are one linear
weighting for each axis. So the K logits of a pixel never have to be held for the whole image.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg.ops import bilinear, triton

Size = tuple[int, int]
FLIPPED_DIMS = {"horizontal": (-1,), "vertical": (-2,), "diagonal": (-2, -1)}

# With fewer pixels than this for each logit of a class, interpolating all logits is faster.
SMALLEST_CELL = 4
# Rows that one thread takes at a time.
ROWS = 32


@dataclass(frozen=True)
class Frame:
    """Where logits lie in the image they belong to; all sizes are (height, width).

    The logits cover the network's input of size `padded`. The image fills its upper left part of
    size `inside`; it was resized from `original` and flipped by `flip`.
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

    The result is `best_class(to_original(logits, frame)[0])`, except where rounding decides between
    two classes. Near logits that are not finite it is any class.
    """
    pixels, cells = frame.original[0] * frame.original[1], logits[0, 0].numel()
    if pixels < SMALLEST_CELL * cells:
        return best_class(to_original(logits, frame)[0])
    logits = logits[0].detach().float()
    gpu = triton.kernels_for(logits, "class_map")
    loop = _loop() if logits.device.type == "cpu" and not gpu else None
    if gpu or loop:
        axes = (_taps(logits.shape[1 + axis], frame, axis, logits.device) for axis in (0, 1))
        taps = [*chain.from_iterable(axes)]
        return gpu.best_classes(logits, *taps) if gpu else _by_loop(logits, taps, loop)
    with torch.autocast(logits.device.type, enabled=False):
        return _by_torch(logits, frame)


@lru_cache(maxsize=16)
def axis_weights(length: int, frame: Frame, axis: int) -> Tensor:
    """Return the weights of each row (axis 0) or column (1) of the image on a map `length` long.

    float32 (H or W, length), a few entries per row, which sum to one.
    """
    weights = bilinear.matrix(length, frame.padded[axis], frame.align_corners)[: frame.inside[axis]]
    if frame.flip and axis - 2 in FLIPPED_DIMS[frame.flip]:
        weights = weights.flip(0)
    vectors = weights.T[None, :, :, None]
    vectors = rescale(vectors, (frame.original[axis], 1), frame.align_corners)
    return vectors[0, :, :, 0].T.contiguous()


def _by_torch(logits: Tensor, frame: Frame) -> Tensor:
    device = logits.device
    columns = axis_weights(logits.shape[2], frame, 1).to(device)
    wide = logits @ columns.T  # (K, h, W)
    height = bilinear.rows_at_once(wide[:, 0].numel(), device)
    result = []
    for weights in axis_weights(logits.shape[1], frame, 0).split(height):
        used = weights.any(0).nonzero().flatten().tolist()
        rows = slice(used[0], used[-1] + 1)
        result.append(best_class(weights[:, rows].to(device) @ wide[:, rows]))
    return torch.cat(result)


@lru_cache(maxsize=64)  # also because a copy to a GPU waits for it
def _taps(length: int, frame: Frame, axis: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the first logit of each row or column, and the weights (T, H or W) from there on."""
    weights = axis_weights(length, frame, axis).numpy()
    used = weights != 0
    first, last = used.argmax(1), length - 1 - used[:, ::-1].argmax(1)
    number = (last - first).max() + 1
    first = np.minimum(first, length - number).astype(np.int32)
    taken = np.take_along_axis(weights, first[:, None] + np.arange(number), axis=1)
    taken = np.ascontiguousarray(taken.T)
    return torch.from_numpy(first).to(device), torch.from_numpy(taken).to(device)


@cache
def _loop() -> Any:
    """Return the loop for CPUs, None if there is none. Only programs that use it import numba."""
    try:
        from mmseg.ops.numba_class_map import class_rows
    except (ImportError, RuntimeError):  # there is no numba; no folder for its cache can be written
        return None
    return class_rows


def _by_loop(logits: Tensor, taps: Sequence[Tensor], loop: Any) -> Tensor:
    pixels = logits.permute(1, 2, 0).contiguous().numpy()  # no copy where they are channels_last
    axes = [each.numpy() for each in taps]
    result = np.empty((len(axes[0]), len(axes[2])), np.uint8)

    def write_rows(begin: int) -> None:
        loop(pixels, *axes, begin, min(begin + ROWS, len(result)), result)

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        list(pool.map(write_rows, range(0, len(result), ROWS)))
    return torch.from_numpy(result)
