"""Multi-scale and flip testing."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseTTAModel

from mmseg.models.segmentor import set_prediction
from mmseg.ops.class_map import best_class
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample


@MODELS.register_module()
class SegTTAModel(BaseTTAModel):
    """Average the class probabilities of all augmented copies of an image, as the official code."""

    @torch.no_grad()
    def test_step(self, data: dict) -> Sequence[SegDataSample]:
        """`data` holds one list of inputs and one of samples per augmentation.

        One copy is held at a time: all of them would be gigabytes for 150 classes.
        """
        totals: list = []
        for inputs, samples in zip(data["inputs"], data["data_samples"], strict=True):
            batch = self.module.data_preprocessor({"inputs": inputs, "data_samples": samples})
            logits = self.module.predict_logits(**batch)
            probabilities = [x.softmax(0) for x in logits]
            totals = (
                [t.add_(p) for t, p in zip(totals, probabilities, strict=True)]
                if totals
                else probabilities
            )
        for sample, total in zip(batch["data_samples"], totals, strict=True):
            set_prediction(sample, best_class(total))
        return batch["data_samples"]

    def merge_preds(self, data_samples_list: Sequence) -> Sequence:
        """Unused: `test_step` merges as it goes."""
        return data_samples_list
