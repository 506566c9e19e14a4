"""Weights, batches and starting bases that all sides take, in files."""

import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mmseg.models.data_preprocessor import SegDataPreProcessor


def random_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return a state dict in which every path of the network counts, a function of its names.

    A network fresh from its initialisation hides errors: its layer scales are near 0, its batch
    statistics trivial.
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
    path: Path, batch: int, size: tuple[int, int], head: Mapping, preprocessor: SegDataPreProcessor
) -> None:
    """Write a batch: uint8 `images` (B, 3, H, W) and `labels` (B, H, W) with some 255, `x`, the
    normalised images, and `bases` (B, D, R) for the factorisation of `head`.
    """
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (batch, 3, *size), dtype=np.uint8))
    labels = torch.from_numpy(rng.integers(0, head["num_classes"], (batch, *size), dtype=np.uint8))
    labels[:, : size[0] // 8] = 255
    normalised = preprocessor({"inputs": list(images), "data_samples": []})["inputs"]
    bases = rng.random((batch, head["ham_channels"], head["ham_kwargs"]["MD_R"]), dtype=np.float32)
    torch.save(
        {
            "images": images,
            "labels": labels,
            "x": torch.stack(normalised),
            "bases": torch.from_numpy(bases),
        },
        path,
    )
