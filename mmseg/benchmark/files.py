"""The image files of a measurement: the config's own, or drawn ones where it has none."""

from pathlib import Path

import cv2
import numpy as np
from demo.canvas import Canvas
from mmengine.config import Config

from mmseg.files import write_whole
from mmseg.registry import DATASETS

HEIGHT, WIDTH = 512, 683
TRAIN_IMAGES, TEST_IMAGES = 16, 8
# Grain and contrast with which the JPEGs take about 170 KB, as ADE20K's of this size do.
NOISE = {1: 5.5, 2: 7.0, 4: 9.0, 16: 14.0, 64: 20.0}
JPEG_QUALITY = 95


def place_data(config: Config, folder: Path) -> str:
    """Let the config read drawn files in `folder` where its data root is absent; say which files.

    The config is changed in place; a data root becomes an absolute path.
    """
    sets = [config[f"{split}_dataloader"].dataset for split in ("train", "test")]
    roots = [dataset.get("data_root") for dataset in sets]
    if all(root is None or Path(root).is_dir() for root in roots):
        for dataset, root in zip(sets, roots, strict=True):
            if root is not None:
                dataset.data_root = str(Path(root).resolve())
        return f"the files of {roots[0] or 'the config'}"
    for dataset, count in zip(sets, (TRAIN_IMAGES, TEST_IMAGES), strict=True):
        dataset.update(data_root=str(folder), ann_file="")
        draw_dataset(dataset, count)
    return f"drawn {WIDTH}x{HEIGHT} JPEGs and PNG masks (no {roots[0]})"


def draw_dataset(config: dict, count: int) -> None:
    """Draw images and masks with all classes where a data set's config expects them."""
    dataset = DATASETS.build({**config, "lazy_init": True})
    first = 1 if dataset.reduce_zero_label else 0
    for number in range(count):
        image, ids = draw_scene(number, len(dataset.metainfo["classes"]))
        sample = dataset.sample(f"drawn_{number}")
        _write(sample["img_path"], image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        if "seg_map_path" in sample:
            _write(sample["seg_map_path"], ids + first, [])


def draw_scene(seed: int, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw overlapping ellipses of random classes: (H, W, 3) uint8 BGR, and (H, W) uint8 ids."""
    rng = np.random.default_rng(seed)
    canvas = Canvas(HEIGHT, WIDTH, rng)
    ids = np.full((HEIGHT, WIDTH), rng.integers(num_classes), np.uint8)
    for radius in np.geomspace(220, 12, 30).astype(int):
        centre = (int(rng.integers(WIDTH)), int(rng.integers(HEIGHT)))
        axes = (int(radius), int(radius * rng.uniform(0.3, 1)))
        colour = int(rng.integers(num_classes))
        cv2.ellipse(ids, centre, axes, rng.uniform(0, 180), 0, 360, colour, -1)
    image = rng.integers(60, 200, (num_classes, 3)).astype(np.float32)[ids]
    for cell, contrast in NOISE.items():
        tint = rng.uniform(0.7, 1, 3).astype(np.float32)
        image += contrast * canvas.noise(cell)[..., None] * tint
    return np.clip(image, 0, 255).astype(np.uint8), ids


def _write(path: str, pixels: np.ndarray, options: list[int]) -> None:
    _, data = cv2.imencode(Path(path).suffix, pixels, options)
    write_whole(path, data.tobytes())
