"""Photometric distortion of a batch on its device; the plain one is the transform's, on uint8."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

Draws = Mapping[str, float | None]
"""What `PhotoMetricDistortion` drew for one image; None, or no value, leaves a property alone."""

# OpenCV counts hue in two degrees; here it is in sixths of the circle.
HUES_PER_SIXTH = 30


def distort(images: Tensor, draws: Sequence[Draws], rgb: tuple[int, int, int]) -> None:
    """Change the colours of (B, 3, H, W) images, float of 0..255, in place, each by its draws.

    `rgb` says which channels are red, green and blue.
    """

    def column(name: str, neutral: float, used: Sequence[bool] | None = None) -> Tensor | None:
        """Return one value per image as (B, 1, 1, 1), None when all are neutral."""
        values = [neutral if d.get(name) is None else d[name] for d in draws]
        if used is not None:
            values = [v if u else neutral for v, u in zip(values, used, strict=True)]
        if all(value == neutral for value in values):
            return None
        return images.new_tensor(values).view(-1, 1, 1, 1)

    early = [bool(d.get("contrast_first")) for d in draws]
    if (brightness := column("brightness", 0)) is not None:
        images.add_(brightness).clamp_(0, 255)
    if (contrast := column("contrast", 1, early)) is not None:
        images.mul_(contrast).clamp_(max=255)
    saturation, hue = column("saturation", 1), column("hue", 0)
    if hue is not None:
        _turn_hue(images, hue / HUES_PER_SIXTH, saturation, rgb)
    elif saturation is not None:
        _saturate(images, saturation)
    if (contrast := column("contrast", 1, [not e for e in early])) is not None:
        images.mul_(contrast).clamp_(max=255)


def _saturate(images: Tensor, saturation: Tensor) -> None:
    value, chroma = _value_and_chroma(images)
    # The distance to the brightest channel grows, at most until the darkest is black.
    factor = torch.minimum(saturation, value / chroma.clamp_(min=1e-3))
    images.sub_(value).mul_(factor).add_(value)


def _turn_hue(
    images: Tensor, turn: Tensor, saturation: Tensor | None, rgb: tuple[int, int, int]
) -> None:
    value, chroma = _value_and_chroma(images)
    red, green, blue = (images[:, i : i + 1] for i in rgb)
    # Hue in sixths of the circle: red 0, green 2, blue 4; grey has any.
    hue = torch.where(
        value == red,
        green - blue,
        torch.where(value == green, blue - red, red - green),
    )
    hue.div_(chroma.clamp(min=1e-3))
    hue.add_(2 * ((value != red) & (value == green))).add_(4 * ((value != red) & (value != green)))
    hue.add_(turn).remainder_(6)
    if saturation is not None:
        chroma = torch.minimum(chroma * saturation, value)
    value.sub_(chroma)
    red.copy_(value + chroma * ((hue - 3).abs_() - 1).clamp_(0, 1))
    green.copy_(value + chroma * (2 - (hue - 2).abs_()).clamp_(0, 1))
    blue.copy_(value + chroma * (2 - (hue - 4).abs_()).clamp_(0, 1))


def _value_and_chroma(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the brightest channel and its distance to the darkest, each (B, 1, H, W)."""
    value = images.amax(1, keepdim=True)
    return value, value - images.amin(1, keepdim=True)
