"""Weights with which every path of a network counts."""

import zlib

import numpy as np
import torch
from torch import Tensor, nn


def random_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return a state dict in which every path of the network counts, a function of its names.

    A network fresh from its initialisation hides errors: its layer scales are near 0 and its batch
    statistics trivial. The golden numbers of the official network were made with these weights.
    """
    return {
        key: value if key.endswith("num_batches_tracked") else _random(key, value.shape)
        for key, value in model.state_dict().items()
    }


def _random(key: str, shape: torch.Size) -> Tensor:
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    x = rng.standard_normal(shape)
    if key.endswith("running_var"):
        x = 0.5 + 0.5 * np.abs(x)
    elif key.endswith("running_mean") or "layer_scale" in key:
        x = 0.1 * x
    elif len(shape) == 1:
        x = 1 + 0.1 * x if key.endswith("weight") else 0.05 * x
    else:
        x = x / np.sqrt(np.prod(shape[1:]))
    return torch.from_numpy(np.asarray(x, dtype=np.float32))
