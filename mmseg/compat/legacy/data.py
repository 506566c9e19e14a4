"""Translate data sets and pipelines of MMSegmentation 0.x to mmengine's."""

from collections.abc import Sequence
from typing import Any

from mmseg.compat.legacy.schedule import refuse_rest
from mmseg.errors import UserError

# The step PackSegInputs and the data preprocessor do the work of these steps.
FORMATTING = ("DefaultFormatBundle", "ImageToTensor", "Collect")
LISTS = ("img_dir", "ann_dir", "split")


class Preprocessing:
    """The settings of Normalize and Pad in all pipelines; the model does these steps now."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}

    def set(self, key: str, value: Any, step: str) -> None:
        """Remember a setting; raise `UserError` when another pipeline has another value."""
        other = self.settings.setdefault(key, value)
        if other != value:
            raise UserError(
                f"{step}: {key}={value!r} here and {other!r} in another pipeline; use the same in "
                "all pipelines, because the model does this step now"
            )

    def config(self) -> dict[str, Any]:
        """Return the config of the data preprocessor."""
        if "mean" not in self.settings:
            raise UserError("no pipeline has a Normalize step: add it with mean, std and to_rgb")
        return {"type": "SegDataPreProcessor", **self.settings}


def translate_dataset(old: Any, testing: bool, preprocessing: Preprocessing) -> dict[str, Any]:
    """Return one data set; a data set of several folders or lists becomes a ConcatDataset."""
    if isinstance(old, Sequence):
        parts = list(old)
    elif old["type"] == "RepeatDataset":  # the sampler is endless
        return translate_dataset(old["dataset"], testing, preprocessing)
    elif old["type"] == "ConcatDataset":
        parts = old["datasets"]
    else:
        parts = _one_per_folder(old)
    datasets = [_single(dict(part), testing, preprocessing) for part in parts]
    return datasets[0] if len(datasets) == 1 else {"type": "ConcatDataset", "datasets": datasets}


def _one_per_folder(old: dict) -> list[dict]:
    counts = {len(old[key]) for key in LISTS if isinstance(old.get(key), list)}
    if not counts:
        return [old]
    if len(counts) > 1:
        raise UserError(f"the lists {', '.join(LISTS)} of a data set differ in length: {counts}")
    return [
        {k: v[i] if k in LISTS and isinstance(v, list) else v for k, v in old.items()}
        for i in range(counts.pop())
    ]


def _single(old: dict, testing: bool, preprocessing: Preprocessing) -> dict[str, Any]:
    prefix = {"img_path": old.pop("img_dir", "")}
    if old.get("ann_dir") is not None:
        prefix["seg_map_path"] = old["ann_dir"]
    old.pop("ann_dir", None)
    if split := old.pop("split", None):
        old["ann_file"] = split
    names = {k: old.pop(k) for k in ("classes", "palette") if old.get(k) is not None}
    if names:
        old["metainfo"] = names
    if testing:
        old["test_mode"] = True
    steps = _steps(old.pop("pipeline", []), testing, preprocessing)
    has_labels = any(step["type"] == "LoadAnnotations" for step in steps)
    if testing and "seg_map_path" in prefix and not has_labels:
        steps.append({"type": "LoadAnnotations"})
    return {**old, "data_prefix": prefix, "pipeline": [*steps, {"type": "PackSegInputs"}]}


def _steps(pipeline: Sequence[dict], testing: bool, preprocessing: Preprocessing) -> list[dict]:
    new: list[dict] = []
    for step in map(dict, pipeline):
        kind = step["type"]
        if kind == "MultiScaleFlipAug":
            new += _steps(_single_scale(step), testing, preprocessing)
        elif kind == "Resize":
            new.append(_resize(step))
        elif kind == "Normalize":
            for key in ("mean", "std"):
                preprocessing.set(key, list(step[key]), kind)
            preprocessing.set("bgr_to_rgb", step.get("to_rgb", True), kind)
        elif kind == "Pad":
            _pad(step, testing, preprocessing)
        elif kind in FORMATTING:
            _check_formatting(step)
        elif kind == "LoadAnnotations":
            new.append({"reduce_zero_label": False, **step})  # the default of 0.x
        elif kind != "RandomFlip" or step.get("prob") is not None:
            new.append(step)
    return new


def _single_scale(step: dict) -> list[dict]:
    """Return the steps of a test at one scale; a flag of the tool adds scales and flips."""
    ratios = step.pop("img_ratios", None)
    ratio = ratios[0] if isinstance(ratios, list | tuple) and len(ratios) == 1 else ratios or 1.0
    if not isinstance(ratio, int | float) or step.pop("flip", False):
        raise UserError(
            f"MultiScaleFlipAug with img_ratios={ratios!r} or a flip: leave them out and pass "
            "--tta (or --aug-test) to tools/test.py"
        )
    if not isinstance(scale := step.pop("img_scale", None), tuple):
        raise UserError(f"MultiScaleFlipAug.img_scale={scale!r}: give one (width, height)")
    steps = [dict(inner) for inner in step.pop("transforms")]
    for inner in steps:
        if inner["type"] == "Resize":
            inner["img_scale"] = tuple(int(side * ratio) for side in scale)
    return [inner for inner in steps if inner["type"] != "RandomFlip"]


def _resize(old: dict) -> dict[str, Any]:
    old.pop("type")
    scale = old.pop("img_scale", None)
    keep_ratio = old.pop("keep_ratio", True)
    ratios = old.pop("ratio_range", None)
    mode = old.pop("multiscale_mode", "range")
    refuse_rest({k: v for k, v in old.items() if v is not None}, "Resize")
    if isinstance(scale, list) and len(scale) == 1:
        scale = scale[0]
    if isinstance(scale, list):
        if mode != "value":
            raise UserError(
                f"Resize(img_scale={scale!r}, multiscale_mode='range'): use one img_scale with "
                "ratio_range, or multiscale_mode='value'"
            )
        return {"type": "RandomChoiceResize", "scales": scale, "keep_ratio": keep_ratio}
    if scale is None:
        raise UserError("Resize without img_scale: give one (width, height)")
    if ratios is None:
        return {"type": "Resize", "scale": scale, "keep_ratio": keep_ratio}
    new = {"type": "RandomResize", "scale": scale, "ratio_range": ratios}
    return {**new, "keep_ratio": keep_ratio}


def _pad(old: dict, testing: bool, preprocessing: Preprocessing) -> None:
    if old.pop("pad_val", 0) != 0:
        raise UserError("Pad.pad_val is not 0: images are padded with the mean colour, 0")
    preprocessing.set("seg_pad_val", old.pop("seg_pad_val", 255), "Pad")
    divisor, size = old.pop("size_divisor", None), old.pop("size", None)
    if testing and divisor and not size:
        preprocessing.set("test_cfg", {"size_divisor": divisor}, "Pad")
    elif not testing and size and not divisor:
        preprocessing.set("size", size, "Pad")
    else:
        raise UserError(
            f"Pad(size={size!r}, size_divisor={divisor!r}): give a size in training and a "
            "size_divisor in testing"
        )


def _check_formatting(step: dict) -> None:
    known = {"img", "gt_semantic_seg"}
    if unknown := set(step.get("keys", ())) - known:
        raise UserError(f"{step['type']}.keys has {sorted(unknown)}: there are {sorted(known)}")
    if "meta_keys" in step:
        raise UserError(f"{step['type']}.meta_keys: PackSegInputs always keeps what testing needs")
