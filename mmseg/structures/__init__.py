"""What travels through a training and a prediction: samples, and batches of them."""

from mmseg.structures.batch import stack_batch
from mmseg.structures.sample import SegDataSample

__all__ = ["SegDataSample", "stack_batch"]
