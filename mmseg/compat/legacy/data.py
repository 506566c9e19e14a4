"""Translate data sets and pipelines of MMSegmentation 0.x to mmengine's."""

from collections.abc import Sequence
from typing import Any

from mmseg.compat.fixed import leave_out, refuse_rest
from mmseg.errors import UserError

LISTS = ("img_dir", "ann_dir", "split")


def translate_dataset(old: Any, testing: bool, settings: dict[str, Any]) -> dict[str, Any]:
    """Return one data set; a data set of several folders or lists becomes a ConcatDataset.

    `settings` collects those of Normalize and Pad in all pipelines; the model does these steps now.
    """
    if isinstance(old, Sequence):
        parts = list(old)
    elif old.get("type") == "RepeatDataset":  # the sampler is endless
        return translate_dataset(old["dataset"], testing, settings)
    elif old.get("type") == "ConcatDataset":
        parts = old["datasets"]
    else:
        parts = _one_per_folder(old)
    datasets = [_single(dict(part), testing, settings) for part in parts]
    return datasets[0] if len(datasets) == 1 else {"type": "ConcatDataset", "datasets": datasets}


def _settle(settings: dict[str, Any], step: str, **values: Any) -> None:
    for key, value in values.items():
        if (other := settings.setdefault(key, value)) != value:
            raise UserError(
                f"{step}: {key}={value!r} here and {other!r} in another pipeline; use the same in "
                "all pipelines, because the model does this step now"
            )


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


def _single(old: dict, testing: bool, settings: dict[str, Any]) -> dict[str, Any]:
    prefix = _moved(old, img_dir="img_path", ann_dir="seg_map_path")
    new = _moved(old, split="ann_file")
    if names := _moved(old, classes="classes", palette="palette"):
        new["metainfo"] = names
    if testing:
        new["test_mode"] = True
    steps = _steps(old.pop("pipeline", []), testing, settings)
    has_labels = any(step["type"] == "LoadAnnotations" for step in steps)
    if testing and "seg_map_path" in prefix and not has_labels:
        steps.append({"type": "LoadAnnotations"})
    return {**old, **new, "data_prefix": prefix, "pipeline": [*steps, {"type": "PackSegInputs"}]}


def _moved(old: dict, **names: str) -> dict[str, Any]:
    """Take arguments out of a section; return those that are not None, by their new names."""
    values = {new: old.pop(name, None) for name, new in names.items()}
    return {new: value for new, value in values.items() if value is not None}


def _steps(pipeline: Sequence[dict], testing: bool, settings: dict[str, Any]) -> list[dict]:
    new: list[dict] = []
    for step in map(dict, pipeline):
        kind = step["type"]
        if kind == "MultiScaleFlipAug":
            new += _steps(_single_scale(step), testing, settings)
        elif kind == "Resize":
            new.append(_resize(step))
        elif kind == "AlignedResize":
            divisor = step.pop("size_divisor", 32)
            new += [_resize(step), {"type": "ResizeToMultiple", "size_divisor": divisor}]
        elif kind == "Normalize":
            mean, std = list(step["mean"]), list(step["std"])
            _settle(settings, kind, mean=mean, std=std, bgr_to_rgb=step.get("to_rgb", True))
        elif kind == "Pad":
            _pad(step, testing, settings)
        elif kind in ("DefaultFormatBundle", "ImageToTensor", "Collect"):
            # PackSegInputs and the data preprocessor do their work, with all metadata.
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
        if inner["type"] in ("Resize", "AlignedResize"):  # the second is SegFormer's
            inner["img_scale"] = tuple(int(side * ratio) for side in scale)
    return [inner for inner in steps if inner["type"] != "RandomFlip"]


def _resize(old: dict) -> dict[str, Any]:
    old = {key: value for key, value in old.items() if value is not None and key != "type"}
    scale, ratios = old.pop("img_scale", None), old.pop("ratio_range", None)
    kept, mode = {"keep_ratio": old.pop("keep_ratio", True)}, old.pop("multiscale_mode", "range")
    refuse_rest(old, "Resize")
    if isinstance(scale, list) and len(scale) == 1:
        scale = scale[0]
    if isinstance(scale, list) and mode == "value":
        return {"type": "RandomChoiceResize", "scales": scale, **kept}
    if not isinstance(scale, tuple):
        raise UserError(
            f"Resize(img_scale={scale!r}, multiscale_mode={mode!r}): give one (width, height), "
            "with ratio_range if it varies, or several with multiscale_mode='value'"
        )
    if ratios is None:
        return {"type": "Resize", "scale": scale, **kept}
    return {"type": "RandomResize", "scale": scale, "ratio_range": ratios, **kept}


def _pad(old: dict, testing: bool, settings: dict[str, Any]) -> None:
    leave_out(old, {"pad_val": (0,)}, "Pad")  # padding has the mean colour
    _settle(settings, "Pad", seg_pad_val=old.pop("seg_pad_val", 255))
    given = {key: old[key] for key in ("size", "size_divisor") if old.get(key)}
    if set(given) != {"size_divisor" if testing else "size"}:
        raise UserError(f"Pad has {given}: give a size in training and a size_divisor in testing")
    _settle(settings, "Pad", **({"test_cfg": given} if testing else given))


def _check_formatting(step: dict) -> None:
    if "meta_keys" in step or {*step.get("keys", ())} - {"img", "gt_semantic_seg"}:
        raise UserError(
            f"{step['type']}: only img and gt_semantic_seg are packed, with all their metadata; "
            "leave other keys and meta_keys out"
        )
