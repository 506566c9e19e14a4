"""Changes that the flags of the tools make in a config: another rank, TTA, no masks."""

from collections.abc import Mapping, Sequence

from mmengine.config import Config, ConfigDict

from mmseg.config.parts import parts_of
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
        part["pipeline"] = config.get("tta_pipeline") or _derived_pipeline(list(part["pipeline"]))
    model = dict(config.get("tta_model") or {"type": "SegTTAModel"})
    config.model = ConfigDict(model, module=config.model)


def _derived_pipeline(pipeline: list) -> list:
    resizes = [i for i, step in enumerate(pipeline) if step["type"] == "Resize"]
    index = next((i for i in resizes if isinstance(pipeline[i].get("scale"), tuple | list)), None)
    if index is None:
        raise UserError(
            "multi-scale testing needs Resize with scale=(width, height) in the test pipeline"
        )
    resize = pipeline[index]
    scales = [
        {**resize, "scale": tuple(int(side * ratio) for side in resize["scale"])}
        for ratio in RATIOS
    ]
    flips = [{"type": "RandomFlip", "prob": prob, "direction": "horizontal"} for prob in (0.0, 1.0)]
    # Predictions are flipped back, so labels must not be flipped: they are read after the flip.
    rest = [[step] for step in pipeline[index + 1 :]]
    before_labels = next((i for i, [s] in enumerate(rest) if s["type"] == "LoadAnnotations"), -1)
    transforms = [scales, *rest[:before_labels], flips, *rest[before_labels:]]
    return [*pipeline[:index], {"type": "TestTimeAug", "transforms": transforms}]


def drop_masks(cfg: Mapping) -> None:
    """Change the config of data sets so that they read no masks."""
    for part in parts_of(cfg):
        part["data_prefix"].pop("seg_map_path", None)
        part["pipeline"] = _without_annotations(part["pipeline"])


def _without_annotations(steps: Sequence) -> list:
    """Return a pipeline without LoadAnnotations; TestTimeAug holds lists of alternative steps."""
    kept = [step for step in steps if step["type"] != "LoadAnnotations"]
    for step in kept:
        if step["type"] == "TestTimeAug":
            inner = map(_without_annotations, step["transforms"])
            step["transforms"] = [alternatives for alternatives in inner if alternatives]
    return kept
