"""SegNeXt: convolutional semantic segmentation (https://arxiv.org/abs/2209.08575)."""

from mmseg.environment import check_environment
from mmseg.peers import install

__version__ = "0.1.0"

check_environment()
install()
