"""Pictures of samples as code for MMSegmentation draws them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.registry import VISUALIZERS
from mmengine.visualization import Visualizer

from mmseg.files import write_whole
from mmseg.imagery.pictures import FONT, FONT_SCALE, Palette, overlay
from mmseg.peers.datasets import get_classes, get_palette
from mmseg.structures import SegDataSample


def draw(
    image: np.ndarray,
    sample: SegDataSample,
    meta: Mapping,
    opacity: float,
    keys: Sequence[str] = ("gt_sem_seg", "pred_sem_seg"),
    with_labels: bool = True,
) -> np.ndarray:
    """Lay the maps `keys` of a sample over an RGB image, (H, W, 3) uint8, side by side.

    `meta` has classes and palette. Names of classes are written if `with_labels`. A sample without
    these maps gives the image.
    """
    pictures = []
    for key in (key for key in keys if key in sample):
        ids = np.asarray(torch.as_tensor(sample.get(key).data[0]).cpu()).astype(np.uint8)
        pictures.append(overlay(image, ids, meta["palette"], opacity))
        if with_labels:
            _write_names(pictures[-1], ids, meta["classes"], meta["palette"])
    return np.hstack(pictures) if pictures else image


def _write_names(
    picture: np.ndarray, ids: np.ndarray, classes: Sequence[str], palette: Palette
) -> None:
    """Write the name of each class that occurs at a pixel in the middle of its pixels."""
    for index in (i for i in np.unique(ids) if i < len(classes)):
        rows, columns = np.nonzero(ids == index)
        middle = len(rows) // 2
        x, y = int(columns[middle]), int(rows[middle])
        (width, height), _ = cv2.getTextSize(classes[index], FONT, FONT_SCALE, 1)
        colour = [int(value) for value in palette[index]]
        cv2.rectangle(picture, (x, y - height - 3), (x + width, y + 3), colour, -1)
        shade = (0, 0, 0) if sum(colour) > 380 else (255, 255, 255)
        cv2.putText(picture, classes[index], (x, y), FONT, FONT_SCALE, shade, 1, cv2.LINE_AA)


def write_picture(path: str | Path, picture: np.ndarray) -> None:
    """Write an RGB picture in the format of the suffix of `path`."""
    encoded = cv2.imencode(Path(path).suffix or ".png", picture[..., ::-1])[1]
    write_whole(path, encoded.tobytes())


@VISUALIZERS.register_module()
class SegLocalVisualizer(Visualizer):
    """Draws a sample's labels and prediction over its image, labels at the left.

    Classes and colours are those given, or of the data set `dataset_name`; `dataset_meta` may be
    set later. `alpha` is the opacity.
    """

    def __init__(
        self,
        name: str = "visualizer",
        image: np.ndarray | None = None,
        vis_backends: Any = None,
        save_dir: str | None = None,
        classes: Sequence[str] | None = None,
        palette: Palette | None = None,
        dataset_name: str | None = None,
        alpha: float = 0.8,
        **kwargs: Any,
    ) -> None:
        super().__init__(name, image, vis_backends, save_dir, **kwargs)
        self.alpha = alpha
        self.set_dataset_meta(classes, palette, dataset_name)

    def set_dataset_meta(
        self,
        classes: Sequence[str] | None = None,
        palette: Palette | None = None,
        dataset_name: str | None = None,
    ) -> None:
        """Set classes and colours; those that are not given are of `dataset_name` (cityscapes)."""
        dataset = dataset_name or "cityscapes"
        self.dataset_meta = {
            "classes": classes or get_classes(dataset),
            "palette": palette or get_palette(dataset),
        }

    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: SegDataSample | None = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: float = 0,
        out_file: str | None = None,
        step: int = 0,
        with_labels: bool = True,
    ) -> None:
        """Draw a sample over its RGB image; show it, and write it to a file or the backends."""
        wanted = {"gt_sem_seg": draw_gt, "pred_sem_seg": draw_pred}
        keys = [key for key, draws in wanted.items() if draws]
        sample = SegDataSample() if data_sample is None else data_sample
        picture = draw(image, sample, self.dataset_meta, self.alpha, keys, with_labels)
        self.set_image(picture)
        if show:
            self.show(picture, win_name=name, wait_time=wait_time)
        if out_file is not None:
            write_picture(out_file, picture)
        else:
            self.add_image(name, picture, step)
