"""Mixed precision in bfloat16, which needs no loss scaling and runs on CPUs too."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper
from torch import nn

from mmseg.models.segmentor import WHOLE
from mmseg.ops.formats import cpu_computes_in, half_dtype
from mmseg.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Run the forward pass under bfloat16 autocast."""

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        with super().optim_context(model), torch.autocast(get_device(), torch.bfloat16):
            yield


def use_amp(config: Config) -> None:
    """Switch a training config to mixed precision: bfloat16, or float16 on GPUs without it."""
    _warn_if_emulated()
    if half_dtype("cuda" if torch.cuda.is_available() else "cpu") == torch.float16:
        config.optim_wrapper.type = "AmpOptimWrapper"
        config.optim_wrapper.loss_scale = "dynamic"
    else:
        config.optim_wrapper.type = "BFloat16OptimWrapper"
        for key in ("loss_scale", "dtype"):  # they belong to float16
            config.optim_wrapper.pop(key, None)


def use_inference_amp(config: Config) -> None:
    """Let the config's model predict in the same mixed precision; maps and scores stay float32."""
    _warn_if_emulated()
    config.model.test_cfg = {**(config.model.get("test_cfg") or WHOLE), "amp": True}


def _warn_if_emulated() -> None:
    if not torch.cuda.is_available() and not cpu_computes_in("bf16"):
        MMLogger.get_current_instance().warning(
            "mixed precision: this processor has no instructions for bfloat16, which makes it "
            "several times slower than float32"
        )
