"""Translate components of MMSegmentation 1.x into those of this project.

Arguments that have one value here are left out (`fixed`). Some facts are written in several places
there and in one place here. They are moved to that place.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config, ConfigDict
from mmengine.fileio import load

from mmseg.compat.fixed import DATASET, FIXED, HAM, leave_out
from mmseg.errors import UserError

ADAPTED = (
    *("model", "train_dataloader", "val_dataloader", "test_dataloader", "tta_pipeline"),
    *("val_evaluator", "test_evaluator", "default_hooks", "visualizer", "data_preprocessor"),
)


def adapt_components(config: Config) -> None:
    """Replace MMSegmentation's components in a config; this project's own stay as they are.

    Raises `UserError` with the key, its value and the only value that works here.
    """
    # The hook compares the classes of model and data set. Configs of this project, and translated
    # ones, say `sync_bn`.
    if "default_hooks" in config and "sync_bn" not in config:
        summary = {"type": "RunSummaryHook", "base_batch_size": None}
        config.default_hooks.setdefault("summary", summary)
    if "model" in config:
        _settle_sync_bn(config)
    for key in ADAPTED:
        if key in config:
            config[key] = adapt_component(config[key], key)


def adapt_component(value: Any, where: str) -> Any:
    """Return one part of a config, translated; `where` is its key. The argument stays as it is."""
    # mmengine copies dicts and lists, and keeps the objects in them.
    return _adapted(ConfigDict({"copied": value}).to_dict()["copied"], where)


def _settle_sync_bn(config: Config) -> None:
    """Set the run's `sync_bn` from the `norm_cfg` of the components, by default SyncBN there."""
    backbone = config.model.get("module", config.model).get("backbone") or {}
    unsaid = backbone.get("type") == "MSCAN" and "norm_cfg" not in backbone
    if "'SyncBN'" in repr(config.model):
        config.sync_bn = "torch"
    config.setdefault("sync_bn", "torch" if unsaid else None)


def _adapted(value: Any, where: str) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_adapted(item, f"{where}[{i}]") for i, item in enumerate(value))
    if not isinstance(value, dict):
        return value
    if value.get("type") == "SyncBN":
        value["type"] = "BN"  # the run's `sync_bn` synchronises it
    kind = str(value.get("type"))
    if "pipeline" in value:
        leave_out(value, DATASET, where)
    leave_out(value, FIXED.get(kind, {}), where)
    if value.get("out_channels") == 1:  # which has a sigmoid here as well
        losses = value.get("loss_decode") or {}
        for loss in losses if isinstance(losses, list | tuple) else [losses]:
            loss.pop("use_sigmoid", None)
    if kind in SPECIAL:
        SPECIAL[kind](value, where)
    return {key: _adapted(item, f"{where}.{key}") for key, item in value.items()}


def _segmentor(value: dict, where: str) -> None:
    _move_pretrained(value, value["backbone"], where)
    if (tested := value.get("test_cfg") or {}).get("mode") == "whole":
        for key in ("crop_size", "stride"):  # left over from the other mode
            tested.pop(key, None)


def _preprocessor(value: dict, where: str) -> None:
    if "bgr_to_rgb" not in value:
        raise UserError(
            f"{where}.bgr_to_rgb is missing: write True, or False, which MMSegmentation takes then"
        )


def _move_pretrained(value: dict, backbone: dict, where: str) -> None:
    if (file := value.pop("pretrained", None)) is None:
        return
    if backbone.get("init_cfg"):
        raise UserError(f"{where}.pretrained={file!r} beside an init_cfg of the backbone: keep one")
    backbone["init_cfg"] = {"type": "Pretrained", "checkpoint": file}


def _head(value: dict, where: str) -> None:
    value["ham_kwargs"] = {"MD_R": 64, **value.get("ham_kwargs", {})}
    leave_out(value["ham_kwargs"], HAM, f"{where}.ham_kwargs")


def _lovasz(value: dict, where: str) -> None:
    # Without `per_image` there is one number, and nothing to reduce.
    reduced = ("mean",) if value.get("per_image") else ("none", "mean")
    leave_out(value, {"reduction": reduced}, where)
    _load_weights(value, where)


def _load_weights(value: dict, where: str) -> None:
    """Read `class_weight` from a file, which 1.x may name instead of the numbers."""
    if not isinstance(path := value.get("class_weight"), str):
        return
    if not path.endswith((".json", ".yaml", ".yml", ".npy")) or not Path(path).is_file():
        raise UserError(f"{where}.class_weight={path!r}: no such .json, .yaml or .npy file")
    value["class_weight"] = np.load(path).tolist() if path.endswith(".npy") else load(path)


def _resize(value: dict, where: str) -> None:
    if isinstance(value.get("scale"), list):  # mmcv takes a tuple, and JSON and YAML have none
        value["scale"] = tuple(value["scale"])
    if isinstance(value.get("scale_factor"), int):  # mmcv takes a float
        value["scale_factor"] = float(value["scale_factor"])


SPECIAL: dict[str, Callable[[dict, str], Any]] = {
    "EncoderDecoder": _segmentor,
    "SegDataPreProcessor": _preprocessor,
    "MSCAN": lambda encoder, where: _move_pretrained(encoder, encoder, where),
    **dict.fromkeys(("LightHamHead", "LightHamHeadOffsetLearning"), _head),
    "SegLocalVisualizer": lambda visualizer, where: visualizer.update(type="Visualizer"),
    "Resize": _resize,
    "LovaszLoss": _lovasz,
    "CrossEntropyLoss": _load_weights,
}
