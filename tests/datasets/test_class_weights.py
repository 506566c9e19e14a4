"""Class weights against the formulas of their papers, and their common promises."""

from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image
from run_tool import run_tool

from mmseg.datasets.class_weights import METHODS, class_weights
from mmseg.errors import UserError

# Shares close to those of LandCover.ai: background, building, woodland, water, road.
COUNTS = np.array([5_810_000, 86_000, 3_330_000, 610_000, 164_000])


def scaled(weights: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return weights / (weights * counts / counts.sum()).sum()


@pytest.mark.parametrize("method", METHODS)
def test_the_average_pixel_weighs_one_and_rarer_classes_weigh_more(method):
    weights = class_weights(COUNTS, method)
    assert (weights * COUNTS).sum() / COUNTS.sum() == pytest.approx(1)
    assert (np.diff(weights[np.argsort(-COUNTS)]) > 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_an_absent_class_and_the_size_of_the_data_set_change_no_weight(method):
    expected = class_weights(COUNTS, method)
    weights = class_weights(np.insert(COUNTS, 2, 0) * 100, method)
    assert weights[2] == 1
    np.testing.assert_allclose(np.delete(weights, 2), expected, rtol=1e-4)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("counts", [[7, 7, 7], [0, 1]], ids=["equal classes", "a single pixel"])
def test_classes_without_a_difference_weigh_one(method, counts):
    np.testing.assert_allclose(class_weights(np.array(counts), method), 1)


def test_median_frequency_counts_only_the_images_that_show_the_class():
    per_image = np.array([[90, 10, 0], [60, 20, 20], [100, 0, 0]])
    frequency = np.array([250 / 300, 30 / 200, 20 / 100])
    expected = scaled(np.median(frequency) / frequency, per_image.sum(axis=0))
    np.testing.assert_allclose(class_weights(per_image, "median_frequency"), expected)


def test_inverse_log_and_effective_number_are_the_formulas_of_their_papers():
    expected = scaled(1 / np.log(1.02 + COUNTS / COUNTS.sum()), COUNTS)
    np.testing.assert_allclose(class_weights(COUNTS, "inverse_log"), expected)
    volume = COUNTS.mean()
    samples = -np.expm1(COUNTS * np.log1p(-1 / volume)) * volume
    expected = scaled(1 / samples, COUNTS)
    np.testing.assert_allclose(class_weights(COUNTS, "effective_number"), expected, rtol=1e-6)


def test_masks_without_a_label_are_refused():
    with pytest.raises(UserError, match="no labelled pixel"):
        class_weights([0], "inverse_log")


@pytest.fixture
def config(tmp_path) -> Path:
    """A config of two masks with 6 labelled pixels of class 0, 2 of class 1, and ignored ones."""
    for name, ids in {"a": [[0, 0, 0], [255, 1, 1]], "b": [[0, 0, 0], [255, 255, 255]]}.items():
        for folder in ("img", "ann"):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(np.array(ids, np.uint8)).save(tmp_path / folder / f"{name}.png")
    path = tmp_path / "config.py"
    path.write_text(
        "train_dataloader = dict(dataset=dict(type='BaseSegDataset', pipeline=[], "
        f"data_root={str(tmp_path)!r}, img_suffix='.png', "
        "data_prefix=dict(img_path='img', seg_map_path='ann'), "
        "metainfo=dict(classes=('land', 'sea'), palette=[(0, 0, 0), (0, 0, 9)])))\n"
        "model = dict(decode_head=dict(loss_decode=dict(type='CrossEntropyLoss')))\n"
    )
    return path


def test_the_tool_writes_a_config_that_adds_the_weights_to_its_base(config):
    out = config.parent / "weights" / "weighted.py"
    result = run_tool("class_weights.py", config, "--method", "inverse_log", "--out", out)
    assert result.returncode == 0, result.stderr
    loss = Config.fromfile(out).model.decode_head.loss_decode
    assert loss.type == "CrossEntropyLoss"
    expected = class_weights(np.array([6, 2]), "inverse_log")
    np.testing.assert_allclose(loss.class_weight, expected, rtol=1e-3)
    assert "# land: 75.000% of the labelled pixels" in out.read_text()


LOSSES = [
    {"type": "CrossEntropyLoss", "class_weight": [1.0, 1.0], "loss_weight": 0.5},
    {"type": "DiceLoss"},
]


@pytest.mark.parametrize(
    ("stated", "losses"),
    [("", [{"type": "CrossEntropyLoss"}]), (f"loss_decode={LOSSES!r}", LOSSES)],
    ids=["the one by default", "a list"],
)
def test_every_loss_of_a_head_gets_the_weights(config, stated, losses):
    text = config.read_text().replace("loss_decode=dict(type='CrossEntropyLoss')", stated)
    config.write_text(text)
    out = config.parent / "weighted.py"
    result = run_tool("class_weights.py", config, "--out", out)
    assert result.returncode == 0, result.stderr
    merged = Config.fromfile(out)
    expected = [{**loss, "class_weight": merged.class_weight} for loss in losses]
    assert merged.model.decode_head.loss_decode == expected
    assert len(merged.class_weight) == 2


def test_the_tool_replaces_no_file_but_its_own(config):
    before = config.read_text()
    result = run_tool("class_weights.py", config, "--out", config)
    assert result.returncode == 1 and "would replace a file of yours" in result.stderr
    assert config.read_text() == before
    out = config.parent / "weighted.py"
    for _ in range(2):
        assert run_tool("class_weights.py", config, "--out", out).returncode == 0
