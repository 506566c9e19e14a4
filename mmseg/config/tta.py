"""Multi-scale and flip testing, derived from a config's own test pipeline."""

from mmengine.config import Config, ConfigDict

from mmseg.config.parts import parts_of
from mmseg.errors import UserError

RATIOS = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)


def use_tta(config: Config) -> None:
    """Let a config test at several scales, with and without a flip.

    The config's `tta_pipeline` is used if it has one, as those of MMSegmentation 1.x do. Otherwise
    the images are tested at `RATIOS`, those of the paper, times the size of the single-scale test.
    """
    for part in parts_of(config.test_dataloader.dataset):
        part["pipeline"] = config.get("tta_pipeline") or _derived_pipeline(list(part["pipeline"]))
    model = dict(config.get("tta_model") or {"type": "SegTTAModel"})
    config.model = ConfigDict(model, module=config.model)


def _derived_pipeline(pipeline: list) -> list:
    index = next((i for i, step in enumerate(pipeline) if _scaled(step)), None)
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
    augment = {"type": "TestTimeAug", "transforms": transforms}
    return [*pipeline[:index], augment]


def _scaled(step: dict) -> bool:
    return step["type"] == "Resize" and isinstance(step.get("scale"), tuple | list)
