"""The grid of windows and the rows that they finish."""

import numpy as np
import pytest

from mmseg.errors import UserError
from mmseg.raster.windows import rows_for_strips, window_axis

AXES = [(length, overlap) for length in (1, 31, 32, 33, 56, 57, 200) for overlap in (0, 0.25, 0.5)]


@pytest.mark.parametrize(("length", "overlap"), AXES)
def test_windows_cover_the_axis_and_the_last_is_needed(length, overlap):
    axis = window_axis(length, 32, overlap)
    assert axis.covered >= length
    assert axis.count == 1 or axis.covered - axis.stride < length


@pytest.mark.parametrize(("length", "overlap"), AXES)
def test_strips_are_the_axis_and_no_later_window_touches_them(length, overlap):
    axis = window_axis(length, 32, overlap)
    rows = np.concatenate([np.arange(*axis.strip(index)) for index in range(axis.count)])
    assert rows.tolist() == list(range(length))
    for index in range(axis.count - 1):
        assert axis.strip(index)[1] <= axis.start(index + 1)


def test_strips_that_are_missing_take_the_row_of_windows_before_with_them():
    assert rows_for_strips([0, 1]) == [(0, True), (1, True)]
    assert rows_for_strips([2, 3, 7]) == [(1, False), (2, True), (3, True), (6, False), (7, True)]
    assert rows_for_strips([]) == []


@pytest.mark.parametrize("overlap", [-0.1, 0.6])
def test_an_overlap_beyond_one_half_is_refused(overlap):
    with pytest.raises(UserError, match="choose a fraction from 0 to 0"):
        window_axis(100, 32, overlap)
