"""Maps in bands of rows: what of a large map is there at a time."""

import torch

# Interpolated logits that torch's operations hold at a time: 16 MiB of float32 on a CPU, which stay
# in its cache, and 256 on a GPU, which is to have few and large operations.
LOGITS_AT_ONCE = {"cpu": 2**22, "cuda": 2**26}
# What has a border of rows around each band would do much twice in thinner ones.
MIN_ROWS = 4


def rows_of_logits(row: int, device: torch.device) -> int:
    """Return how many rows, of `row` logits each, are interpolated at a time."""
    return max(1, LOGITS_AT_ONCE.get(device.type, LOGITS_AT_ONCE["cuda"]) // row)


def rows_per_band(height: int, row_bytes: int, band_bytes: int) -> int:
    """Return how many of `height` rows make a band of at most `band_bytes`, if MIN_ROWS fit.

    Bands are of one size, as nearly as possible.
    """
    rows = max(MIN_ROWS, band_bytes // row_bytes)
    return -(-height // -(-height // rows))
