"""The numbers of the official SegNeXt-T, number by number.

tests/golden/segnext_tiny.npz holds sums and samples of the official network's tensors; the weights
are a function of the key names, the input of a seed.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from random_weights import random_weights
from torch import nn
from torch.nn import functional as F

from mmseg.inference import fuse
from mmseg.registry import MODELS

TOLERANCE = 1e-4
GOLDEN = np.load(Path(__file__).parents[1] / "golden/segnext_tiny.npz")
META = json.loads(str(GOLDEN["meta"]))
TINY = {
    "type": "EncoderDecoder",
    "backbone": {"type": "MSCAN", "embed_dims": (32, 64, 160, 256), "depths": (3, 3, 5, 2)},
    "decode_head": {
        "type": "LightHamHead",
        "in_channels": (64, 160, 256),
        "channels": 256,
        "ham_channels": 256,
        "ham_kwargs": {"MD_R": 16},
        "num_classes": 150,
        "dropout_ratio": 0.0,
    },
}


@pytest.fixture
def model() -> nn.Module:
    model = MODELS.build(TINY)
    model.load_state_dict(random_weights(model))
    return model


@pytest.fixture
def batch(model: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Image and labels; the model gets the golden starting bases."""
    rng = np.random.Generator(np.random.PCG64(2024))
    image = torch.from_numpy(rng.standard_normal((2, 3, 96, 128)).astype(np.float32))
    bases = torch.from_numpy(rng.random((2, 256, 16)).astype(np.float32))
    labels = torch.from_numpy(rng.integers(0, 150, (2, 96, 128)))
    labels[:, :10] = 255
    nmf = model.decode_head.hamburger.ham
    nmf.build_bases = lambda *_: F.normalize(bases, dim=1)
    return image, labels


def deviation(name: str, tensor: torch.Tensor) -> float:
    """Largest deviation of shape, sums and samples, relative to the size of the tensor's values."""
    assert list(tensor.shape) == GOLDEN[f"{name}/shape"].tolist()
    values = tensor.detach().double().flatten().numpy()
    abssum = float(GOLDEN[f"{name}/abssum"])
    samples, expected = values[GOLDEN[f"{name}/idx"]], GOLDEN[f"{name}/val"]
    return max(
        abs(values.sum() - float(GOLDEN[f"{name}/sum"])) / abssum,
        abs(np.abs(values).sum() - abssum) / abssum,
        float(np.abs(samples - expected).max() / np.abs(expected).max()),
    )


@pytest.mark.parametrize("prepare", [nn.Module.eval, fuse], ids=["plain", "fused"])
def test_evaluation_gives_the_official_stages_and_logits(model, batch, prepare):
    network = prepare(model)
    with torch.no_grad():
        stages = network.backbone(batch[0])
        logits = network.decode_head(stages)
    deviations = {f"stage{i}": deviation(f"eval/stage{i}", s) for i, s in enumerate(stages)}
    deviations["logits"] = deviation("eval/logits", logits)
    assert len(deviations) == 5
    assert max(deviations.values()) < TOLERANCE, deviations


def test_training_gives_the_official_loss_and_gradients(model, batch):
    image, labels = batch
    model.train()
    (logits,) = model.training_logits(image)
    assert deviation("train/logits", logits) < TOLERANCE
    loss = model.decode_head.loss(logits, labels)["loss_ce"]
    assert loss.item() == pytest.approx(GOLDEN["train/loss"].item(), rel=TOLERANCE)

    loss.backward()
    parameters = dict(model.named_parameters())
    official = {key[5:] for key in GOLDEN.files if key.startswith("grad/")}
    assert set(parameters) == official
    norms = {key: parameters[key].grad.norm().item() for key in official}
    largest = max(GOLDEN[f"grad/{key}"].item() for key in official)
    for key, norm in norms.items():
        # A bias before a batch norm has gradient 0: what is left of it is rounding.
        expected = GOLDEN[f"grad/{key}"].item()
        assert norm == pytest.approx(expected, rel=TOLERANCE, abs=1e-7 * largest), key


def test_state_dict_has_the_official_keys_and_shapes(model):
    official = {k: tuple(v) for k, v in META["keys"].items()}
    assert {k: tuple(v.shape) for k, v in model.state_dict().items()} == official
    assert sum(p.numel() for p in model.parameters()) == META["n_params"]
