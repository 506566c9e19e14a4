"""Pictures of images beside their predictions and ground truth."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from mmengine.visualization import LocalVisBackend

from mmseg.imagery.image import read_image
from mmseg.imagery.listing import OutputNames
from mmseg.imagery.pictures import check_opacity, panels, write_image
from mmseg.registry import HOOKS


@HOOKS.register_module()
class SegVisualizationHook(Hook):
    """Write `<show_dir>/<image>.png` for every tested image.

    It shows the image and the prediction and, where there is one, the truth laid over the image
    with `opacity` (0-1), and the errors. Images of several folders keep their folders below
    `show_dir`.
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
        """Draw each sample."""
        meta = runner.test_dataloader.dataset.metainfo
        for sample in outputs or ():
            picture = picture_of(sample, meta, self.opacity)
            write_image(self.output_names(sample.img_path), picture)


class ValidationPictureHook(Hook):
    """Give the pictures of the first `count` validated images to trackers that take pictures."""

    def __init__(self, count: int = 4, opacity: float = 0.5) -> None:
        check_opacity(opacity)
        self.count, self.opacity, self.given = count, opacity, 0

    def before_val(self, runner: Runner) -> None:
        self.given = 0

    @master_only
    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[BaseDataElement] | None = None,
    ) -> None:
        backends = runner.visualizer._vis_backends.values()  # a dictionary of mmengine
        if all(isinstance(backend, LocalVisBackend) for backend in backends):
            return
        for sample in (outputs or ())[: self.count - self.given]:
            picture = picture_of(sample, runner.val_dataloader.dataset.metainfo, self.opacity)
            name = Path(sample.img_path).stem
            runner.visualizer.add_image(f"validation/{name}", picture, step=runner.iter)
            self.given += 1


def picture_of(sample: Any, meta: Mapping[str, Any], opacity: float) -> np.ndarray:
    """Draw a predicted sample: `pred_sem_seg.data` and `gt_sem_seg.data` are (1, H, W)."""
    image = mmcv.bgr2rgb(read_image(sample.img_path))
    prediction, truth = (
        sample.get(key).data[0].to("cpu", torch.uint8).numpy() if key in sample else None
        for key in ("pred_sem_seg", "gt_sem_seg")
    )
    name = Path(sample.img_path).name
    return panels(name, image, meta["classes"], meta["palette"], opacity, prediction, truth)
