"""The confusion matrix and the scores, against a double loop and numbers worked out by hand."""

import numpy as np
import pytest
import torch

from mmseg.errors import UserError
from mmseg.evaluation import confusion
from mmseg.evaluation.confusion import confusion_matrix, scores


def brute_force(pred, label, num_classes, ignore_index):
    matrix = np.zeros((num_classes, num_classes), np.int64)
    for row in range(label.shape[0]):
        for column in range(label.shape[1]):
            if label[row, column] != ignore_index:
                matrix[label[row, column], pred[row, column]] += 1
    return matrix


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
@pytest.mark.parametrize("ignore_index", [255, 2, -100])
def test_matrix_equals_a_double_loop_over_the_pixels(dtype, ignore_index, monkeypatch):
    monkeypatch.setattr(confusion, "CHUNK", 100)  # several chunks, the last one short
    random = np.random.default_rng(0)
    pred = random.integers(0, 5, (37, 41))
    label = random.integers(0, 5, (37, 41))
    if ignore_index >= 0:
        label[random.random(label.shape) < 0.2] = ignore_index
        pred[label == ignore_index] = 9  # no class, but it does not count
    given = torch.tensor(pred, dtype=dtype), torch.tensor(label, dtype=dtype)
    matrix = confusion_matrix(*given, 5, ignore_index)
    assert given[0].tolist() == pred.tolist()
    assert given[1].tolist() == label.tolist()
    assert matrix.dtype == torch.int64
    np.testing.assert_array_equal(matrix.numpy(), brute_force(pred, label, 5, ignore_index))


def test_cell_of_more_pixels_than_float32_can_count_is_exact():
    # 4200 * 4200 - 1 = 17,639,999: above 2**24 float32 holds even numbers only
    pred = torch.ones((4200, 4200), dtype=torch.uint8)
    pred[0, 0] = 0
    matrix = confusion_matrix(pred, torch.ones_like(pred), 2)
    assert matrix.tolist() == [[0, 0], [1, 4200 * 4200 - 1]]


def test_empty_image_gives_an_empty_matrix():
    empty = torch.zeros((0, 4), dtype=torch.uint8)
    assert confusion_matrix(empty, empty, 2).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(("dtype", "outside"), [(torch.uint8, (7, 9)), (torch.int64, (-1, 261))])
def test_ids_outside_the_classes_are_named(dtype, outside):
    good = torch.tensor([0, 1, 4, 0], dtype=dtype)
    bad = torch.tensor([*outside, 1, 255], dtype=dtype)
    found = ", ".join(map(str, outside))
    with pytest.raises(UserError, match=rf"ids {found} outside 0\.\.4 in the label"):
        confusion_matrix(good, bad, 5)
    found = ", ".join(map(str, sorted((*outside, 255))))
    with pytest.raises(UserError, match=rf"ids {found} outside 0\.\.4 in the prediction"):
        confusion_matrix(bad, good, 5)


def test_ids_of_256_classes_fit_into_bytes_and_more_classes_are_counted_too():
    ids = torch.arange(256).byte()
    for num_classes in (256, 300):
        matrix = confusion_matrix(ids, ids, num_classes, ignore_index=-1)
        assert matrix.shape == (num_classes, num_classes)
        assert torch.equal(matrix.diagonal()[:256], torch.ones(256).long())
        assert matrix.sum() == 256


def test_sizes_that_differ_are_named():
    with pytest.raises(UserError, match=r"\(2, 3\) pixels, the ground truth \(3, 2\)"):
        confusion_matrix(torch.zeros(2, 3).long(), torch.zeros(3, 2).long(), 2)


def test_scores_equal_numbers_worked_out_by_hand():
    # labelled 10, 5, 5, 0, 0; predicted 10, 4, 0, 6, 0; class 4 occurs nowhere
    matrix = np.zeros((5, 5), np.int64)
    matrix[0] = [8, 0, 0, 2, 0]
    matrix[1] = [1, 4, 0, 0, 0]
    matrix[2] = [1, 0, 0, 4, 0]
    result = scores(matrix)
    nan = np.nan
    expected = {
        "IoU": [100 * 8 / 12, 100 * 4 / 5, 0, 0, nan],
        "Acc": [80, 80, 0, nan, nan],
        "Dice": [80, 100 * 8 / 9, 0, 0, nan],
        "Fscore": [80, 100 * 8 / 9, 0, 0, nan],
        "Precision": [80, 100, nan, 0, nan],
        "Recall": [80, 80, 0, nan, nan],
    }
    assert {*expected} <= {*result}
    for name, values in expected.items():
        assert result[name].dtype == np.float64
        np.testing.assert_allclose(result[name], values, err_msg=name)
    assert result["aAcc"] == pytest.approx(100 * 12 / 20)
    assert result["mIoU"] == pytest.approx((800 / 12 + 80) / 4)
    assert result["mAcc"] == pytest.approx(160 / 3)
    assert result["mDice"] == pytest.approx((80 + 800 / 9) / 4)
    assert result["mPrecision"] == pytest.approx(180 / 3)


def test_scores_of_no_pixels_are_undefined_without_a_warning(recwarn):
    result = scores(np.zeros((3, 3), np.int64))
    assert all(np.isnan(value).all() for value in result.values())
    assert not recwarn.list
