"""Find values that nothing can work with, where a traceback would not name their key."""

import math
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from mmengine.config import Config

from mmseg.config.parts import leaves
from mmseg.errors import UserError, shorten

Kind = tuple[str, Callable[[Any], bool]]
"""What a value has to be, in words and as a test."""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: Any, least: float, most: float = math.inf) -> bool:
    return _is_number(value) and float(value).is_integer() and least <= value <= most


def _each(count: int, test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, list | tuple) and len(value) == count and all(map(test, value))
    )


COUNT: Kind = ("a whole number from 1", lambda value: _is_whole(value, 1))
COUNT_OR_OFF: Kind = ("a whole number from 1, or -1", lambda v: v == -1 or _is_whole(v, 1))
NATURAL: Kind = ("a whole number from 0", lambda value: _is_whole(value, 0))
SEED: Kind = ("a whole number from 0 to 2**32 - 1", lambda v: _is_whole(v, 0, 2**32 - 1))
POSITIVE: Kind = ("a number above 0", lambda value: _is_number(value) and value > 0)
NUMBER: Kind = ("a number from 0", lambda value: _is_number(value) and value >= 0)
SHARE: Kind = ("a number from 0 to below 1", lambda v: _is_number(v) and 0 <= v < 1)
FOUR_COUNTS: Kind = ("four whole numbers from 1", _each(4, COUNT[1]))
WEIGHTS: Kind = (
    "numbers from 0, not all of them 0",
    lambda v: isinstance(v, list | tuple) and all(map(NUMBER[1], v)) and sum(v) > 0,
)
# By dotted key; a star stands for anything. None is always left to whoever reads the key.
VALUES: dict[str, Kind] = {
    "*_dataloader.batch_size": COUNT,
    "*_dataloader.num_workers": NATURAL,
    "train_cfg.max_iters": COUNT,
    "train_cfg.val_interval": COUNT,
    "optim_wrapper.optimizer.lr": NUMBER,
    "optim_wrapper.accumulative_counts": COUNT,
    "randomness.seed": SEED,
    "default_hooks.checkpoint.interval": COUNT_OR_OFF,
    "default_hooks.checkpoint.max_keep_ckpts": COUNT_OR_OFF,
    "default_hooks.logger.interval": COUNT,
    "model.data_preprocessor.mean": ("three numbers", _each(3, _is_number)),
    "model.data_preprocessor.std": ("three numbers above 0", _each(3, POSITIVE[1])),
    "model.decode_head.num_classes": COUNT,
    "model.decode_head.channels": COUNT,
    "model.decode_head.ham_channels": COUNT,
    "model.decode_head.dropout_ratio": SHARE,
    "model.decode_head.ham_kwargs.MD_R": COUNT,
    "model.decode_head.loss_decode*.loss_weight": NUMBER,
    "model.decode_head.loss_decode*.class_weight": WEIGHTS,
}
OF_MSCAN: dict[str, Kind] = {
    "model.backbone.in_channels": (
        "3, the channels of the images that are read",
        lambda value: value == 3,
    ),
    "model.backbone.embed_dims": FOUR_COUNTS,
    "model.backbone.depths": FOUR_COUNTS,
    "model.backbone.mlp_ratios": ("four numbers above 0", _each(4, POSITIVE[1])),
    "model.backbone.drop_path_rate": SHARE,
}


def check_values(config: Config) -> None:
    """Raise `UserError` naming the key of a number that is none, or out of its range."""
    model = _section(config, "model")
    backbone, head = _section(model, "backbone"), _section(model, "decode_head")
    is_mscan = backbone.get("type") == "MSCAN"
    table = VALUES | (OF_MSCAN if is_mscan else {})
    for key, value in leaves(config.to_dict()):
        for pattern, (words, test) in table.items():
            if value is not None and fnmatchcase(key, pattern) and not test(value):
                raise UserError(f"{key}={shorten(repr(value))}: give {words}")
    channels, index = head.get("in_channels"), head.get("in_index")
    if is_mscan and isinstance(channels, list | tuple) and isinstance(index, list | tuple):
        _check_widths(backbone["embed_dims"], channels, index)


def _section(parent: Mapping | Config, name: str) -> Mapping:
    content = parent.get(name)
    return content if isinstance(content, Mapping) else {}


def _check_widths(widths: Sequence[int], channels: Sequence[int], index: Sequence[int]) -> None:
    if not all(_is_whole(i, -4, 3) for i in index):
        raise UserError(f"model.decode_head.in_index={index}: the encoder has the stages 0 to 3")
    expected = [widths[i] for i in index]
    if list(channels) != expected:
        raise UserError(
            f"model.decode_head.in_channels={list(channels)}: the stages {list(index)} of the "
            f"encoder have {expected} (model.backbone.embed_dims)"
        )
