"""The grid of windows, the rows that they finish, and their weights."""

import numpy as np
import pytest
import torch

from mmseg.raster.windows import RowBlender, WindowAxis


def window_axis(length: int, size: int, overlap: float) -> WindowAxis:
    return WindowAxis(length, size, size - int(size * overlap))


@pytest.mark.parametrize("length", [1, 31, 32, 33, 56, 57, 200])
@pytest.mark.parametrize("overlap", [0, 0.25, 0.5])
def test_windows_cover_the_axis_and_finish_strips_that_no_later_one_touches(length, overlap):
    axis = window_axis(length, 32, overlap)
    assert axis.covered >= length
    assert axis.count == 1 or axis.covered - axis.stride < length  # the last one is needed
    rows = np.concatenate([np.arange(*axis.strip(index)) for index in range(axis.count)])
    assert rows.tolist() == list(range(length))
    for index in range(axis.count - 1):
        assert axis.strip(index)[1] <= axis.starts[index + 1]


@pytest.mark.parametrize("overlap", [0, 0.1, 0.25, 0.5])
@pytest.mark.parametrize("length", [5, 32, 33, 100, 1000])
def test_weights_sum_to_one_everywhere(length, overlap):
    axis = window_axis(length, 32, overlap)
    total = np.zeros(axis.covered)
    for index in range(axis.count):
        weights = axis.weights(index).numpy()
        assert (weights >= 0).all()
        total[axis.starts[index] : axis.starts[index] + axis.size] += weights
    assert np.abs(total[:length] - 1).max() < 1e-6


def test_weights_change_smoothly_from_window_to_window():
    axis = window_axis(1000, 512, 0.25)
    weights = axis.weights(1).numpy()
    assert np.abs(np.diff(weights)).max() < 0.02
    assert weights[0] < 1e-4


@pytest.mark.parametrize("overlap", [0, 0.25, 0.5])
def test_the_band_gives_the_weighted_sum_over_the_whole_scene(overlap):
    rows, columns = window_axis(75, 16, overlap), window_axis(61, 16, overlap)
    generator = torch.Generator().manual_seed(0)
    whole = torch.zeros(2, rows.covered, columns.covered, dtype=torch.float64)
    band = RowBlender(2, rows, columns, "cpu")
    strips = []
    for row in range(rows.count):
        for column in range(columns.count):
            window = torch.rand(2, 16, 16, generator=generator)
            band.add(row, column, window)
            top, left = rows.starts[row], columns.starts[column]
            weights = np.outer(rows.weights(row).numpy(), columns.weights(column).numpy())
            whole[:, top : top + 16, left : left + 16] += window * torch.from_numpy(weights)
        strips.append(band.strip(row).clone())
        band.next_row()
    result = torch.cat(strips, dim=1)
    assert result.shape == (2, 75, 61)
    assert (result - whole[:, :75, :61]).abs().max() < 1e-6
