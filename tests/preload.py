"""What processes of tests are forked with: what takes seconds to import, and nothing of ours."""

import gc
from contextlib import suppress
from importlib import import_module

for name in (
    *("torch._dynamo", "mmcv.cnn", "mmengine.runner", "cv2", "matplotlib.pyplot"),
    *("rasterio", "scipy.linalg", "scipy.ndimage", "scipy.optimize"),
):
    import_module(name)

with suppress(ImportError):
    import numba

    numba.njit(lambda: 0)()  # at its first call it sets itself up

# Collections in a fork need not look through all this.
gc.freeze()
