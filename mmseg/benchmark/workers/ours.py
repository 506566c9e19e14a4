"""The worker of this project: python -m mmseg.benchmark.workers.ours, spoken to through pipes."""

from collections.abc import Iterable
from typing import Any

import cv2
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import Tensor, nn
from torch.nn import functional as F

import mmseg
import mmseg.datasets
import mmseg.evaluation
import mmseg.models
from mmseg import ops
from mmseg.benchmark.workers.actions import build_actions
from mmseg.benchmark.workers.op_actions import build_op_actions
from mmseg.benchmark.workers.protocol import serve, versions_of
from mmseg.engine import SegRunner
from mmseg.engine.compile import compile_network, compile_training
from mmseg.registry import DATASETS, METRICS, MODELS, SCOPE
from mmseg.structures import SegDataSample, stack_batch


class Ours:
    """See `actions.Side`; the job's `config` is a file that the parent wrote."""

    sample_type = SegDataSample
    label_dtype = torch.uint8
    collate = staticmethod(stack_batch)
    pins = True
    repeatable = True

    def __init__(self, job: dict) -> None:
        self.config = Config.fromfile(job["config"])
        ops.enable(self.config.get("fast_ops", True))
        self.optim_wrapper = self.config.get("optim_wrapper", {})
        # As the runner does in its processes.
        cv2.setNumThreads(0)
        env = self.config.get("env_cfg", {})
        torch.backends.cudnn.benchmark = env.get("cudnn_benchmark", False)
        DefaultScope.get_instance("benchmark", scope_name=SCOPE)

    def build_model(self, job: dict) -> nn.Module:
        model = MODELS.build(self.config.model)
        model.load_state_dict(torch.load(job["weights"], weights_only=True))
        return model

    def compile_model(self, model: Any, part: str) -> None:
        if part == "train":
            compile_training(model)
        elif part in ("infer", "eval"):
            compile_network(model)
        else:  # `ops` calls parts of the network singly
            model.backbone.compile()
            model.decode_head.compile()

    def set_bases(self, model: nn.Module, bases: Tensor) -> None:
        nmf: Any = model.get_submodule("decode_head.hamburger.ham")
        nmf.build_bases = lambda batch_size, *_: F.normalize(bases[:batch_size], dim=1)

    def build_dataset(self, job: dict, split: str) -> Any:
        return DATASETS.build(self.config[f"{split}_dataloader"].dataset)

    def build_loader(self, job: dict) -> Iterable:
        loader = {"collate_fn": self.collate, **self.config.train_dataloader}
        loader["batch_size"] = job["batch"]
        return SegRunner.build_dataloader(loader, seed=0)

    def build_metric(self) -> Any:
        return METRICS.build({"type": "IoUMetric", "iou_metrics": ["mIoU"]})


def prepare(job: dict) -> tuple[dict, dict]:
    """Return the actions and the versions; see `protocol.serve`."""
    packages = ("numpy", "onedl-mmengine", "onedl-mmcv", "opencv-python")
    versions = {"segnext": mmseg.__version__, **versions_of(*packages)}
    build = build_op_actions if job["part"] in ("ops", "depthwise") else build_actions
    return build(Ours(job), job), versions


if __name__ == "__main__":
    serve(prepare)
