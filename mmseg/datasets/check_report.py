"""Tables of the numbers that `mmseg.datasets.check` has read."""

from collections.abc import Mapping, Sequence

import numpy as np
from rich.table import Table

from mmseg.datasets.check import Sample


def overview(splits: Mapping[str, Sequence[Sample]]) -> Table:
    """Tabulate sizes and colours of the images of each split."""
    table = Table("split", "images", "height", "width", "mean (RGB)", "std (RGB)")
    for split, samples in splits.items():
        sizes = np.array([s.size for s in samples if s.size])
        if not len(sizes):
            table.add_row(split, "0 readable")
            continue
        ranges = [f"{low} to {high}" for low, high in zip(sizes.min(0), sizes.max(0), strict=True)]
        colours = [", ".join(f"{v:.2f}" for v in values) for values in mean_and_std(samples)]
        table.add_row(split, str(len(samples)), *ranges, *colours)
    return table


def class_table(splits: Mapping[str, Sequence[Sample]], classes: Sequence[str]) -> Table:
    """Tabulate the pixels of each class in each split."""
    table = Table("class")
    columns = []
    for split, samples in splits.items():
        counts = [s.class_pixels for s in samples if s.class_pixels is not None]
        pixels = np.sum(counts, axis=0) if counts else np.zeros(len(classes), int)
        shares = pixels / max(pixels.sum(), 1)
        columns.append([f"{n:,} ({p:.2%})" for n, p in zip(pixels, shares, strict=True)])
        table.add_column(f"pixels in {split}", justify="right")
    for row in zip(classes, *columns, strict=True):
        table.add_row(*row)
    return table


def mean_and_std(samples: Sequence[Sample]) -> tuple[np.ndarray, np.ndarray]:
    """Return the (3,) mean and standard deviation, in RGB order, of all pixels of all images."""
    read = [s for s in samples if s.size and s.channel_mean is not None]
    pixels = [height * width for height, width in (s.size for s in read if s.size)]
    mean = np.average(np.array([s.channel_mean for s in read]), axis=0, weights=pixels)
    square = np.average(np.array([s.channel_square for s in read]), axis=0, weights=pixels)
    return mean, np.sqrt(np.maximum(square - mean**2, 0))
