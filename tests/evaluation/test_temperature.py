"""The temperature of logits, against the one that drew the labels."""

import numpy as np
import pytest
import torch

from mmseg.errors import UserError
from mmseg.evaluation.detail import TemperatureMetric


def drawn(temperature: float, seed: int) -> dict:
    """Draw logits and the labels that they mean when divided by `temperature`; a part has none."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (4, 256, 256))
    prob = torch.from_numpy(logits / temperature).softmax(0).numpy()
    label = (rng.random((256, 256)) > prob.cumsum(0)).sum(0).clip(0, 3)
    label[:100] = 255
    logits[:, :100] = 1e6 * np.arange(4)[:, None, None]
    return {
        "img_path": f"{seed}.jpg",
        "group": "sheet",
        "seg_logits": {"data": torch.from_numpy(logits).float()},
        "gt_sem_seg": {"data": torch.from_numpy(label)[None]},
    }


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_drew_the_labels_is_found(temperature, warnings):
    metric = TemperatureMetric()
    for seed in range(20):
        metric.process(None, [drawn(temperature, seed)])
    assert metric.evaluate(size=20)["temperature"] == pytest.approx(temperature, rel=0.06)
    assert warnings == ["all images are of one place: elsewhere another temperature may be right"]


def test_images_without_labels_are_refused():
    sample = drawn(1.0, 0)
    sample["gt_sem_seg"]["data"][:] = 255
    metric = TemperatureMetric()
    metric.process(None, [sample])
    with pytest.raises(UserError, match="no labelled pixel"):
        metric.evaluate(size=1)
