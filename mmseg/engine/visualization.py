"""Pictures of images beside their predictions and ground truth."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.visualization import LocalVisBackend

from mmseg.errors import UserError
from mmseg.imagery.image import read_picture
from mmseg.imagery.listing import OutputNames
from mmseg.imagery.pictures import check_opacity, panels, write_image
from mmseg.registry import HOOKS, Count

COUNT = 4  # of validated images that trackers get


@HOOKS.register_module()
class SegVisualizationHook(Hook):
    """Write `<show_dir>/<image>.png` for every tested image, and give trackers validated ones.

    It shows the image and the prediction and, where there is one, the truth laid over the image
    with `opacity` (0-1), and the errors. Images of several folders keep their folders below
    `show_dir`. With `show` a window shows each picture for `wait_time` seconds, or until a key is
    pressed. In validation it draws the first image of every `interval`-th batch, below the number
    of the iteration. With `draw` alone the folder is `vis` in the run's; with none of the three, as
    in MMSegmentation's configs, nothing is drawn. Trackers that take pictures get the first images
    of each validation in any case.
    """

    def __init__(
        self,
        show_dir: str | None = None,
        opacity: float = 0.5,
        show: bool = False,
        wait_time: float = 2,
        draw: bool | None = None,
        interval: Count = 50,
    ) -> None:
        check_opacity(opacity)
        # Without a display, OpenCV would end the process.
        if show and sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & {*os.environ}:
            raise UserError("--show: there is no display; write the pictures with --show-dir DIR")
        self.draw = bool(show_dir or show) if draw is None else draw
        self.show_dir, self.opacity, self.interval = show_dir, opacity, interval
        self.wait_ms = max(1, int(1000 * wait_time)) if show else 0
        self.given = 0

    def before_run(self, runner: Runner) -> None:
        if self.draw and not self.show_dir and not self.wait_ms:
            self.show_dir = str(Path(runner.work_dir, "vis"))

    def before_test(self, runner: Runner) -> None:
        """Find the folder that all images share, whichever process tests them."""
        if not self.draw or self.show_dir is None:
            return
        dataset = runner.test_dataloader.dataset
        paths = [dataset.get_data_info(index)["img_path"] for index in range(len(dataset))]
        folders = {os.path.dirname(os.path.abspath(path)) for path in paths}
        self.output_names = OutputNames(self.show_dir, root=os.path.commonpath(folders))

    def after_test_iter(self, runner: Runner, *args: Any, outputs: Any = None, **_: Any) -> None:
        for sample in outputs if self.draw else ():
            path = self.show_dir and self.output_names(sample.img_path)
            self._draw(sample, runner.test_dataloader.dataset.metainfo, path)

    def before_val(self, runner: Runner) -> None:
        self.given = 0

    @master_only
    def after_val_iter(
        self, runner: Runner, batch_idx: int, *args: Any, outputs: Any = None, **_: Any
    ) -> None:
        meta = runner.val_dataloader.dataset.metainfo
        is_due = self.draw and (runner.iter + batch_idx) % self.interval == 0
        for sample in outputs[:1] if is_due else ():
            name = f"iter_{runner.iter}/{Path(sample.img_path).stem}.png"
            self._draw(sample, meta, self.show_dir and Path(self.show_dir, name))
        backends = runner.visualizer._vis_backends.values()  # a dictionary of mmengine
        if all(isinstance(backend, LocalVisBackend) for backend in backends):
            return
        for sample in outputs[: COUNT - self.given]:
            name = f"validation/{Path(sample.img_path).stem}"
            runner.visualizer.add_image(name, self._picture(sample, meta), step=runner.iter)
            self.given += 1

    def _draw(self, sample: Any, meta: Mapping[str, Any], path: str | Path | None) -> None:
        picture = self._picture(sample, meta)
        if path:
            write_image(path, picture)
        if self.wait_ms:
            cv2.imshow("mmseg", mmcv.rgb2bgr(picture))
            cv2.waitKey(self.wait_ms)

    def _picture(self, sample: Any, meta: Mapping[str, Any]) -> np.ndarray:
        """Draw a predicted sample: `pred_sem_seg.data` and `gt_sem_seg.data` are (1, H, W)."""
        prediction, truth = (
            sample.get(key).data[0].to("cpu", torch.uint8).numpy() if key in sample else None
            for key in ("pred_sem_seg", "gt_sem_seg")
        )
        image, name = read_picture(sample.img_path, meta), Path(sample.img_path).name
        return panels(
            name, image, meta["classes"], meta["palette"], self.opacity, prediction, truth
        )
