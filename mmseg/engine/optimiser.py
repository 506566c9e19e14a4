"""Groups of parameters for the optimiser, and steps in bfloat16."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from torch import nn
from torch.optim import Optimizer

from mmseg.compat import registered_names
from mmseg.errors import UserError, did_you_mean
from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS

WHERE = "optim_wrapper.paramwise_cfg"
# What mmengine reads of `paramwise_cfg`, and of each of its `custom_keys`.
OPTIONS = {
    *("custom_keys", "bias_lr_mult", "bias_decay_mult", "norm_decay_mult", "flat_decay_mult"),
    *("dwconv_decay_mult", "dcn_offset_lr_mult", "bypass_duplicate"),
}
OPTIONS_OF_KEY = {"lr_mult", "decay_mult"}


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Run the forward pass under bfloat16 autocast, which needs no loss scaling, on CPUs too."""

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        with super().optim_context(model), torch.autocast(get_device(), torch.bfloat16):
            yield


@OPTIM_WRAPPER_CONSTRUCTORS.register_module(name=registered_names("SegOptimWrapperConstructor"))
class SegOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Put parameters with the same options into one group.

    mmengine makes a group of every parameter, 1,258 for SegNeXt-L. Each group costs a step of the
    optimiser and of every scheduler. Together they take longer than a GPU needs for the network.
    """

    # mmengine leaves groups that are slow to read, and keeps silent about keys that do nothing.
    def __call__(self, model: nn.Module) -> OptimWrapper:
        wrapper = super().__call__(model)
        # They are `ConfigDict`s, and a step reads a thousand keys of them.
        wrapper.optimizer.param_groups[:] = [{**group} for group in wrapper.optimizer.param_groups]
        for key in (self.paramwise_cfg or {}).get("custom_keys", {}):
            # The official configs have such a key, `pos_block`.
            if not any(key in name for name, _ in model.named_parameters()):
                MMLogger.get_current_instance().warning(
                    f"{WHERE}.custom_keys.{key} does nothing: no parameter has {key!r} in its name"
                )
        return wrapper

    # mmengine ignores keys that it does not know, and its errors do not name the key to set.
    def _validate_cfg(self) -> None:
        options = self.paramwise_cfg or {}
        given = {WHERE: (options, OPTIONS)}
        for key, values in options.get("custom_keys", {}).items():
            given[f"{WHERE}.custom_keys.{key}"] = (values, OPTIONS_OF_KEY)
        for place, (found, known) in given.items():
            if unknown := sorted({*found} - known):
                hint = did_you_mean(unknown[0], known)
                raise UserError(f"unknown key {place}.{unknown[0]}{hint}")
            decays = any(option.endswith("decay_mult") for option in found)
            if decays and self.optimizer_cfg.get("weight_decay") is None:
                raise UserError(
                    f"{place} multiplies the weight decay: give optim_wrapper.optimizer a "
                    "weight_decay"
                )
        super()._validate_cfg()

    # mmengine makes a group for each parameter.
    def add_params(
        self, params: list[dict], module: nn.Module, prefix: str = "", *args: Any, **kwargs: Any
    ) -> None:
        super().add_params(params, module, prefix, *args, **kwargs)
        if prefix:  # mmengine calls this for the whole model, and then for each of its modules
            return
        merged: dict[Any, dict[str, Any]] = {}
        for group in params:
            members = group.pop("params")
            merged.setdefault(tuple(group.items()), {"params": [], **group})["params"] += members
        params[:] = merged.values()


def merge_stored_groups(stored: dict[str, Any], optimiser: Optimizer, model: nn.Module) -> None:
    """Give a stored state the groups of `optimiser`, if it has one group for each parameter.

    Checkpoints from before 2026-11-26 have such states.
    """
    groups = stored["param_groups"]
    trained = [p for p in model.parameters() if p.requires_grad]
    if len(groups) != len(trained) or len(groups) == len(optimiser.param_groups):
        return
    group_of = {id(parameter): group for parameter, group in zip(trained, groups, strict=True)}
    merged = [[group_of[id(p)] for p in group["params"]] for group in optimiser.param_groups]
    stored["param_groups"] = [
        {**members[0], "params": [member["params"][0] for member in members]} for members in merged
    ]
