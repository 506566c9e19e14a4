"""Brightness, contrast, saturation and hue of a batch of images, on the device of the batch."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

Draws = Mapping[str, Any]
"""The random draws of `PhotoMetricDistortion` for one image.

Keys are brightness, contrast, contrast_first, saturation and hue. None, or no value, leaves a
property alone. Brightness and contrast may be a tuple with a value for each channel.
"""

# OpenCV counts hue in two degrees; here it is in sixths of the circle.
HUES_PER_SIXTH = 30
# The values that change nothing. Contrast comes either before saturation and hue, or after them.
NEUTRAL = {"brightness": 0, "contrast_first": 1, "saturation": 1, "hue": 0, "contrast_last": 1}


def distort(
    images: Tensor, draws: Sequence[Draws], rgb: Sequence[int], bounded: bool = True
) -> None:
    """Change the colours of (B, C, H, W) images, float of 0..255, in place, each by its draws.

    Brightness is added, contrast and saturation are factors, hue is turned in units of two degrees.
    Values stay within 0..255 if they are `bounded`. `rgb` says which channels are red, green and
    blue, the only ones that saturation and hue change.
    """
    if images.device.type == "cpu" and len(images) > 1:  # one image stays in the cache
        for i, draw in enumerate(draws):
            distort(images[i : i + 1], [draw], rgb, bounded)
        return
    drawn = _columns(draws, images)
    low, high = (0, 255) if bounded else (-math.inf, math.inf)
    if "brightness" in drawn:
        images.add_(drawn["brightness"]).clamp_(low, high)
    if "contrast_first" in drawn:
        images.mul_(drawn["contrast_first"]).clamp_(max=high)
    if "hue" in drawn or "saturation" in drawn:
        turn = drawn.get("hue", images.new_zeros(())) / HUES_PER_SIXTH
        _turn_hue(images, turn, drawn.get("saturation", images.new_ones(())), rgb)
    if "contrast_last" in drawn:
        images.mul_(drawn["contrast_last"]).clamp_(max=high)


def _columns(draws: Sequence[Draws], images: Tensor) -> dict[str, Tensor]:
    """Return each property that changes an image, as (B, 1 or C, 1, 1) of the images' dtype."""
    columns: dict[str, list] = {name: [] for name in NEUTRAL}
    for draw in draws:
        place = "contrast_first" if draw.get("contrast_first") else "contrast_last"
        values = {**draw, "contrast_first": None, place: draw.get("contrast")}
        for name, neutral in NEUTRAL.items():
            value = values.get(name)
            columns[name].append(neutral if value is None else value)
    used = [name for name, neutral in NEUTRAL.items() if set(columns[name]) != {neutral}]
    own = any(isinstance(value, tuple) for name in used for value in columns[name])
    width = images.shape[1] if own else 1
    table = torch.tensor(
        [[v if isinstance(v, tuple) else (v,) * width for v in columns[name]] for name in used],
        dtype=images.dtype,
    )
    if images.is_cuda:
        table = table.pin_memory()  # else the copy would wait for all that the GPU has to do
    table = table.to(images.device, non_blocking=True)
    columns_of = {name: column[..., None, None] for name, column in zip(used, table, strict=True)}
    # Hue and saturation have one value for all channels.
    return {
        name: x[:, :1] if name in ("hue", "saturation") else x for name, x in columns_of.items()
    }


def _turn_hue(images: Tensor, turn: Tensor, saturation: Tensor, rgb: Sequence[int]) -> None:
    """Turn hue by sixths of the circle, and multiply the saturation, at most until it is full."""
    colours = images if images.shape[1] == len(rgb) else images[:, list(rgb)]
    value = colours.amax(1, keepdim=True)
    chroma = value - colours.amin(1, keepdim=True)
    red, green, blue = (images[:, i : i + 1] for i in rgb)
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
