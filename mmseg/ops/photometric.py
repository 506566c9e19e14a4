"""Brightness, contrast, saturation and hue of images, on the device of the images."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

# OpenCV counts hue in two degrees; here it is in sixths of the circle.
HUES_PER_SIXTH = 30


def distort(
    images: Tensor, draws: Sequence[Mapping[str, Any]], rgb: Sequence[int], bounded: bool = True
) -> None:
    """Change the colours of (B, C, H, W) images, float of 0..255, in place, each by its draws.

    A draw of `PhotoMetricDistortion` has the keys brightness, contrast, contrast_first, saturation
    and hue. None, or no value, leaves a property alone. Brightness is added, contrast and
    saturation are factors, hue is turned in units of two degrees. Contrast comes either before
    saturation and hue, or after them. Brightness and contrast may be a tuple with a value for each
    channel. Values stay within 0..255 if they are `bounded`. `rgb` says which channels are red,
    green and blue, the only ones that saturation and hue change.
    """
    low, high = (0, 255) if bounded else (-math.inf, math.inf)
    for image, draw in zip(images, draws, strict=True):
        brightness, contrast = (_values(draw.get(key), image) for key in ("brightness", "contrast"))
        saturation, hue = draw.get("saturation"), draw.get("hue")
        if brightness is not None:
            image.add_(brightness).clamp_(low, high)
        if contrast is not None and draw.get("contrast_first"):
            image.mul_(contrast).clamp_(max=high)
        if hue is not None or saturation is not None:
            turn = (hue or 0) / HUES_PER_SIXTH
            _turn_hue(image, turn, 1 if saturation is None else saturation, rgb)
        if contrast is not None and not draw.get("contrast_first"):
            image.mul_(contrast).clamp_(max=high)


def _values(drawn: Any, image: Tensor) -> Any:
    """Return a drawn value, or the one of each channel as (C, 1, 1)."""
    return image.new_tensor(drawn)[:, None, None] if isinstance(drawn, tuple) else drawn


def _turn_hue(image: Tensor, turn: float, saturation: float, rgb: Sequence[int]) -> None:
    """Turn hue by sixths of the circle, and multiply the saturation, at most until it is full."""
    red, green, blue = colours = [image[i] for i in rgb]
    value = torch.maximum(torch.maximum(*colours[:2]), blue)
    chroma = value - torch.minimum(torch.minimum(*colours[:2]), blue)
    # Hue in sixths of the circle: red 0, green 2, blue 4; grey has any.
    hue = torch.where(value == green, blue - red, red - green)
    hue = torch.where(value == red, green - blue, hue)
    hue.div_(chroma.clamp(min=1e-3))
    hue.add_(2 * ((value != red) & (value == green))).add_(4 * ((value != red) & (value != green)))
    hue.add_(turn).remainder_(6)
    chroma = torch.minimum(chroma * saturation, value)
    value.sub_(chroma)
    red.copy_(value + chroma * ((hue - 3).abs_() - 1).clamp_(0, 1))
    green.copy_(value + chroma * (2 - (hue - 2).abs_()).clamp_(0, 1))
    blue.copy_(value + chroma * (2 - (hue - 4).abs_()).clamp_(0, 1))
