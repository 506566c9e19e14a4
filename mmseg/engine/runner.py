"""mmengine's runner with strict weights and process groups that also run on CPUs."""

import logging
from typing import Any

import torch
import torch.distributed
from mmengine.logging import MMLogger
from mmengine.runner import Runner
from torch import nn

from mmseg.engine.checkpoint import load_model_weights, unwrap
from mmseg.engine.dialects import metadata, model_facts
from mmseg.environment import hide_broken_torchvision
from mmseg.errors import UserError
from mmseg.registry import RUNNERS

# What mmengine logs about itself and no user can act on. The optimiser's groups, which it lists
# parameter by parameter, are in the summary.
NOISE = (
    *("paramwise_options --", "The prefix is not set in metric", '"FileClient" will be deprecated'),
    *('"HardDiskBackend" is the alias', "Hooks will be executed in the following order"),
    "Distributed training is not used, all SyncBatchNorm",
)


@RUNNERS.register_module()
class SegRunner(Runner):
    """The runner of `tools/train.py` and `tools/test.py`."""

    def setup_env(self, env_cfg: dict) -> None:
        # mmengine's own set-up selects a CUDA device, also where there is none.
        on_cpu = not torch.cuda.is_available()
        if on_cpu and self.distributed and not torch.distributed.is_initialized():
            torch.distributed.init_process_group("gloo")
        super().setup_env(env_cfg)

    def build_logger(self, *args: object, **kwargs: object) -> MMLogger:
        logger = super().build_logger(*args, **kwargs)  # type: ignore[arg-type]
        logger.addFilter(_not_noise)
        return logger

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        if not torch.cuda.is_available():
            # torch's synchronised batch norm needs GPUs; on CPUs our BatchNorm2d does its work.
            self.cfg.sync_bn = None
        return super().wrap_model(model_wrapper_cfg, model)

    def _log_env(self, env_cfg: dict) -> None:
        hide_broken_torchvision()
        super()._log_env(env_cfg)

    def load_checkpoint(self, filename: str, *args: object, **kwargs: object) -> dict:
        """Load the weights of `load_from`, all of them; see `load_model_weights`.

        `load_cfg` of the config holds its `new_classes` and `nmf_rank`.
        """
        options = self.cfg.get("load_cfg") or {}
        checkpoint = load_model_weights(self.model, filename, **options)
        # mmengine would run the text of a config that mmcv 1.x stored as Python.
        checkpoint["meta"] = {k: v for k, v in metadata(checkpoint).items() if k != "config"}
        return checkpoint

    def resume(self, filename: str, *args: Any, **kwargs: Any) -> None:
        """Go on from a checkpoint with optimiser, schedule and iteration."""
        try:
            super().resume(filename, *args, **kwargs)
        except KeyError as error:
            raise UserError(
                f"{filename}: cannot be resumed, it holds no {error}; pass it as --load-from to "
                "start from its weights"
            ) from error

    def save_checkpoint(self, *args: Any, meta: dict | None = None, **kwargs: Any) -> None:
        """Save as mmengine does, with the rank and the normalisation in the metadata."""
        facts = model_facts(unwrap(self.model))
        super().save_checkpoint(*args, meta={**(meta or {}), **facts}, **kwargs)


def _not_noise(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(NOISE)
