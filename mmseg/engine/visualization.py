"""Pictures of images beside their predictions and ground truth."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement

from mmseg.imagery.bands import read_picture
from mmseg.imagery.listing import OutputNames
from mmseg.imagery.pictures import (
    Palette,
    check_opacity,
    contact_sheet,
    legend,
    overlay,
    side_by_side,
    write_image,
)
from mmseg.registry import HOOKS


@HOOKS.register_module()
class SegVisualizationHook(Hook):
    """Write `<show_dir>/<image>.png` for every tested image.

    It shows the image, the prediction and, where there is one, the ground truth laid over the
    image with `opacity` (0-1), and a legend of the classes that occur. Images of several folders
    keep their folders below `show_dir`.
    """

    def __init__(self, show_dir: str, opacity: float = 0.5) -> None:
        check_opacity(opacity)
        self.show_dir, self.opacity = show_dir, opacity

    def before_test(self, runner: Runner) -> None:
        """Find the folder that all images share, whichever process tests them."""
        dataset = runner.test_dataloader.dataset
        paths = [dataset.get_data_info(index)["img_path"] for index in range(len(dataset))]
        folders = {os.path.dirname(os.path.abspath(path)) for path in paths}
        self.output_names = OutputNames(self.show_dir, root=os.path.commonpath(folders))

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[BaseDataElement] | None = None,
    ) -> None:
        """Draw each sample: `pred_sem_seg.data` and `gt_sem_seg.data` are (1, H, W)."""
        meta = runner.test_dataloader.dataset.metainfo
        names = meta["classes"], meta["palette"]
        for sample in outputs or ():
            image = read_picture(sample.img_path, meta)
            found = [sample.get(key) for key in ("pred_sem_seg", "gt_sem_seg") if key in sample]
            ids = [each.data[0].to("cpu", torch.uint8).numpy() for each in found]
            picture = draw_sample(image, ids, *names, self.opacity)
            write_image(self.output_names(sample.img_path), picture)


def draw_sample(
    image: np.ndarray,
    segmentations: Sequence[np.ndarray],
    classes: Sequence[str],
    palette: Palette,
    opacity: float,
) -> np.ndarray:
    """Lay an RGB image and its segmentations, uint8 (H, W), side by side above a legend."""
    overlays = [overlay(image, ids, palette, opacity) for ids in segmentations]
    row = side_by_side([image, *overlays])
    found = sorted(set().union(*(np.unique(ids).tolist() for ids in segmentations)))
    shown = [index for index in found if index < len(classes)]
    key = legend([classes[i] for i in shown], [palette[i] for i in shown], row.shape[1])
    return contact_sheet([row, key], columns=1)
