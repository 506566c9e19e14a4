"""Which data sets use the value 0 in their masks for pixels without a class."""

import pytest

import mmseg.datasets
from mmseg.datasets import BaseSegDataset

ZERO_IS_IGNORED = {"ADE20KDataset", "LoveDADataset", "PascalContextDataset59"}
NAMED = {
    name: cls
    for name, cls in vars(mmseg.datasets).items()
    if isinstance(cls, type) and issubclass(cls, BaseSegDataset) and cls.METAINFO
}


@pytest.mark.parametrize("name", NAMED)
def test_zero_is_ignored_exactly_where_the_masks_have_no_class_for_it(name):
    assert NAMED[name].reduce_zero_label == (name in ZERO_IS_IGNORED)


def test_every_data_set_with_classes_of_its_own_is_looked_at():
    assert len(NAMED) == 10
    assert set(NAMED) > ZERO_IS_IGNORED
