"""Change colours."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from mmseg.errors import UserError
from mmseg.imagery.bands import RGB, is_bgr
from mmseg.ops.photometric import distort
from mmseg.registry import TRANSFORMS

BGR = (2, 1, 0)  # where red, green and blue are
# A band's own brightness and contrast are drawn from this share of the ranges of all bands.
BAND_SHARE = 0.25


@TRANSFORMS.register_module()
@dataclass(eq=False)
class PhotoMetricDistortion(BaseTransform):
    """Random brightness, contrast, saturation and hue of an image, each with chance 1/2.

    Contrast comes either before saturation and hue or after them (SSD, arXiv 1512.02325). Deltas
    are in grey levels and in OpenCV's hue units of two degrees.

    With `on_device` only the draws are made here and travel as `distortion`: `SegDataPreProcessor`
    then changes the colours of the whole batch on the model's device. Otherwise the same function
    changes them here, and the result is rounded to uint8.

    If the data set names its bands, each band also draws a brightness and a contrast of its own,
    from `BAND_SHARE` of their ranges. Saturation and hue only change in 8-bit images that have
    bands red, green and blue. With other bits, a grey level means a 57th of a band's standard
    deviation, which only `data_preprocessor` knows: `on_device` must be True.
    """

    brightness_delta: float = 32
    contrast_range: tuple[float, float] = (0.5, 1.5)
    saturation_range: tuple[float, float] = (0.5, 1.5)
    hue_delta: int = 18
    on_device: bool = False

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

    def _draw_bands(self, draws: dict, bands: Sequence[str], dtype: np.dtype) -> dict:
        """Add draws for each band to those for all bands together."""

        def own(low: float, high: float) -> np.ndarray:
            kept = np.random.randint(2, size=len(bands))
            return BAND_SHARE * kept * np.random.uniform(low, high, len(bands))

        shifts = (draws["brightness"] or 0) + own(-self.brightness_delta, self.brightness_delta)
        low, high = self.contrast_range
        factors = (draws["contrast"] or 1) * (1 + own(low - 1, high - 1))
        draws = {**draws, "brightness": (*shifts.tolist(),), "contrast": (*factors.tolist(),)}
        if dtype == np.uint8 and set(RGB) <= set(bands):
            return {**draws, "rgb": tuple(bands.index(colour) for colour in RGB)}
        return {**draws, "saturation": None, "hue": None}

    def transform(self, results: dict) -> dict:
        draws, dtype, bands = self._draw(), results["img"].dtype, results.get("bands")
        if bands and not is_bgr(bands, str(dtype)):
            draws = self._draw_bands(draws, list(bands), dtype)
        if self.on_device:
            return {**results, "distortion": draws}
        if dtype != np.uint8:
            raise UserError(f"PhotoMetricDistortion: images of {dtype} need on_device=True")
        planes = np.ascontiguousarray(results["img"].transpose(2, 0, 1), np.float32)
        image = torch.from_numpy(planes)[None]
        distort(image, [draws], draws.get("rgb", BGR))
        results["img"] = image[0].round_().byte().permute(1, 2, 0).contiguous().numpy()
        return results
