"""Intervals of scores, against resampling by hand."""

import numpy as np
import pytest

from mmseg.errors import UserError
from mmseg.evaluation.confusion import scores
from mmseg.evaluation.per_image import ImageCounts, drawn_scores, drawn_weights, interval


def counts_of(matrices, groups=None) -> ImageCounts:
    groups = groups or [str(i) for i in range(len(matrices))]
    images = []
    for i, (matrix, group) in enumerate(zip(matrices, groups, strict=True)):
        cells = np.flatnonzero(matrix)
        images.append((f"{i}.jpg", f"{i}.png", group, cells, matrix.flat[cells]))
    return ImageCounts.of(["a", "b", "c"], images)


def random_matrices(n: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.integers(0, 50, (n, 3, 3)) * (rng.random((n, 3, 3)) < 0.7)


def test_scores_of_a_drawn_sample_are_those_of_its_summed_matrix():
    matrices = random_matrices(12)
    matrices[:, 2] = 0  # no pixel of the class is labelled, as in many sets
    weights = drawn_weights(np.arange(12).astype(str))
    drawn = drawn_scores(counts_of(matrices), weights)
    for draw in (0, 7, 999):
        expected = scores(np.einsum("n,nij->ij", weights[draw], matrices))
        for name, values in expected.items():
            np.testing.assert_allclose(drawn[name][draw], values)


def test_interval_of_the_accuracy_is_that_of_resampling_by_hand():
    matrices = random_matrices(40)
    drawn = drawn_scores(counts_of(matrices), drawn_weights(np.arange(40).astype(str)))
    right, total = matrices.trace(axis1=1, axis2=2), matrices.sum((1, 2))
    rng = np.random.default_rng(5)
    samples = [rng.choice(40, 40) for _ in range(5000)]
    low, high = np.percentile([100 * right[s].sum() / total[s].sum() for s in samples], [2.5, 97.5])
    assert interval(drawn["aAcc"]) == pytest.approx([low, high], abs=0.1 * (high - low))


def test_images_of_one_place_are_drawn_together():
    groups = np.array(["sheet1", "sheet2", "sheet1", "sheet3"])
    weights = drawn_weights(groups)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, [0, 1, 3]].sum(1) == 3).all()
    assert (weights == drawn_weights(groups)).all()


def test_one_place_gives_no_interval():
    counts = counts_of(random_matrices(4), groups=["one sheet"] * 4)
    drawn = drawn_scores(counts, drawn_weights(counts.groups))
    assert np.isnan(interval(drawn["mIoU"])).all() and np.isnan(interval(drawn["IoU"])).all()


def test_a_class_that_no_image_has_gets_no_interval():
    drawn = drawn_scores(counts_of(np.diag([5, 5, 0])[None]), np.ones((1000, 1), int))
    assert np.isnan(interval(drawn["IoU"])[:, 2]).all()
    assert (interval(drawn["IoU"])[:, :2] == 100).all()


def test_counts_of_images_come_back_from_their_file(tmp_path):
    matrices = random_matrices(5)
    counts = counts_of(matrices, groups=["x", "x", "y", "y", "z"])
    counts.save(tmp_path / "a.images.npz")
    again = ImageCounts.load(tmp_path / "a.images.npz")
    assert [again.matrix(slice(i, i + 1)).tolist() for i in range(5)] == matrices.tolist()
    assert again.matrix().tolist() == matrices.sum(0).tolist()
    assert again.groups.tolist() == ["x", "x", "y", "y", "z"]
    (tmp_path / "b.npz").write_bytes(b"nothing")
    with pytest.raises(UserError, match="no counts of single images"):
        ImageCounts.load(tmp_path / "b.npz")
