"""Changes of colour of MMSegmentation 1.x, by its names and with its arguments."""

import mmcv
import numpy as np

from mmseg.peers.transforms import Augmentation, require


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


class CLAHE(Augmentation):
    """Equalise the histogram of each channel in tiles, with limited contrast (OpenCV's CLAHE)."""

    clip_limit: float = 40.0
    tile_grid_size: tuple[int, int] = (8, 8)

    def _prepare(self) -> None:
        require(_is_number(self.clip_limit), f"clip_limit={self.clip_limit!r}: give a number")
        kinds = [type(each) for each in np.atleast_1d(self.tile_grid_size).tolist()]
        require(kinds == [int, int], f"tile_grid_size={self.tile_grid_size!r}: give two numbers")

    def transform(self, results: dict) -> dict:
        planes = results["img"].astype(np.uint8).transpose(2, 0, 1)
        planes = [mmcv.clahe(each, self.clip_limit, self.tile_grid_size) for each in planes]
        results["img"] = np.stack(planes, axis=2)
        return results


class AdjustGamma(Augmentation):
    """Replace each grey level g of a uint8 image by 255 (g / 255)^(1 / gamma), rounded down."""

    gamma: float = 1.0

    def _prepare(self) -> None:
        right = _is_number(self.gamma) and self.gamma > 0
        require(right, f"gamma={self.gamma!r}: give a number above 0")
        self.table = ((np.arange(256) / 255) ** (1 / self.gamma) * 255).astype(np.uint8)

    def transform(self, results: dict) -> dict:
        results["img"] = mmcv.lut_transform(results["img"].astype(np.uint8), self.table)
        return results


class Rerange(Augmentation):
    """Stretch the values of an image linearly to [min_value, max_value], as float32."""

    min_value: float = 0
    max_value: float = 255

    def _prepare(self) -> None:
        numbers = _is_number(self.min_value) and _is_number(self.max_value)
        require(numbers and self.min_value < self.max_value, "Rerange: min_value below max_value")

    def transform(self, results: dict) -> dict:
        image = results["img"].astype(np.float64)
        least, span = image.min(), np.ptp(image)
        require(span > 0, f"{results.get('img_path')}: Rerange needs an image of several values")
        image = (image - least) / span * (self.max_value - self.min_value) + self.min_value
        results["img"] = image.astype(np.float32)
        return results


class RGB2Gray(Augmentation):
    """Replace the channels by `out_channels` copies, or as many, of their weighted sum (float32).

    `weights` apply in the order of the channels in memory, which is blue, green, red.
    """

    out_channels: int | None = None
    weights: tuple[float, ...] = (0.299, 0.587, 0.114)

    def _prepare(self) -> None:
        right = self.out_channels is None or self.out_channels > 0
        require(right, f"out_channels={self.out_channels}: give None or a number above 0")
        right = isinstance(self.weights, tuple) and all(map(_is_number, self.weights))
        require(right, f"weights={self.weights!r}: give a tuple of numbers")

    def transform(self, results: dict) -> dict:
        image, count = results["img"], len(self.weights)
        require(
            image.shape[2:] == (count,), f"RGB2Gray: the image {image.shape} has no {count} bands"
        )
        grey = (image * np.array(self.weights)).sum(2, keepdims=True).astype(np.float32)
        results["img"] = grey.repeat(self.out_channels or count, axis=2)
        results["img_shape"] = results["img"].shape
        return results
