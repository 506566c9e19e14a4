"""The temperature of logits, against the one that drew the labels."""

import numpy as np
import pytest
import torch

from mmseg.errors import UserError
from mmseg.evaluation.temperature import TemperatureMetric, fit_temperature


def drawn(temperature: float, shape: tuple[int, ...], seed: int = 0):
    """Draw logits (K, ...) and the labels that they mean when divided by `temperature`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, shape)
    prob = torch.from_numpy(logits / temperature).softmax(0).numpy()
    label = (rng.random(shape[1:]) > prob.cumsum(0)).sum(0).clip(0, shape[0] - 1)
    return logits, label


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_drew_the_labels_is_found(temperature):
    logits, labels = drawn(temperature, (4, 20_000))
    assert fit_temperature(logits.T, labels) == pytest.approx(temperature, rel=0.05)


def test_pixels_without_a_label_do_not_count_and_the_same_images_give_the_same(tmp_path):
    samples = []
    for i in range(40):
        logits, label = drawn(2.0, (3, 30, 30), seed=i)
        label[:10] = 255
        logits[:, :10] = 1e6 * np.arange(3)[:, None, None]
        samples.append(
            {
                "img_path": f"{i}.png",
                "seg_logits": {"data": torch.from_numpy(logits).float()},
                "gt_sem_seg": {"data": torch.from_numpy(label)[None]},
            }
        )
    found = []
    for _ in range(2):
        metric = TemperatureMetric()
        metric.process(None, samples)
        found.append(metric.evaluate(size=40)["temperature"])
    assert found[0] == found[1] == pytest.approx(2, rel=0.1)
    with pytest.raises(UserError, match="no labelled pixel"):
        TemperatureMetric().compute_metrics([(np.zeros((0, 3)), np.zeros(0))])
