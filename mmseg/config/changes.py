"""Changes that the flags of the tools make in a config: another rank, TTA, no masks."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.logging import MMLogger

from mmseg.checkpoints.dialects import tested_scale
from mmseg.config.parts import parts_of, steps_of
from mmseg.errors import UserError

RATIOS = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)  # of the paper


def use_rank(config: Config, rank: int | None) -> None:
    """Let a config build its model with this rank and load checkpoints as trained with it.

    None changes nothing.
    """
    if rank is not None:
        config.model.decode_head.setdefault("ham_kwargs", {})["MD_R"] = rank
        config.load_cfg = {**(config.get("load_cfg") or {}), "nmf_rank": rank}


def use_tta(config: Config) -> None:
    """Let a config test at several scales, with and without a flip.

    The config's `tta_pipeline` is used if it has one, as those of MMSegmentation 1.x do. Otherwise
    the images are tested at `RATIOS` times the size of the single-scale test.
    """
    for part in parts_of(config.test_dataloader.dataset):
        pipeline = config.get("tta_pipeline") or _derived_pipeline(list(part["pipeline"]))
        _keep_zero_label(part)
        part["pipeline"] = pipeline
    model = dict(config.get("tta_model") or {"type": "SegTTAModel"})
    config.model = ConfigDict(model, module=config.model)


def _keep_zero_label(part: Any) -> None:
    """Let a data set state what its pipeline, which is about to go, says of the label 0."""
    for step in steps_of(part["pipeline"], "LoadAnnotations"):
        if (value := step.get("reduce_zero_label")) is not None:
            part["metainfo"] = {**(part.get("metainfo") or {}), "reduce_zero_label": value}


def _derived_pipeline(pipeline: list) -> list:
    resizes = [i for i, step in enumerate(pipeline) if step["type"] == "Resize"]
    index = next((i for i in resizes if _scaled(pipeline[i], 1.0)), None)
    if index is None:
        raise UserError("--tta needs Resize with scale=(w, h) or scale_factor in the test pipeline")
    scales = [_scaled(pipeline[index], ratio) for ratio in RATIOS]
    flips = [{"type": "RandomFlip", "prob": prob, "direction": "horizontal"} for prob in (0.0, 1.0)]
    # Predictions are flipped back, so labels must not be flipped: they are read after the flip.
    rest = [[step] for step in pipeline[index + 1 :]]
    before_labels = next((i for i, [s] in enumerate(rest) if s["type"] == "LoadAnnotations"), -1)
    transforms = [scales, *rest[:before_labels], flips, *rest[before_labels:]]
    return [*pipeline[:index], {"type": "TestTimeAug", "transforms": transforms}]


def _scaled(resize: Mapping, ratio: float) -> dict | None:
    """Return the step that resizes to `ratio` times the size, None for another kind of step."""
    if isinstance(scale := resize.get("scale"), tuple | list):
        return {**resize, "scale": tuple(int(side * ratio) for side in scale)}
    if isinstance(factor := resize.get("scale_factor"), float):
        return {**resize, "scale_factor": factor * ratio}
    return None


def keep_test_scale(config: Config, path: str, checkpoint: Mapping) -> None:
    """Let a config test at the size of a checkpoint that was tested on resized images.

    Earlier versions resized the tiles of aerial data sets to fit a scale. A config of today tests
    them at their own size, and the old weights keep theirs. `checkpoint` is the content of `path`.
    """
    dataset = (config.get("test_dataloader") or {}).get("dataset") or {}
    pipelines = [part.get("pipeline", ()) for part in parts_of(dataset)]
    pairs = [(steps, step) for steps in pipelines for step in steps if step["type"] == "Resize"]
    own = [pair for pair in pairs if not pair[1].get("scale") and pair[1].get("scale_factor") == 1]
    if not own or (scale := tested_scale(checkpoint)) is None:
        return
    for steps, step in own:
        step["scale"] = scale
        if not any(other["type"] == "ResizeToMultiple" for other in steps):
            steps.insert(steps.index(step) + 1, ConfigDict(type="ResizeToMultiple"))
    MMLogger.get_current_instance().warning(
        f"{path}: was tested on images resized to fit {scale[0]}x{scale[1]}, and they are again; "
        "maps keep the resolution of the scene (--gsd)"
    )


def drop_masks(cfg: Mapping) -> None:
    """Change the config of data sets so that they read no masks."""
    for part in parts_of(cfg):
        part["data_prefix"].pop("seg_map_path", None)
        _keep_zero_label(part)
        part["pipeline"] = _without_annotations(part["pipeline"])


def _without_annotations(steps: Sequence) -> list:
    """Return a pipeline without LoadAnnotations; TestTimeAug holds lists of alternative steps."""
    kept = [step for step in steps if step["type"] != "LoadAnnotations"]
    for step in kept:
        if step["type"] == "TestTimeAug":
            inner = map(_without_annotations, step["transforms"])
            step["transforms"] = [alternatives for alternatives in inner if alternatives]
    return kept
