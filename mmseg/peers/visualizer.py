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
from mmseg.imagery.pictures import Palette, overlay
from mmseg.peers.datasets import get_classes, get_palette
from mmseg.structures import SegDataSample


def draw(
    image: np.ndarray,
    sample: SegDataSample | None,
    meta: Mapping,
    opacity: float,
    draw_gt: bool = True,
    draw_pred: bool = True,
    with_labels: bool = True,
) -> np.ndarray:
    """Lay labels and prediction of a sample over its RGB image, (H, W, 3) uint8, side by side.

    `meta` has classes and palette. `with_labels` writes the names of classes at one of their
    pixels. A sample without maps gives the image.
    """
    pictures = []
    wanted = {"gt_sem_seg": draw_gt, "pred_sem_seg": draw_pred}
    maps = {} if sample is None else {k: sample.get(k) for k, d in wanted.items() if d}
    for found in (each for each in maps.values() if each is not None):
        ids = np.asarray(torch.as_tensor(found.data[0]).cpu()).astype(np.uint8)
        pictures.append(overlay(image, ids, meta["palette"], opacity))
        for index in np.unique(ids[ids < len(meta["classes"])]) if with_labels else ():
            rows, columns = np.nonzero(ids == index)
            place = int(columns[len(rows) // 2]), int(rows[len(rows) // 2])
            for colour, width in ((0, 3), (255, 1)):  # white with a black rim
                how = cv2.FONT_HERSHEY_SIMPLEX, 0.45, [colour] * 3, width, cv2.LINE_AA
                cv2.putText(pictures[-1], meta["classes"][index], place, *how)
    return np.hstack(pictures) if pictures else image


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
        classes, palette = classes or get_classes(dataset), palette or get_palette(dataset)
        self.dataset_meta = {"classes": classes, "palette": palette}

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
        flags = draw_gt, draw_pred, with_labels
        picture = draw(image, data_sample, self.dataset_meta, self.alpha, *flags)
        self.set_image(picture)
        if show:
            self.show(picture, win_name=name, wait_time=wait_time)
        if out_file is not None:
            write_picture(out_file, picture)
        else:
            self.add_image(name, picture, step)
