"""Temperature scaling: one number that makes probabilities honest (arXiv 1706.04599)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from torch.nn.functional import cross_entropy

from mmseg.errors import UserError
from mmseg.evaluation.detail import IGNORED, STEP
from mmseg.registry import METRICS

TEMPERATURES = np.geomspace(0.05, 20, 121)  # 5 % apart; 1 is one of them


@METRICS.register_module()
class TemperatureMetric(BaseMetric):
    """Find the T of `TEMPERATURES` by which logits are divided so that the labels are most likely.

    Samples need `seg_logits` (K, H, W), of which every fifth pixel in both directions is used. The
    result is `temperature`. Raises `UserError` if no pixel has a label.
    """

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            logits = sample["seg_logits"]["data"][None, :, ::STEP, ::STEP].double()
            label = sample["gt_sem_seg"]["data"][:, ::STEP, ::STEP].long().to(logits.device)
            losses = [
                cross_entropy(logits / t, label, ignore_index=IGNORED, reduction="sum").item()
                for t in TEMPERATURES
            ]
            place = str(sample.get("group", sample["img_path"]))
            self.results.append((np.array(losses), int((label != IGNORED).sum()), place))

    def compute_metrics(self, results: list) -> dict[str, float]:
        losses, pixels, places = zip(*results, strict=True)
        if not sum(pixels):
            raise UserError("no labelled pixel to fit a temperature to")
        temperature = float(TEMPERATURES[np.argmin(sum(losses))])
        logger, count = MMLogger.get_current_instance(), len(set(places))
        logger.info(f"temperature {temperature:.4f}, from {sum(pixels)} pixels of {count} places")
        if count == 1:
            logger.warning(
                "all images are of one place: elsewhere another temperature may be right"
            )
        return {"temperature": temperature}
