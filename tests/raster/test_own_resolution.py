"""Images of a test and scenes are predicted at the same resolution: one tile, one score."""

import numpy as np
import pytest
import torch
from PIL import Image
from scenes import CLASSES, PALETTE, make_ids, paint, read, write_scene
from torch import nn

from mmseg.apis import inference_model, init_model
from mmseg.config import load_config
from mmseg.datasets import build_dataset
from mmseg.models.decode_heads.decode_head import DecodeHead
from mmseg.raster import map_scene
from mmseg.registry import MODELS

LEAF = "local_configs/segnext/tiny/segnext.tiny.512x512.landcover.40k_weight.py"
CROP = 64
SMALL = {
    "model.data_preprocessor.size": (CROP, CROP),
    "model.test_cfg": {"mode": "slide", "crop_size": (CROP, CROP), "stride": (48, 48)},
}
NETWORK = {
    "model.backbone.embed_dims": (8, 16, 24, 32),
    "model.backbone.depths": (1, 1, 1, 1),
    "model.backbone.init_cfg": None,
    "model.decode_head.in_channels": (16, 24, 32),
    "model.decode_head.channels": 32,
    "model.decode_head.ham_channels": 32,
}
COLOURS = {
    "model.backbone": {"_delete_": True, "type": "ColoursOfTheImage"},
    "model.decode_head": {"_delete_": True, "type": "BrightestColour"},
}


@MODELS.register_module()
class ColoursOfTheImage(nn.Module):
    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(4.0))

    def forward(self, x):
        return (self.gain * x,)


@MODELS.register_module()
class BrightestColour(DecodeHead):
    def __init__(self):
        super().__init__((3,), 3, 3, (0,))

    def forward(self, maps):
        return maps[0]


def make_model(changes, checkpoint=None):
    config = load_config(LEAF, {**SMALL, **changes})
    if "BrightestColour" in str(changes):
        meta = {"classes": CLASSES, "palette": PALETTE}
        config.test_dataloader.dataset.update(type="BaseSegDataset", metainfo=meta)
    torch.manual_seed(0)
    model = init_model(config, checkpoint, "cpu")
    if checkpoint is None:
        nn.init.normal_(model.decode_head.conv_seg.weight, std=3.0)  # spread the classes
    return model


def by_test_and_by_map(model, folder, pixels):
    scene = write_scene(folder, pixels)
    tested = inference_model(model, scene).pred_sem_seg.data[0].numpy()
    return tested, read(map_scene(model, scene, folder).path)


def test_a_tile_of_the_crop_is_tested_as_it_is_mapped(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, CROP, CROP)).astype(np.uint8)
    tested, mapped = by_test_and_by_map(make_model(NETWORK), tmp_path, pixels)
    assert len(np.unique(mapped)) > 1
    assert (tested == mapped).mean() > 0.999


def test_a_tile_larger_than_the_crop_is_tested_and_mapped_at_its_own_resolution(tmp_path):
    ids = make_ids(4 * CROP, 3 * CROP + 5, block=3)
    tested, mapped = by_test_and_by_map(make_model(COLOURS), tmp_path, paint(ids))
    np.testing.assert_array_equal(mapped, ids)
    np.testing.assert_array_equal(tested, ids)


@pytest.mark.parametrize("scale", [(32, 32), None])
def test_an_old_checkpoint_is_tested_at_the_size_that_it_was_tested_at(tmp_path, scale, warnings):
    resize = f"scale=(\n {scale[0]},\n {scale[1]},\n), " if scale else "scale_factor=1.0, "
    text = f"p = [dict(keep_ratio=True, {resize}type='Resize')]"
    state = make_model(COLOURS).state_dict()
    torch.save({"meta": {"cfg": text}, "state_dict": state}, tmp_path / "old.pth")
    model = make_model(COLOURS, tmp_path / "old.pth")
    pixels = paint(make_ids(CROP, CROP, block=1)).transpose(1, 2, 0)
    ids = inference_model(model, np.ascontiguousarray(pixels[..., ::-1])).pred_sem_seg.data[0]
    assert (ids.numpy() == make_ids(CROP, CROP, block=1)).mean() < 0.9 if scale else True
    told = [line for line in warnings if "old.pth: was tested on images resized to" in line]
    assert len(told) == bool(scale)
    steps = [step["type"] for step in model.cfg.test_dataloader.dataset.pipeline]
    assert ("ResizeToMultiple" in steps) is bool(scale)


@pytest.mark.parametrize(
    ("sizes", "scale", "warned"),
    [
        ([(64, 48)], (64, 64), False),
        ([(640, 480)], (64, 64), True),
        ([(64, 48), (160, 120)], (160, 160), True),
        ([(64, 48), (640, 480)], None, False),
    ],
)
def test_images_that_are_resized_much_are_warned_of(
    folder_config, tmp_path, warnings, sizes, scale, warned
):
    for i, name in enumerate("abcd"):
        Image.new("RGB", sizes[i % len(sizes)]).save(tmp_path / f"img_dir/{name}.jpg")
    tested = {"scale": scale} if scale else {"scale_factor": 1.0}
    for step in (
        {"type": "Resize", "keep_ratio": True, **tested},
        {"type": "RandomScaleCropFlip", "crop_size": 32, "scale": scale},
    ):
        warnings.clear()
        build_dataset({**folder_config, "pipeline": [step]})
        assert any("fold to fit" in line for line in warnings) is warned
