"""Maps in bands of rows: what of a large map is there at a time."""

# What has a border of rows around each band would do much twice in thinner ones.
MIN_ROWS = 4


def rows_per_band(height: int, row_bytes: int, band_bytes: int) -> int:
    """Return how many of `height` rows make a band of at most `band_bytes`, if MIN_ROWS fit.

    Bands are of one size, as nearly as possible.
    """
    rows = max(MIN_ROWS, band_bytes // row_bytes)
    return -(-height // -(-height // rows))
