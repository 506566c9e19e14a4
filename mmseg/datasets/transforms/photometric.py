"""Change colours."""

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from mmseg.ops.photometric import distort
from mmseg.registry import TRANSFORMS

BGR = (2, 1, 0)  # where red, green and blue are


@TRANSFORMS.register_module()
class PhotoMetricDistortion(BaseTransform):
    """Random brightness, contrast, saturation and hue of a uint8 BGR image, each with chance 1/2.

    Contrast comes either before saturation and hue or after them (SSD, arXiv 1512.02325). Deltas
    are in grey levels and in OpenCV's hue units of two degrees.

    With `on_device` only the draws are made here and travel as `distortion`: `SegDataPreProcessor`
    then changes the colours of the whole batch on the model's device. Otherwise the same function
    changes them here, and the result is rounded to uint8.
    """

    def __init__(
        self,
        brightness_delta: float = 32,
        contrast_range: tuple[float, float] = (0.5, 1.5),
        saturation_range: tuple[float, float] = (0.5, 1.5),
        hue_delta: int = 18,
        on_device: bool = False,
    ) -> None:
        self.brightness_delta = brightness_delta
        self.contrast_range = contrast_range
        self.saturation_range = saturation_range
        self.hue_delta = hue_delta
        self.on_device = on_device

    @cache_randomness
    def _draw(self) -> dict:
        """Draw every parameter; None leaves that property as it is."""
        draws = {
            "brightness": np.random.uniform(-self.brightness_delta, self.brightness_delta),
            "contrast": np.random.uniform(*self.contrast_range),
            "saturation": np.random.uniform(*self.saturation_range),
            "hue": np.random.randint(-self.hue_delta, self.hue_delta),
        }
        kept = {name: value for name, value in draws.items() if np.random.randint(2)}
        return {**dict.fromkeys(draws), **kept, "contrast_first": bool(np.random.randint(2))}

    def transform(self, results: dict) -> dict:
        draws = self._draw()
        if self.on_device:
            return {**results, "distortion": draws}
        planes = np.ascontiguousarray(results["img"].transpose(2, 0, 1), np.float32)
        image = torch.from_numpy(planes)[None]
        distort(image, [draws], BGR)
        results["img"] = image[0].round_().byte().permute(1, 2, 0).contiguous().numpy()
        return results
