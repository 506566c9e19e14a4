"""How many rows of a map make a band."""

from mmseg.ops.bands import rows_per_band


def test_bands_fit_and_are_of_one_size_as_nearly_as_possible():
    assert rows_per_band(height=128, row_bytes=10, band_bytes=1280) == 128
    assert rows_per_band(height=128, row_bytes=10, band_bytes=1279) == 64
    assert rows_per_band(height=10, row_bytes=10, band_bytes=60) == 5


def test_bands_are_not_thinner_than_four_rows():
    assert rows_per_band(height=12, row_bytes=10, band_bytes=1) == 4
    assert rows_per_band(height=3, row_bytes=10, band_bytes=1) == 3
