"""Scenes and labels as somebody would have them: four 16-bit bands, polygons in degrees."""

from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import rasterio
import shapely
from rasterio import Affine
from rasterio.warp import transform

from mmseg.geodata import DatasetOptions, make_dataset

CRS, GSD = "EPSG:32633", 2.0
WEST, NORTH = 500_000.0, 5_400_000.0
BANDS = ("green", "red", "nir", "swir")
CLASSES = ("field", "pond", "wood")
VALUES = np.array([(900, 800, 3000, 1500), (300, 200, 100, 50), (400, 300, 5000, 900)])
ROOT = Path(__file__).parents[2]


def draw(height: int, width: int, seed: int = 0, block: int = 16) -> np.ndarray:
    """Draw class ids in squares, uint8 (height, width)."""
    shape = (-(-height // block), -(-width // block))
    coarse = np.random.default_rng(seed).integers(0, 3, shape)
    return np.kron(coarse, np.ones((block, block), int))[:height, :width].astype(np.uint8)


def write_scene(
    path: Path, ids: np.ndarray, left: int = 0, top: int = 0, names: Any = BANDS, **profile: Any
) -> Path:
    """Paint ids as a scene whose corner is `left`, `top` pixels from the survey's corner."""
    noise = np.random.default_rng(1).integers(0, 60, (*ids.shape, 4))
    planes = (VALUES[ids] + noise).transpose(2, 0, 1).astype(np.uint16)
    place = Affine(GSD, 0, WEST + GSD * left, 0, -GSD, NORTH - GSD * top)
    options = {"count": 4, "dtype": "uint16", "crs": CRS, "transform": place, **profile}
    planes, options["count"] = planes[: options["count"]], options["count"]
    path.parent.mkdir(exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", height=ids.shape[0], width=ids.shape[1], **options
    ) as raster:
        raster.write(planes.astype(options["dtype"]))
        if names:
            raster.descriptions = names[: options["count"]]
    return path


def box(left: int, top: int, right: int, bottom: int) -> shapely.Polygon:
    """A rectangle in pixels of the survey, in its CRS."""
    x = [WEST + GSD * left, WEST + GSD * right]
    y = [NORTH - GSD * bottom, NORTH - GSD * top]
    return shapely.box(x[0], y[0], x[1], y[1])


def polygons_of(ids: np.ndarray) -> tuple[list, list]:
    """Turn ids into polygons with the names of their classes."""
    place = Affine(GSD, 0, WEST, 0, -GSD, NORTH)
    found = [
        (shapely.geometry.shape(shape), CLASSES[int(value)])
        for shape, value in rasterio.features.shapes(ids, mask=ids < 3, transform=place)
    ]
    return [shape for shape, _ in found], [name for _, name in found]


def write_labels(path: Path, shapes: list, to: str | None = "EPSG:4326", **fields: Any) -> str:
    """Write polygons of the survey with their fields, in degrees or as they are."""
    geometries = np.array(shapes)
    if to == "EPSG:4326":
        geometries = shapely.transform(
            geometries, lambda xy: np.column_stack(transform(CRS, to, *xy.T))
        )
    data = [
        np.array(values, object if isinstance(values[0], str | None) else None)
        for values in fields.values()
    ]
    pyogrio.raw.write(
        path, shapely.to_wkb(geometries), data, list(fields), geometry_type="Unknown", crs=to
    )
    return str(path)


def base_config(folder: Path) -> str:
    """Write a config with a tiny model and a training of a few iterations."""
    path = folder / "base.py"
    path.write_text(
        f"""
_base_ = [
    "{ROOT}/local_configs/_base_/models/mscan_tiny.py",
    "{ROOT}/local_configs/_base_/datasets/landcover.py",
    "{ROOT}/local_configs/_base_/schedules/adamw.py",
    "{ROOT}/local_configs/_base_/default_runtime.py",
]
model = dict(
    backbone=dict(init_cfg=None, embed_dims=(8, 16, 24, 32), depths=(1, 1, 1, 1)),
    decode_head=dict(
        in_channels=(16, 24, 32), channels=32, ham_channels=32, ham_kwargs=dict(MD_R=4),
        norm_cfg=dict(type="GN", num_groups=4), num_classes=5,
    ),
)
train_dataloader = dict(batch_size=4, num_workers=0, persistent_workers=False)
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = dict(num_workers=0, persistent_workers=False)
optim_wrapper = dict(optimizer=dict(lr=3e-3))
param_scheduler = [dict(type="PolyLR", power=1.0, by_epoch=False, begin=0, end=99)]
train_cfg = dict(type="SegTrainLoop", max_iters=2, val_interval=2)
"""
    )
    return str(path)


def make(out: Path, scenes: list, progress: Any = None, **options: Any) -> Any:
    """Make a data set with tiles of 32 pixels and blocks of 64."""
    options = {"size": 32, "block": 64, **options}
    if "labels" in options:
        options.setdefault("class_field", "class")
    paths = [str(scene) for scene in scenes]
    base = base_config(out.parent)
    return make_dataset(
        paths, DatasetOptions(**options), out, base, progress or (lambda items, title: items)
    )
