"""Change colours."""

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from mmseg import ops
from mmseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PhotoMetricDistortion(BaseTransform):
    """Random brightness, contrast, saturation and hue of a uint8 BGR image, each with chance 1/2.

    Contrast comes either before saturation and hue or after them (SSD, arXiv 1512.02325). Deltas
    are in grey levels and in OpenCV's hue units of two degrees.

    With `on_device` only the draws are made here and travel as `distortion`: `SegDataPreProcessor`
    changes the colours of the whole batch on the model's device, equal up to the roundings to uint8
    between the steps here, which it leaves out.
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
        if self.on_device and ops.enabled():
            return {**results, "distortion": draws}
        image = results["img"]
        if draws["brightness"] is not None:
            image = scale(image, 1, draws["brightness"])
        if draws["contrast"] is not None and draws["contrast_first"]:
            image = scale(image, draws["contrast"])
        if draws["saturation"] is not None or draws["hue"] is not None:
            image = shift_colours(image, draws["saturation"], draws["hue"])
        if draws["contrast"] is not None and not draws["contrast_first"]:
            image = scale(image, draws["contrast"])
        results["img"] = image
        return results


def scale(image: np.ndarray, alpha: float, beta: float = 0) -> np.ndarray:
    """Return alpha * image + beta as uint8, cut to 0..255."""
    return np.clip(image.astype(np.float32) * alpha + beta, 0, 255).astype(np.uint8)


def shift_colours(image: np.ndarray, saturation: float | None, hue: int | None) -> np.ndarray:
    """Multiply the saturation and turn the hue of a uint8 BGR image."""
    hsv = mmcv.bgr2hsv(image)
    if saturation is not None:
        hsv[..., 1] = scale(hsv[..., 1], saturation)
    if hue is not None:
        hsv[..., 0] = (hsv[..., 0].astype(int) + hue) % 180
    return mmcv.hsv2bgr(hsv)
