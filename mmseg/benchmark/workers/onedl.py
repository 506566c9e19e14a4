"""The worker of onedl-mmsegmentation, run by its path with the python of its environment.

`mmseg` is that package here; of this project only the two files beside this one are imported.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import torch
from actions import build_actions, official_name
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from protocol import serve, versions_of
from torch import Tensor, nn
from torch.nn import functional as F

import mmseg
import mmseg.datasets
import mmseg.evaluation
import mmseg.models
from mmseg.registry import DATASETS, METRICS, MODELS
from mmseg.structures import SegDataSample

CONFIGS = Path(mmseg.__file__).parent / ".mim/configs/segnext"


class OneDL:
    """See `actions.Side`: its ADE20K config of a size, its own transforms, loader and metric."""

    sample_type = SegDataSample
    label_dtype = torch.int64
    collate = staticmethod(pseudo_collate)
    pins = False
    repeatable = False  # it draws the factorisation's start

    def __init__(self, job: dict) -> None:
        name = f"segnext_mscan-{job['size_letter']}_1xb16-adamw-160k_ade20k-512x512.py"
        self.config = Config.fromfile(CONFIGS / name)
        self.optim_wrapper = self.config.optim_wrapper
        model = self.config.model
        model.backbone.init_cfg = None
        model.decode_head.num_classes = job["num_classes"]
        model.decode_head.loss_decode.class_weight = job["class_weight"]
        model.data_preprocessor.size = tuple(job["size"])
        for step in self.config.train_dataloader.dataset.pipeline:
            if "crop_size" in step:
                step.crop_size = tuple(job["size"])
        cv2.setNumThreads(0)
        env = self.config.get("env_cfg", {})
        torch.backends.cudnn.benchmark = env.get("cudnn_benchmark", False)
        DefaultScope.get_instance("benchmark", scope_name="mmseg")

    def build_model(self, job: dict) -> nn.Module:
        model = MODELS.build(self.config.model)
        weights = torch.load(job["weights"], weights_only=True)
        own = {key: weights[official_name(key)] for key in model.state_dict()}
        if len(own) != len(weights):
            raise ValueError(f"takes {len(own)} of the {len(weights)} weights")
        model.load_state_dict(own)
        return model

    def compile_model(self, model: Any, part: str) -> None:
        # In place, part by part: everything that calls them runs the compiled code.
        model.backbone.compile()
        model.decode_head.compile()

    def set_bases(self, model: nn.Module, bases: Tensor) -> None:
        nmf: Any = model.get_submodule("decode_head.hamburger.ham")
        nmf._build_bases = lambda batch_size, *_, **__: F.normalize(bases[:batch_size], dim=1)

    def build_dataset(self, job: dict, split: str) -> Any:
        config = self.config[f"{split}_dataloader"].dataset
        return DATASETS.build({**config, "data_root": job["data_root"]})

    def build_loader(self, job: dict) -> Iterable:
        loader = self.config.train_dataloader
        loader.dataset.data_root = job["data_root"]
        workers = job["workers"]
        loader.update(batch_size=job["batch"], num_workers=workers, persistent_workers=workers > 0)
        return Runner.build_dataloader(loader, seed=0)

    def build_metric(self) -> Any:
        return METRICS.build({"type": "IoUMetric", "iou_metrics": ["mIoU"]})


def prepare(job: dict) -> tuple[dict, dict]:
    """Return the actions and the versions; see `protocol.serve`."""
    side = OneDL(job)
    packages = ("numpy", "onedl-mmsegmentation", "onedl-mmengine", "onedl-mmcv", "opencv-python")
    return build_actions(side, job), versions_of(*packages)


if __name__ == "__main__":
    serve(prepare)
