"""Find values that cannot work, while their key is still known."""

import math
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from mmengine.config import Config

from mmseg.config.parts import leaves
from mmseg.errors import UserError, shorten

Kind = tuple[str, Callable[[Any], bool]]
"""Which values a key takes, in words and as a test."""


def _is_number(value: Any, least: float = -math.inf) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and value >= least


def _is_whole(value: Any, least: float, most: float = math.inf) -> bool:
    return _is_number(value, least) and float(value).is_integer() and value <= most


def _is_positive(value: Any) -> bool:
    return _is_number(value, 0) and value > 0


def _each(count: int, test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda v: isinstance(v, list | tuple) and len(v) == count and all(map(test, v))


COUNT: Kind = ("a whole number from 1", lambda v: _is_whole(v, 1))
COUNT_OR_OFF: Kind = ("a whole number from 1, or -1", lambda v: v == -1 or _is_whole(v, 1))
NATURAL: Kind = ("a whole number from 0", lambda v: _is_whole(v, 0))
SEED: Kind = ("a whole number from 0 to 2**32 - 1", lambda v: _is_whole(v, 0, 2**32 - 1))
NUMBER: Kind = ("a number from 0", lambda v: _is_number(v, 0))
SHARE: Kind = ("a number from 0 to below 1", lambda v: _is_number(v, 0) and v < 1)
FOUR_COUNTS: Kind = ("four whole numbers from 1", _each(4, COUNT[1]))
WEIGHTS: Kind = (
    "numbers from 0, not all of them 0",
    lambda v: isinstance(v, list | tuple) and all(map(NUMBER[1], v)) and sum(v) > 0,
)
# By dotted key; a star stands for anything. Whoever reads a key decides what None means.
VALUES: dict[str, Kind] = {
    "*_dataloader.batch_size": COUNT,
    "*_dataloader.num_workers": NATURAL,
    "train_cfg.max_iters": COUNT,
    "train_cfg.val_interval": COUNT,
    "train_cfg.accumulate": COUNT,
    "optim_wrapper.optimizer.lr": NUMBER,
    "optim_wrapper.accumulative_counts": COUNT,
    "randomness.seed": SEED,
    "triton_kernels": ("True or False", lambda v: isinstance(v, bool)),
    "default_hooks.checkpoint.interval": COUNT_OR_OFF,
    "default_hooks.checkpoint.max_keep_ckpts": COUNT_OR_OFF,
    "default_hooks.logger.interval": COUNT,
    "model.data_preprocessor.mean": ("three numbers", _each(3, _is_number)),
    "model.data_preprocessor.std": ("three numbers above 0", _each(3, _is_positive)),
    "model.decode_head.num_classes": COUNT,
    "model.decode_head.channels": COUNT,
    "model.decode_head.ham_channels": COUNT,
    "model.decode_head.dropout_ratio": SHARE,
    "model.decode_head.ham_kwargs.MD_R": COUNT,
    "model.decode_head.loss_decode*.loss_weight": NUMBER,
    "model.decode_head.loss_decode*.class_weight": WEIGHTS,
    # Of MSCAN; another backbone may give these names another meaning.
    "model.backbone.in_channels": ("3, the channels of the images that are read", lambda v: v == 3),
    "model.backbone.embed_dims": FOUR_COUNTS,
    "model.backbone.depths": FOUR_COUNTS,
    "model.backbone.mlp_ratios": ("four numbers above 0", _each(4, _is_positive)),
    "model.backbone.drop_path_rate": SHARE,
}


def check_values(config: Config) -> None:
    """Raise `UserError` with the key of a value that is no number or out of its range."""
    values = dict(leaves(config.to_dict()))
    is_mscan = values.get("model.backbone.type") == "MSCAN"
    for key, value in values.items():
        for pattern, (words, test) in VALUES.items():
            applies = is_mscan or not pattern.startswith("model.backbone")
            if applies and value is not None and fnmatchcase(key, pattern) and not test(value):
                raise UserError(f"{key}={shorten(repr(value))}: give {words}")
    if is_mscan:
        _check_widths(values)


def _check_widths(values: Mapping[str, Any]) -> None:
    """Compare the widths that the head expects with those of the encoder."""
    keys = ("backbone.embed_dims", "decode_head.in_index", "decode_head.in_channels")
    found: list[Any] = [values.get(f"model.{key}") for key in keys]
    if not all(isinstance(each, list | tuple) for each in found):
        return
    widths, index, channels = found
    if not all(_is_whole(i, -4, 3) for i in index):
        raise UserError(f"model.decode_head.in_index={index}: the encoder has the stages 0 to 3")
    expected = [widths[i] for i in index]
    if list(channels) != expected:
        raise UserError(
            f"model.decode_head.in_channels={list(channels)}: the stages {list(index)} of the "
            f"encoder have {expected} (model.backbone.embed_dims)"
        )
