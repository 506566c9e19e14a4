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

    early = [bool(draw.get("contrast_first")) for draw in draws]
    late = [not first for first in early]
    columns = {
        "brightness": _values(draws, "brightness", 0),
        "early contrast": _values(draws, "contrast", 1, early),
        "saturation": _values(draws, "saturation", 1),
        "hue": _values(draws, "hue", 0),
        "late contrast": _values(draws, "contrast", 1, late),
    }
    used = {name: values for name, values in columns.items() if values is not None}
    drawn = dict(zip(used, _on_device(list(used.values()), images), strict=True))
    if "brightness" in drawn:
        images.add_(drawn["brightness"]).clamp_(0, 255)
    if "early contrast" in drawn:
        images.mul_(drawn["early contrast"]).clamp_(max=255)
    if "hue" in drawn:
        _turn_hue(images, drawn["hue"] / HUES_PER_SIXTH, drawn.get("saturation"), rgb)
    elif "saturation" in drawn:
        _saturate(images, drawn["saturation"])
    if "late contrast" in drawn:
        images.mul_(drawn["late contrast"]).clamp_(max=255)


def _values(
    draws: Sequence[Draws], name: str, neutral: float, used: Sequence[bool] | None = None
) -> list[float] | None:
    """Return one value per image, where `used` says so, None when all are neutral."""
    values = [neutral if draw.get(name) is None else draw[name] for draw in draws]
    if used is not None:
        values = [v if u else neutral for v, u in zip(values, used, strict=True)]
    return None if all(value == neutral for value in values) else values  # type: ignore[return-value]


def _on_device(columns: Sequence[Sequence[float]], images: Tensor) -> Sequence[Tensor]:
    """Return each column as (B, 1, 1, 1), of the images' dtype."""
    if not columns:
        return []
    table = torch.tensor(columns, dtype=images.dtype)
    if images.is_cuda:
        table = table.pin_memory()  # or the copy would wait for all that the GPU has to do
    return table.to(images.device, non_blocking=True)[..., None, None, None].unbind()


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
