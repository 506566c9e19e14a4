"""Translate components of MMSegmentation 1.x into those of this project.

Some arguments of MMSegmentation's classes have the same value in every SegNeXt. They do not exist
here: that value is left out, and any other value is an error. Some facts are written in several
places there and in one place here. They are moved to that place.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.fileio import load

from mmseg.errors import UserError
from mmseg.registry import DATASETS

ADAPTED = (
    *("model", "train_dataloader", "val_dataloader", "test_dataloader", "tta_pipeline"),
    *("val_evaluator", "test_evaluator", "default_hooks", "visualizer", "data_preprocessor"),
)
DISK = {"backend": "disk"}
# Arguments that this project does not have, with the values that it works by. The first is named
# in errors.
FIXED: dict[str, dict[str, tuple]] = {
    "EncoderDecoder": {"train_cfg": ({}, None), "neck": (None,)},
    "SegDataPreProcessor": {
        "pad_val": (0,),
        "rgb_to_bgr": (False,),
        **dict.fromkeys(("batch_augments", "size_divisor"), (None,)),
    },
    "MSCAN": {
        "num_stages": (4,),
        "act_cfg": ({"type": "GELU"},),
        "attention_kernel_sizes": ([5, [1, 7], [1, 11], [1, 21]],),
        "attention_kernel_paddings": ([2, [0, 3], [0, 5], [0, 10]],),
    },
    "LightHamHead": {
        "input_transform": ("multiple_select",),
        "act_cfg": ({"type": "ReLU"},),
        "conv_cfg": (None,),
    },
    "CrossEntropyLoss": {"use_sigmoid": (False,), "use_mask": (False,), "reduction": ("mean",)},
    "LoadImageFromFile": {
        "color_type": ("color",),
        **dict.fromkeys(("to_float32", "ignore_empty"), (False,)),
        "file_client_args": (None, DISK),
    },
    "LoadAnnotations": {"imdecode_backend": ("pillow",), "file_client_args": (None, DISK)},
    "RandomCrop": {"ignore_index": (255,)},
    **{kind: {"resize_type": ("Resize",)} for kind in ("RandomResize", "RandomChoiceResize")},
    "ResizeToMultiple": {"interpolation": (None, "bilinear")},
    **{kind: {"requires_grad": (True,)} for kind in ("GN", "BN")},
    "LovaszLoss": {"loss_type": ("multi_class",), "classes": ("present",)},
    "ClassDiceLoss": {"reduction": ("mean",), "ignore_index": (255,)},
}
FIXED["LightHamHeadOffsetLearning"] = FIXED["LightHamHead"]
FIXED["LoadImageFromNDArray"] = FIXED["LoadImageFromFile"]
DATASET = {"ignore_index": (255,), "backend_args": (None,), "file_client_args": (None, DISK)}
BATCH_NORM = tuple(
    {"type": kind, **trained}
    for kind in ("BN", "SyncBN")
    for trained in ({}, {"requires_grad": True})
)
# Hamburger sets `inv_t` to 1 itself, so a config's value has no effect there either. MD_D is the
# width of the head.
HAM = {
    "MD_S": (1,),
    **dict.fromkeys(("train_steps", "TRAIN_STEPS"), (6,)),
    **dict.fromkeys(("eval_steps", "EVAL_STEPS"), (7,)),
    **dict.fromkeys(("rand_init", "RAND_INIT", "SPATIAL"), (True,)),
}
HAM_WITHOUT_EFFECT = ("inv_t", "INV_T", "eta", "ETA", "MD_D")


def adapt_components(config: Config) -> None:
    """Replace MMSegmentation's components in a config; this project's own stay as they are.

    Raises `UserError` with the key, its value and the only value that works here.
    """
    # The hook compares the classes of model and data set. Configs of this project, and translated
    # ones, say `sync_bn`.
    if "default_hooks" in config and "sync_bn" not in config:
        config.default_hooks.setdefault(
            "summary", {"type": "RunSummaryHook", "base_batch_size": None}
        )
    if "model" in config:
        _settle_sync_bn(config)
    for key in ADAPTED:
        if key in config:
            config[key] = adapt_component(config[key], key)


def adapt_component(value: Any, where: str) -> Any:
    """Return one part of a config, translated; `where` is its key. The argument stays as it is."""
    return _adapted(_copied(value), where)


def _copied(value: Any) -> Any:
    """Return new dicts and lists with the same objects in them."""
    if isinstance(value, list | tuple):
        return type(value)(map(_copied, value))
    return {key: _copied(item) for key, item in value.items()} if isinstance(value, dict) else value


def _settle_sync_bn(config: Config) -> None:
    """Set the run's `sync_bn` from the `norm_cfg` of the components, by default SyncBN there."""
    backbone = config.model.get("module", config.model).get("backbone") or {}
    unsaid = backbone.get("type") == "MSCAN" and "norm_cfg" not in backbone
    if _has_sync_bn(config.model) or (unsaid and "sync_bn" not in config):
        config.sync_bn = "torch"
    elif "sync_bn" not in config:
        config.sync_bn = None


def _has_sync_bn(value: Any) -> bool:
    if isinstance(value, Mapping):
        return value.get("type") == "SyncBN" or any(map(_has_sync_bn, value.values()))
    return isinstance(value, list | tuple) and any(map(_has_sync_bn, value))


def _adapted(value: Any, where: str) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_adapted(item, f"{where}[{i}]") for i, item in enumerate(value))
    if not isinstance(value, dict):
        return value
    if value.get("type") == "SyncBN":
        value["type"] = "BN"  # the run's `sync_bn` synchronises it
    kind = str(value.get("type"))
    if "pipeline" in value:
        _settle_zero_label(value, where)
        _leave_out(value, DATASET, where)
    _leave_out(value, FIXED.get(kind, {}), where)
    if value.get("out_channels") == 1:  # which has a sigmoid here as well
        losses = value.get("loss_decode") or {}
        for loss in losses if isinstance(losses, list | tuple) else [losses]:
            loss.pop("use_sigmoid", None)
    if kind in SPECIAL:
        SPECIAL[kind](value, where)
    return {key: _adapted(item, f"{where}.{key}") for key, item in value.items()}


def _leave_out(value: dict, fixed: Mapping[str, tuple], where: str) -> None:
    for key in fixed.keys() & value.keys():
        given = value.pop(key)
        if _as_lists(given) not in [_as_lists(each) for each in fixed[key]]:
            raise UserError(f"{where}.{key}={given!r}: only {fixed[key][0]!r} works here")


def _as_lists(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _as_lists(item) for key, item in value.items()}
    return [_as_lists(item) for item in value] if isinstance(value, list | tuple) else value


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


def _mscan(value: dict, where: str) -> None:
    _leave_out(value, {"norm_cfg": BATCH_NORM}, where)
    _move_pretrained(value, value, where)


def _move_pretrained(value: dict, backbone: dict, where: str) -> None:
    if (file := value.pop("pretrained", None)) is None:
        return
    if backbone.get("init_cfg"):
        raise UserError(f"{where}.pretrained={file!r} beside an init_cfg of the backbone: keep one")
    backbone["init_cfg"] = {"type": "Pretrained", "checkpoint": file}


def _head(value: dict, where: str) -> None:
    if value.pop("sampler", None):
        raise UserError(
            f"{where}.sampler: hard pixels are not sampled here (OHEM); leave it out, or weigh "
            "rare classes by class_weight"
        )
    ham = adapt_ham(value.get("ham_kwargs", {}), f"{where}.ham_kwargs")
    value["ham_kwargs"] = {"MD_R": 64, **ham}


def adapt_ham(ham_kwargs: Mapping, where: str) -> dict:
    """Return the arguments of a Hamburger without those that have one value here."""
    ham = {key: value for key, value in ham_kwargs.items() if key not in HAM_WITHOUT_EFFECT}
    _leave_out(ham, HAM, where)
    return ham


def _dice(value: dict, where: str) -> None:
    if old := sorted({"smooth", "exponent", "class_weight"} & set(value)):
        raise UserError(
            f"{where}.{old[0]}: DiceLoss is that of MMSegmentation 1.x, without this argument; "
            "that of 0.x and of this project's 0.1.0 is ClassDiceLoss"
        )


def _lovasz(value: dict, where: str) -> None:
    # Without `per_image` there is one number, and nothing to reduce.
    reduced = ("mean",) if value.get("per_image") else ("none", "mean")
    _leave_out(value, {"reduction": reduced}, where)
    _load_weights(value, where)


def _load_weights(value: dict, where: str) -> None:
    """Read `class_weight` from a file, which 1.x may name instead of the numbers."""
    if not isinstance(path := value.get("class_weight"), str):
        return
    if not path.endswith((".json", ".yaml", ".yml", ".npy")) or not Path(path).is_file():
        raise UserError(f"{where}.class_weight={path!r}: no such .json, .yaml or .npy file")
    weights = np.load(path).tolist() if path.endswith(".npy") else load(path)
    value["class_weight"] = weights


def _resize(value: dict, where: str) -> None:
    if isinstance(value.get("scale"), list):  # mmcv takes a tuple, and JSON and YAML have none
        value["scale"] = tuple(value["scale"])
    if isinstance(value.get("scale_factor"), int):  # mmcv takes a float
        value["scale_factor"] = float(value["scale_factor"])


def _settle_zero_label(dataset: dict, where: str) -> None:
    """Move `reduce_zero_label` from the transform to the data set, if that takes it."""
    if _settles_zero_label(dataset.get("type")):
        return  # The transform compares its own with that of the data set.
    said = set(_take_from_steps(dataset["pipeline"], "LoadAnnotations", "reduce_zero_label"))
    if "reduce_zero_label" in dataset:
        said.add(dataset["reduce_zero_label"])
    said -= {None}
    if len(said) > 1:
        raise UserError(f"{where}: reduce_zero_label is True in one place and False in another")
    if said:
        dataset["reduce_zero_label"] = said.pop()


def _settles_zero_label(kind: Any) -> bool:
    """Return whether a user's data set passes on a `reduce_zero_label` that it takes from nobody.

    Its constructor then has the name as the key of a call, and not as a parameter.
    """
    cls = DATASETS.get(kind) if isinstance(kind, str) else kind
    code = getattr(getattr(cls, "__init__", None), "__code__", None)
    return (
        code is not None
        and "reduce_zero_label" in str(code.co_consts)
        and "reduce_zero_label" not in code.co_varnames
    )


def _take_from_steps(steps: Any, kind: str, key: str) -> list:
    """Remove `key` from every step of a kind, also from nested ones; return its values."""
    values: list = []
    for step in steps:
        if isinstance(step, list | tuple):
            values += _take_from_steps(step, kind, key)
        elif step.get("type") == kind and key in step:
            values.append(step.pop(key))
        else:
            values += _take_from_steps(step.get("transforms", ()), kind, key)
    return values


SPECIAL: dict[str, Callable[[dict, str], None]] = {
    "EncoderDecoder": _segmentor,
    "SegDataPreProcessor": _preprocessor,
    "MSCAN": _mscan,
    **dict.fromkeys(("LightHamHead", "LightHamHeadOffsetLearning"), _head),
    "SegLocalVisualizer": lambda visualizer, where: visualizer.update(type="Visualizer"),
    "Resize": _resize,
    "DiceLoss": _dice,
    "LovaszLoss": _lovasz,
    "CrossEntropyLoss": _load_weights,
}
