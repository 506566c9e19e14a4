"""The order of turns and the arithmetic of their times."""

from functools import partial

import pytest

from mmseg.benchmark.run import compare, summary
from mmseg.benchmark.statistics import alternate, ratio, spread


def test_sides_take_turns_and_every_other_round_goes_backwards():
    called = []

    def turn(name: str) -> dict:
        called.append(name)
        return {"number": called.count(name)}

    results = alternate([partial(turn, name) for name in "abc"], runs=3, warm_up=1)
    assert "".join(called) == "abccbaabccba"
    assert results == [[{"number": 2}, {"number": 3}, {"number": 4}]] * 3


def test_spread_is_median_and_percentiles():
    assert spread([50, 10, 30, 20, 40, 0]) == {"median": 25, "p20": 10, "p80": 40}


def test_the_ratio_is_that_of_pairs():
    # The machine was half as fast in the last pair; the medians' ratio would be 3.
    assert ratio([3, 2, 12], [1, 1, 4])["median"] == 3
    assert ratio([2, 2, 12], [1, 1, 4]) == pytest.approx({"median": 2, "p20": 2, "p80": 2.6})


def test_times_are_per_unit_of_work_and_peaks_the_highest():
    answers = [
        {"seconds": 2.0, "count": 4, "waited": 0.5, "rss_mb": 1, "peak_rss_mb": 5},
        {"seconds": 6.0, "count": 4, "waited": 1.5, "rss_mb": 9, "peak_rss_mb": 7},
    ]
    found = summary(answers)
    assert found["seconds"] == [0.5, 1.5]
    assert found["median"] == 1
    assert found["peak_rss_mb"] == 7
    assert found["waiting_share"] == 0.25


def test_sides_are_compared_by_time_and_by_the_device_s_memory():
    ours, other = (
        {"side": name, **summary([{"seconds": s, "peak_rss_mb": rss, "peak_cuda_mb": cuda}])}
        for name, s, rss, cuda in (("ours", 2.0, 10, 3), ("other", 5.0, 10, 12))
    )
    found = compare(ours, other)
    assert found["side"] == "other"
    assert found["times_as_fast"]["median"] == 2.5
    assert found["peak_share"] == 0.25
    del ours["peak_cuda_mb"]
    assert compare(ours, other)["peak_share"] == 1
