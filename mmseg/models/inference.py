"""Logits of a whole batch of images, in one piece or by sliding windows: pure functions."""

from collections.abc import Callable, Iterator

from torch import Tensor

Network = Callable[[Tensor], Tensor]
"""(B, 3, H, W) -> logits (B, K, H, W) at the size of the input."""


def window_starts(length: int, window: int, stride: int) -> Iterator[int]:
    """Yield where windows begin so that they cover `length`; the last one ends at the border."""
    last = max(length - window, 0)
    yield from range(0, last, stride)
    yield last


def slide_inference(
    network: Network, x: Tensor, crop_size: tuple[int, int], stride: tuple[int, int]
) -> Tensor:
    """Average the logits of overlapping windows: (B, 3, H, W) -> (B, K, H, W).

    One window that covers the image gives the same as the network on the whole image.
    """
    height, width = x.shape[2:]
    total: Tensor | None = None
    count = x.new_zeros(1, 1, height, width)
    for top in window_starts(height, crop_size[0], stride[0]):
        for left in window_starts(width, crop_size[1], stride[1]):
            rows = slice(top, min(top + crop_size[0], height))
            columns = slice(left, min(left + crop_size[1], width))
            logits = network(x[:, :, rows, columns])
            if total is None:
                total = logits.new_zeros(x.shape[0], logits.shape[1], height, width)
            total[:, :, rows, columns] += logits
            count[:, :, rows, columns] += 1
    assert total is not None
    return total / count
