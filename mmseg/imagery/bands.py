"""The bands and bits of images, and how they are shown as colours.

A data set names its bands and its bits (`metainfo`). An image has its bands in that order. Only an
8-bit image of red, green and blue lies in memory as BGR, as all images without named bands do.
"""

from collections.abc import Sequence

import numpy as np

from mmseg.errors import UserError

RGB = ("red", "green", "blue")
BITS = ("uint8", "uint16", "float32")
# Samples of other than 8 bits are shown between these percentiles of each band.
PERCENTILES = (2, 98)


def is_bgr(bands: Sequence[str] | None, bits: str = "uint8") -> bool:
    """Tell whether images of these bands lie in memory as BGR."""
    return bands is None or (tuple(bands) == RGB and bits == "uint8")


def bits_of(dtype: str) -> str:
    """Return which of `BITS` holds samples of a raster's dtype."""
    return dtype if dtype in BITS else "float32"


def picture(
    image: np.ndarray, bands: Sequence[str] | None = None, shown: Sequence[str] | None = None
) -> np.ndarray:
    """Return an image, (H, W, C) in memory order, as uint8 RGB (H, W, 3).

    `shown` names three of `bands`, or one. By default these are red, green and blue, or else the
    first three. Samples of other than 8 bits are stretched between `PERCENTILES` of each band.
    Raises `UserError` for a band that the image does not have.
    """
    if is_bgr(bands, str(image.dtype)):
        image, bands = image[..., ::-1], RGB
    names = list(bands or RGB)
    default = RGB if set(RGB) <= set(names) else names[:3] if len(names) > 2 else names[:1]
    shown = shown or default
    if set(shown) - set(names) or len(shown) not in (1, 3):
        raise UserError(
            f"bands to show are {', '.join(shown)}: give one or three of {', '.join(names)}"
        )
    planes = np.stack([image[..., names.index(band)] for band in (*shown, *shown, *shown)[:3]], -1)
    if planes.dtype == np.uint8:
        return planes
    low, high = np.nanpercentile(planes, PERCENTILES, axis=(0, 1))
    return np.clip((planes - low) / np.maximum(high - low, 1e-9) * 255, 0, 255).astype(np.uint8)
