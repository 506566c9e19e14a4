"""Temperature scaling: one number that makes probabilities honest (arXiv 1706.04599)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from mmseg.errors import UserError
from mmseg.registry import METRICS

IGNORED = 255
PIXELS = 100  # of each image


@METRICS.register_module()
class TemperatureMetric(BaseMetric):
    """Find the T by which logits are divided so that the labels are most likely.

    Samples need `seg_logits` (K, H, W). Of each image, up to `PIXELS` labelled pixels are used, at
    equal distances. The result is `temperature`.
    """

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            label = sample["gt_sem_seg"]["data"][0].cpu().numpy().ravel()
            known = np.flatnonzero(label != IGNORED)
            chosen = known[:: -(-len(known) // PIXELS) or 1]
            logits = sample["seg_logits"]["data"].flatten(1)[:, chosen].cpu().numpy()
            self.results.append((logits.T, label[chosen]))

    def compute_metrics(self, results: list) -> dict[str, float]:
        logits, labels = (np.concatenate(each) for each in zip(*results, strict=True))
        if not len(labels):
            raise UserError("no labelled pixel to fit a temperature to")
        temperature = fit_temperature(logits.astype(np.float64), labels.astype(np.int64))
        MMLogger.get_current_instance().info(
            f"temperature {temperature:.4f}, from {len(labels)} pixels of {len(results)} images"
        )
        return {"temperature": temperature}


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the T in 0.05 to 20 with the least cross entropy of logits (N, K) / T."""

    def cross_entropy(log_t: float) -> float:
        scaled = logits / np.exp(log_t)
        return float((logsumexp(scaled, 1) - scaled[np.arange(len(labels)), labels]).mean())

    found = minimize_scalar(cross_entropy, bounds=np.log([0.05, 20]), method="bounded")
    return float(np.exp(found.x))
