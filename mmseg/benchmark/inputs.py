"""Weights, batches and starting bases that all sides take, in files."""

import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mmseg.models.data_preprocessor import SegDataPreProcessor


def random_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return a state dict in which every path of the network counts, a function of its names.

    A network fresh from its initialisation hides errors: its layer scales are near 0, its batch
    statistics trivial. These are the weights with which the golden numbers of the official network
    were made.
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


def write_batch(
    path: Path,
    shape: tuple[int, int, int],
    num_classes: int,
    bases: tuple[int, int],
    preprocessor: SegDataPreProcessor,
) -> None:
    """Write a batch of `shape` (B, H, W): uint8 `images` (B, 3, H, W) and `labels` (B, H, W) with
    some 255, `x`, the normalised images, and `bases` (B, D, R) for the factorisation.
    """
    rng = np.random.default_rng(0)
    batch, height, width = shape
    images = torch.from_numpy(rng.integers(0, 256, (batch, 3, height, width), dtype=np.uint8))
    labels = torch.from_numpy(rng.integers(0, num_classes, shape, dtype=np.uint8))
    labels[:, : height // 8] = 255
    normalised = preprocessor({"inputs": list(images), "data_samples": []})["inputs"]
    torch.save(
        {
            "images": images,
            "labels": labels,
            "x": torch.stack(normalised),
            "bases": torch.from_numpy(rng.random((batch, *bases), dtype=np.float32)),
        },
        path,
    )
