"""Predictions in one pickle file, as `tools/test.py --out x.pkl` of MMSegmentation 0.x writes."""

import pickle
from collections.abc import Sequence
from typing import Any

from mmengine.evaluator import DumpResults

from mmseg.files import whole_file
from mmseg.registry import METRICS


@METRICS.register_module()
class PickledPredictions(DumpResults):
    """Write a list of (H, W) uint8 class ids: one array per image, in the order of the data set."""

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the prediction of each sample (a `SegDataSample.to_dict()`)."""
        for sample in data_samples:
            self.results.append(sample["pred_sem_seg"]["data"][0].cpu().numpy())

    def compute_metrics(self, results: list) -> dict:
        """Write the file, whole or not at all. No score is returned."""
        with whole_file(self.out_file_path) as part, part.open("wb") as file:
            pickle.dump(results, file)
        return {}
