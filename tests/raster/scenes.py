"""Tiny scenes and models whose maps are known."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import rasterio
import torch
from mmengine.config import Config
from rasterio import Affine

from mmseg.models import EncoderDecoder
from mmseg.raster import MapOptions, SceneMap, map_scene
from mmseg.registry import MODELS

CLASSES = ("field", "wood", "water")
PALETTE = [(250, 180, 60), (0, 100, 0), (0, 0, 255)]
COLOURS = np.array([(200, 40, 40), (40, 200, 40), (40, 40, 200)], np.uint8)
WINDOW = 32
TRANSFORM = Affine(0.5, 0, 500_000, 0, -0.5, 600_000)
DEGREES = Affine(1e-5, 0, 20, 0, -1e-5, 52)


class ColourModel(torch.nn.Module):
    """Calls a pixel by its brightest channel, red, green or blue: field, wood or water."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(4.0))
        self.data_preprocessor = MODELS.build(
            {
                "type": "SegDataPreProcessor",
                "mean": (120.0, 120.0, 120.0),
                "std": (60.0, 60.0, 60.0),
                "size": (WINDOW, WINDOW),
                "bgr_to_rgb": True,
            }
        )
        self.decode_head = SimpleNamespace(num_classes=3)
        self.cfg = Config({"model": {"type": "ColourModel"}})
        self.dataset_meta = {"classes": CLASSES, "palette": PALETTE}
        self.windows = 0

    def full_logits(self, x: torch.Tensor) -> torch.Tensor:
        self.windows += len(x)
        return self.gain * x


def make_context_model(settings: dict, size: tuple = (64, 64), **preprocessor) -> EncoderDecoder:
    """Build a SegNeXt with random weights: its class of a pixel depends on the whole window."""
    torch.manual_seed(0)
    settings["data_preprocessor"] |= {"size": size, **preprocessor}
    model = MODELS.build(settings)
    # Spread the classes: untrained, the model would give every pixel the same one.
    torch.nn.init.normal_(model.decode_head.conv_seg.weight, std=3.0)
    model.cfg = Config({"model": settings})
    model.dataset_meta = {"classes": CLASSES, "palette": PALETTE}
    return model.eval()


def make_ids(height: int, width: int, seed: int = 0, block: int = 8) -> np.ndarray:
    """Random classes in blocks, uint8 (height, width)."""
    shape = (-(-height // block), -(-width // block))
    coarse = np.random.default_rng(seed).integers(0, 3, shape, dtype=np.uint8)
    return np.kron(coarse, np.ones((block, block), np.uint8))[:height, :width]


def write_scene(
    folder: Path,
    bands: np.ndarray,
    name: str = "scene.tif",
    crs: str | None = "EPSG:2180",
    transform: Affine = TRANSFORM,
    **profile: object,
) -> Path:
    """Write a scene, (bands, H, W) of any type, and return its path."""
    count, height, width = bands.shape
    size = {"count": count, "height": height, "width": width, "dtype": bands.dtype}
    place = {"crs": crs, "transform": transform} if crs else {}
    with rasterio.open(folder / name, "w", driver="GTiff", **size, **place, **profile) as raster:
        raster.write(bands)
    return folder / name


def map_pixels(
    model: torch.nn.Module,
    folder: Path,
    pixels: np.ndarray,
    truth: Path | None = None,
    profile: dict | None = None,
    **options: object,
) -> SceneMap:
    """Write a scene, (bands, H, W), and map it into its folder."""
    scene = write_scene(folder, pixels, **profile or {})
    return map_scene(model, scene, folder, MapOptions(**options), truth and str(truth))


def paint(ids: np.ndarray) -> np.ndarray:
    """Paint class ids in the colours that `ColourModel` knows: uint8 (3, H, W)."""
    return COLOURS[ids].transpose(2, 0, 1)


def read(path: Path) -> np.ndarray:
    """Read the first band."""
    with rasterio.open(path) as raster:
        return raster.read(1)


def read_probabilities(folder: Path) -> np.ndarray:
    """Read the probabilities of `scene` as float (K, H, W)."""
    with rasterio.open(folder / "scene.probabilities.tif") as raster:
        assert raster.descriptions == CLASSES
        assert raster.nodata == 255
        return raster.read() * np.array(raster.scales)[:, None, None]
