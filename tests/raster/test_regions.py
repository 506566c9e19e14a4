"""Regions found row by row, and small ones that go to their neighbours."""

import numpy as np
import pytest
from scenes import make_ids
from scipy.ndimage import label

from mmseg.raster.regions import RegionTable


def find(ids: np.ndarray, rows: int, min_area: float = 0, confidence=None):
    """Label `ids` so many rows at a time, pixels of 1 m2; return ids by pixel and the regions."""
    table = RegionTable()
    confidence = np.ones(ids.shape) if confidence is None else confidence
    parts = [slice(top, top + rows) for top in range(0, len(ids), rows)]
    labels = [table.add(ids[p], confidence[p], np.ones(len(ids[p]))) for p in parts]
    regions = table.regions(min_area)
    return regions.of_label[np.concatenate(labels)], regions


@pytest.mark.parametrize("rows", [1, 7, 100])
def test_regions_are_the_connected_pieces_whatever_rows_they_are_found_in(rows):
    ids = make_ids(60, 50, block=3)
    ids[20:30, 10:40] = 255
    found, regions = find(ids, rows)
    assert (found[ids == 255] == 0).all()
    total = 0
    for class_id in range(3):
        expected, count = label(ids == class_id)
        total += count
        for piece in range(1, count + 1):
            (region,) = np.unique(found[expected == piece])
            assert regions.classes[region] == class_id
            assert regions.areas[region] == (expected == piece).sum()
    assert len(regions.areas) == total + 1


def test_small_islands_take_the_class_of_their_largest_neighbour():
    ids = np.zeros((20, 20), np.uint8)
    ids[:, 12:] = 1
    ids[5:8, 5:8] = 2  # within class 0
    ids[15, 11:14] = 2  # on the border of both: class 0 is the larger
    found, regions = find(ids, rows=6, min_area=10)
    assert len(regions.areas) == 3
    assert (regions.classes[found[:, :12]] == 0).all()
    assert (regions.classes[found[:14, 12:]] == 1).all()
    assert (regions.classes[found[15, 11:14]] == 0).all()
    assert regions.areas.sum() == 400


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_of_neighbours_of_one_size_the_higher_class_takes_the_island(turn):
    ids = np.zeros((5, 11), np.uint8)
    ids[:, 6:] = 2
    ids[:, 5] = 1
    found, regions = find(np.rot90(ids, turn), rows=20, min_area=10)
    assert (regions.classes[np.rot90(found, -turn)[:, 5]] == 2).all()


def test_what_a_small_region_kept_apart_becomes_one():
    ids = np.zeros((9, 9), np.uint8)
    ids[:, 4] = 1
    found, regions = find(ids, rows=4, min_area=10)
    assert np.unique(found).tolist() == [1]
    assert regions.areas[1] == 81


def test_an_island_in_nodata_has_no_neighbour_to_go_to():
    ids = np.full((9, 9), 255, np.uint8)
    ids[4, 4] = 1
    _, regions = find(ids, rows=4, min_area=10)
    assert regions.classes[1:].tolist() == [1]


def test_no_region_with_a_neighbour_stays_below_the_smallest_area():
    ids = np.random.default_rng(0).integers(0, 3, (40, 40), dtype=np.uint8)
    _, regions = find(ids, rows=8, min_area=50)
    assert regions.areas[1:].min() >= 50
    assert regions.areas.sum() == 1600


def test_confidence_is_the_mean_over_the_pixels_of_the_regions_own_class():
    ids = np.zeros((10, 10), np.uint8)
    ids[5:] = 1
    ids[2, 2] = 1
    confidence = np.where(ids == 1, 0.9, 0.6)
    confidence[0] = 0.5
    _, regions = find(ids, rows=3, min_area=5, confidence=confidence)
    assert regions.confidence[1:] == pytest.approx([(10 * 0.5 + 39 * 0.6) / 49, 0.9])
