"""Suspects among labels of which some are planted wrong."""

import numpy as np
import pyogrio
import rasterio
import shapely
from rasterio import Affine
from scipy.ndimage import gaussian_filter
from scipy.special import softmax

from mmseg.results.label_errors import LabelErrors, crop_with_outline, write_suspect_layer

CLASSES = ["ground", "roof", "tree"]


def world(seed: int, wrong: float) -> tuple[np.ndarray, np.ndarray, list[tuple[int, int]]]:
    """Draw objects in a grid; return what a model says, the labels, and where they are wrong.

    The model is unsure at edges, and everywhere by noise. A label is wrong with chance `wrong`.
    """
    rng = np.random.default_rng(seed)
    truth, label = np.zeros((2, 256, 256), np.uint8)
    planted = []
    for top in range(6, 250, 25):
        for left in range(6, 250, 25):
            k = rng.integers(1, 3)
            place = slice(top, top + 14), slice(left, left + 14)
            truth[place] = label[place] = k
            if rng.random() < wrong:
                label[place] = rng.choice([c for c in range(3) if c != k])
                planted.append((top, left))
    onehot = np.stack([gaussian_filter((truth == k).astype(float), 2) for k in range(3)])
    noise = np.stack([gaussian_filter(rng.normal(0, 6, truth.shape), 2) for _ in range(3)])
    return softmax(8 * onehot + noise, axis=0), label, planted


def collect(wrong: float) -> tuple[list, set]:
    errors, planted = LabelErrors(3, min_pixels=30), set()
    for i in range(5):
        prob, label, places = world(i, wrong)
        errors.add(f"{i}.tif", prob, label)
        planted |= {(f"{i}.tif", *place) for place in places}
    return errors.suspects(least=0.5), planted


def test_planted_errors_lead_the_list():
    suspects, planted = collect(wrong=0.05)
    assert len(planted) > 15
    found = set()
    for each in suspects[: len(planted)]:
        left, top = map(int, each.outline.bounds[:2])
        found.add((each.image, (top - 6) // 25 * 25 + 6, (left - 6) // 25 * 25 + 6))
    assert len(found & planted) >= 0.8 * len(planted)


def test_right_labels_have_no_suspects():
    assert collect(wrong=0.0)[0] == []


def test_ignored_pixels_are_no_suspects_and_images_are_ranked_by_trust():
    prob, label, _ = world(0, 0.3)
    errors = LabelErrors(3, min_pixels=30)
    errors.add("ignored", prob, np.full_like(label, 255))
    errors.add("wrong", prob, (label + 1) % 3)
    errors.add("right", prob, label)
    assert {each.image for each in errors.candidates} <= {"wrong", "right"}
    trust = dict(errors.trust)
    assert np.isnan(trust["ignored"]) and trust["wrong"] < trust["right"]


def test_the_layer_has_the_outlines_where_the_tiles_lie(tmp_path):
    prob, label, _ = world(3, 0.05)
    path = str(tmp_path / "tile.tif")
    profile = {"driver": "GTiff", "width": 256, "height": 256, "count": 1, "dtype": "uint8"}
    place = {"crs": "EPSG:2180", "transform": Affine(2, 0, 1000, 0, -2, 5000)}
    with rasterio.open(path, "w", **profile, **place) as raster:
        raster.write(label, 1)
    errors = LabelErrors(3, min_pixels=30)
    errors.add(path, prob, label)
    suspects = errors.suspects(0.5)
    assert write_suspect_layer(tmp_path / "s.gpkg", suspects, CLASSES)
    meta, _, geometry, data = pyogrio.raw.read(tmp_path / "s.gpkg")
    assert "2180" in meta["crs"] and len(geometry) == len(suspects)
    left, top, right, bottom = suspects[0].outline.bounds
    box = (1000 + 2 * left, 5000 - 2 * bottom, 1000 + 2 * right, 5000 - 2 * top)
    assert shapely.from_wkb(geometry[0]).bounds == box
    cells = suspects[0].cells(CLASSES)
    assert [values[0] for values in data] == cells[:5]
    part = label[int(top) : int(bottom), int(left) : int(right)]
    assert cells[5:] == [left, top, right, bottom] and CLASSES[part[5, 5]] == cells[1]
    assert not write_suspect_layer(tmp_path / "none.gpkg", [], CLASSES)
    picture = crop_with_outline(np.zeros((256, 256, 3), np.uint8), suspects[0])
    assert picture.shape == (240, 240, 3) and (picture == (255, 220, 0)).all(2).any()
