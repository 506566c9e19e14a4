"""A real runner of a small network, for tests of what is around the network."""

import itertools
from pathlib import Path
from typing import Any

import torch
from mmengine.model import BaseModel
from tiny_project import write_project
from torch import Tensor, nn

from mmseg.config import load_config
from mmseg.engine import SegRunner
from mmseg.errors import NonFiniteLoss
from mmseg.registry import MODELS


@MODELS.register_module()
class PixelNetwork(BaseModel):
    """A linear map of each pixel, and batch norm if asked for; its loss is a mean over pixels.

    `bad` are the numbers of the forward passes, from 1, whose loss is not finite.
    """

    def __init__(
        self,
        backbone: None = None,
        decode_head: None = None,
        data_preprocessor: None = None,
        norm: bool = False,
        bad: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3) if norm else nn.Identity()
        self.conv = nn.Conv2d(3, 3, 1)
        self.bad, self.passes = bad, 0
        self.draws: list[float] = []

    def init_weights(self) -> None:
        generator = torch.Generator().manual_seed(0)
        for parameter in self.conv.parameters():
            parameter.data = torch.rand(parameter.shape, generator=generator)

    def forward(
        self, inputs: Tensor, labels: Tensor, mode: str = "tensor", **_: Any
    ) -> dict[str, Tensor]:
        assert mode == "loss"
        self.passes += 1
        self.draws.append(float(torch.rand(())))
        return {"loss": loss_of(self.conv(self.norm(inputs / 255)), labels)}

    def parse_losses(self, losses: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        if self.passes in self.bad:
            raise NonFiniteLoss({"loss": float("nan")})
        return super().parse_losses(losses)


def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
    return nn.functional.cross_entropy(logits, labels[:, 0].long() % 3)


NUMBERS = itertools.count()


def build_runner(folder: Path, network: dict | None = None, **changes: Any) -> SegRunner:
    """Build the runner of a training of four iterations in `folder`, without validation."""
    if not (folder / "tiny.py").exists():
        write_project(folder)
    config = load_config(folder / "tiny.py")
    config.work_dir = str(folder / "work")
    config.val_dataloader = config.val_cfg = config.val_evaluator = None
    # The summary describes the classes of a segmentor.
    del config.default_hooks["summary"]
    config.optim_wrapper = {"type": "OptimWrapper", "optimizer": {"type": "SGD", "lr": 0.5}}
    config.randomness = {"seed": 0}
    config.log_level = "WARNING"
    # By its name mmengine finds logger and messages of a run, which two in one second would share.
    config.experiment_name = f"run {next(NUMBERS)}"
    config.merge_from_dict(changes)
    parts = {"backbone": None, "decode_head": None, "data_preprocessor": None}
    config.model = {"type": "PixelNetwork", **parts, **(network or {})}
    return SegRunner.from_cfg(config)
