"""Keys that earlier versions of this project read."""

from typing import Any

from mmengine.logging import MMLogger

FAST_OPS = "fast_ops"


def take_out_fast_ops(config: Any) -> None:
    """Remove `fast_ops`, which chose between implementations; today there is one of each operation.

    Its value "triton" becomes `triton_kernels = True`.
    """
    if FAST_OPS not in config:
        return
    value = config.pop(FAST_OPS)
    if value == "triton":
        config["triton_kernels"] = True
    now = "triton_kernels=True is set" if value == "triton" else "the key is ignored"
    MMLogger.get_current_instance().info(
        f"{FAST_OPS}={value!r} is a key of an earlier version: {now}; remove it from the config"
    )
