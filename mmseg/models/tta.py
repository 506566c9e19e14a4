"""Multi-scale and flip testing."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseTTAModel
from mmengine.structures import PixelData

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
            probabilities = [x.softmax(0) for x in self.module.predict_logits(**batch)]
            pairs = zip(totals or [0] * len(probabilities), probabilities, strict=True)
            totals = [p.add_(total) for total, p in pairs]
        for sample, total in zip(batch["data_samples"], totals, strict=True):
            sample.pred_sem_seg = PixelData(data=best_class(total)[None])
        return batch["data_samples"]

    def merge_preds(self, data_samples_list: Sequence) -> Sequence:
        """Unused: `test_step` merges as it goes."""
        return data_samples_list
