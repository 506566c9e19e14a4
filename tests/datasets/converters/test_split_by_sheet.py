"""The split of LandCover.ai by map sheets."""

import numpy as np

from mmseg.datasets.converters import landcover


def test_the_split_by_sheet_is_near_70_15_15_on_sheets_like_the_official_ones():
    tiles = {f"M-{i}": 306 for i in range(33)} | {f"N-{i}": 72 for i in range(8)}
    ids = [f"{name}_{k}" for name, count in tiles.items() for k in range(count)]
    splits = landcover.split_by_sheet(ids)
    shares = [len(splits[split]) / len(ids) for split in ("train", "val", "test")]
    np.testing.assert_allclose(shares, [0.70, 0.15, 0.15], atol=0.02)
    assert landcover.split_by_sheet(ids[::-1]) == splits
