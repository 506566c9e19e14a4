"""Pixels in and out: this package alone reads and writes images and lists their files."""

from mmseg.imagery.image import read_image
from mmseg.imagery.listing import list_images
from mmseg.imagery.mask import read_mask, to_train_ids
