"""What processes of tests are forked with: what takes seconds to import, and nothing of ours."""

import gc
from contextlib import suppress

import cv2  # noqa: F401
import matplotlib.pyplot  # noqa: F401
import mmcv.cnn  # noqa: F401
import mmengine.runner  # noqa: F401
import rasterio  # noqa: F401
import scipy.linalg
import scipy.ndimage  # noqa: F401
import torch._dynamo  # noqa: F401

with suppress(ImportError):
    import numba

    numba.njit(lambda: 0)()  # at its first call it sets itself up

# Collections in a fork need not look through all this.
gc.freeze()
