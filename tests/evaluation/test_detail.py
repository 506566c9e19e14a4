"""Boundaries, sizes and calibration, against counting by hand."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from mmseg.evaluation.detail import (
    DetailMetric,
    boundaries,
    by_size,
    calibration,
    calibration_error,
)


def squares(size: int, *places: tuple[int, int, int]) -> np.ndarray:
    ids = np.zeros((size, size), np.uint8)
    for top, left, side in places:
        ids[top : top + side, left : left + side] = 1
    return ids


def test_boundaries_are_the_pixels_near_an_edge():
    label, pred = squares(100, (20, 20, 40)), squares(100, (20, 22, 40))
    found, _ = boundaries(pred, label, 3)
    width = round(0.02 * 100 * 2**0.5)
    bands = []
    for ids in (label, pred):  # the chessboard distance to the nearest pixel of another class
        distance = ndimage.distance_transform_cdt(ids == 1, metric="chessboard")
        bands.append((ids == 1) & (distance <= width))
    expected = (bands[0] & bands[1]).sum(), (bands[0] | bands[1]).sum()
    assert found[1].tolist() == list(expected)
    assert found[2].tolist() == [0, 0]


def test_the_border_of_the_image_is_a_boundary():
    label = np.ones((100, 100), np.uint8)
    found, _ = boundaries(label, label, 2)
    assert found[1].tolist() == [100**2 - 94**2] * 2


def test_contours_agree_within_the_tolerance_and_not_beyond():
    label = squares(400, (100, 100, 100))
    radius = round(0.0075 * 400 * 2**0.5)
    inside, outside = squares(400, (100, 100 + radius, 100)), squares(400, (100, 300, 100))
    assert boundaries(label, label, 3)[1].tolist() == [[1, 1], [1, 1], [0, 0]]
    assert boundaries(inside, label, 3)[1][1].tolist() == [1, 1]
    assert boundaries(outside, label, 3)[1][1].tolist() == [0, 1]


def test_objects_are_scored_by_their_size():
    label = squares(300, (0, 0, 10), (100, 100, 150))
    pred = squares(300, (100, 100, 150))
    pred[290, 290] = 1  # a small object that is not there
    sizes = by_size(pred, label, 2)
    assert sizes[:, 1].tolist() == [[0, 101], [0, 0], [150**2, 150**2]]
    assert sizes[2, 0, 0] == (label == 0).sum() - 1


def test_a_model_that_is_right_as_often_as_it_says_has_no_calibration_error():
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(0, 2, (3, 800, 800)))
    prob = logits.softmax(0).numpy()
    label = (rng.random((800, 800))[None] > prob.cumsum(0)).sum(0).clip(0, 2).astype(np.uint8)
    label[:100] = 255
    errors = calibration_error(calibration(logits, label))
    assert (errors < 0.012).all()
    sharp = calibration(3 * logits, label)
    assert sharp[3, :, 0].sum() == 140 * 160
    confidence = (3 * logits).softmax(0)[:, 100::5, ::5].max(0)
    right = (confidence.indices.numpy() == label[100::5, ::5]).mean()
    # It is too sure in every bin, so that the error is the difference of the means.
    difference = confidence.values.mean().item() - right
    assert calibration_error(sharp)[3] == pytest.approx(difference, abs=1e-6)


def test_the_metric_sums_the_images_and_writes_them(tmp_path):
    metric = DetailMetric(file=str(tmp_path / "x.detail.npz"))
    metric.dataset_meta = {"classes": ["a", "b"]}
    label, pred = squares(50, (10, 10, 20)), squares(50, (10, 12, 20))

    def sample(ids):
        return {"data": torch.from_numpy(ids)[None]}

    one = {"pred_sem_seg": sample(pred), "gt_sem_seg": sample(label)}
    metric.process(None, [one, one])
    metric.evaluate(size=2)
    with np.load(tmp_path / "x.detail.npz") as file:
        boundary, contour = boundaries(pred, label, 2)
        assert file["boundary"].tolist() == (2 * boundary).tolist()
        np.testing.assert_allclose(file["contour"], 2 * contour)
        assert file["sizes"].tolist() == (2 * by_size(pred, label, 2)).tolist()
        assert not file["calibration"].any()
