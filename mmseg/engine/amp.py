"""Mixed precision in bfloat16, which needs no loss scaling and runs on CPUs too."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from torch import nn

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
    if torch.cuda.is_available() and not torch.cuda.is_bf16_supported(including_emulation=False):
        config.optim_wrapper.type = "AmpOptimWrapper"
        config.optim_wrapper.loss_scale = "dynamic"
    else:
        config.optim_wrapper.type = "BFloat16OptimWrapper"
