"""When a fast path may go around the calls of modules: while nothing else would run in them."""

from collections.abc import Collection

from torch import nn


def is_intact(module: nn.Module, kinds: Collection[type]) -> bool:
    """Tell whether a call of the module runs the forward of its class, one of `kinds`, and no more.

    A subclass, a patched forward, a parametrisation or a hook computes or sees something else.
    """
    return not (
        type(module) not in kinds
        or "forward" in vars(module)
        or module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    )
