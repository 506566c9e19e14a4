"""mmengine's data sets of data sets, which also take the seed of a `Draw`."""

from mmengine import dataset

from mmseg.randomness import Seeded
from mmseg.registry import DATASETS


@DATASETS.register_module()
class ConcatDataset(Seeded, dataset.ConcatDataset):
    """Several data sets one after the other."""


@DATASETS.register_module()
class RepeatDataset(Seeded, dataset.RepeatDataset):
    """One data set several times."""


@DATASETS.register_module()
class ClassBalancedDataset(Seeded, dataset.ClassBalancedDataset):
    """A data set in which samples of rare classes come more often."""
