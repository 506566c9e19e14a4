"""The classes of an image without its logits, against all of them, in every geometry."""

import pytest
import torch
import torch.nn.functional as F

from mmseg.ops import bilinear
from mmseg.ops import class_map as class_map_module
from mmseg.ops.class_map import Frame, class_map, to_original
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

FRAMES = {
    "as large as the input": ((5, 7), Frame((40, 56), (40, 56), (40, 56))),
    "padded": ((5, 7), Frame((40, 56), (33, 51), (33, 51))),
    "smaller than the input": ((8, 9), Frame((64, 72), (64, 72), (47, 55))),
    "half the input": ((8, 9), Frame((64, 72), (61, 72), (32, 36))),
    "larger than the input": ((6, 5), Frame((48, 40), (45, 40), (101, 77))),
    "one axis up, one down": ((6, 9), Frame((48, 72), (48, 72), (90, 50))),
    "flipped": ((6, 9), Frame((48, 72), (43, 70), (37, 61), "horizontal")),
    "upside down": ((6, 9), Frame((48, 72), (43, 70), (43, 70), "vertical")),
    "turned": ((6, 9), Frame((48, 72), (43, 70), (85, 140), "diagonal")),
    "corners aligned": ((6, 9), Frame((48, 72), (43, 70), (61, 99), None, True)),
    "corners aligned and flipped": ((6, 9), Frame((48, 72), (48, 72), (37, 61), "vertical", True)),
    "an odd stride": ((7, 5), Frame((50, 33), (50, 33), (41, 35))),
    "one logit high": ((1, 9), Frame((8, 72), (5, 70), (9, 81))),
    "one logit": ((1, 1), Frame((8, 8), (8, 8), (5, 9))),
    "at the image's size": ((40, 31), Frame((40, 31), (40, 31), (40, 31))),
    "at the input's size": ((40, 31), Frame((40, 31), (37, 30), (77, 40), "horizontal")),
    "much wider": ((3, 40), Frame((24, 320), (24, 320), (400, 33))),
}


@pytest.fixture(autouse=True, params=["loop", "bands"])
def path(request, monkeypatch):
    """Run with the compiled loop, and with torch's operations in bands of a few rows."""
    assert class_map_module._loop() is not None
    if request.param == "bands":
        monkeypatch.setattr(class_map_module, "_loop", lambda: None)
        monkeypatch.setitem(bilinear.LOGITS_AT_ONCE, "cpu", 50_000)


def logits_of(size, num_classes=150, seed=0, memory_format=torch.channels_last):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(1, num_classes, *size, generator=generator)
    return logits.contiguous(memory_format=memory_format)


def full_logits(logits, frame):
    """Interpolate all logits to the size of the image: (1, K, H, W)."""
    options = {"mode": "bilinear", "align_corners": frame.align_corners}
    logits = F.interpolate(logits, frame.padded, **options)
    logits = logits[..., : frame.inside[0], : frame.inside[1]]
    if frame.flip in ("horizontal", "diagonal"):
        logits = logits.flip(3)
    if frame.flip in ("vertical", "diagonal"):
        logits = logits.flip(2)
    return F.interpolate(logits, frame.original, **options)


@pytest.mark.parametrize("name", FRAMES)
def test_logits_at_the_original_size_are_interpolated_in_two_steps(name):
    size, frame = FRAMES[name]
    logits = logits_of(size, num_classes=3)
    torch.testing.assert_close(to_original(logits, frame), full_logits(logits, frame))


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("num_classes", [2, 150])
def test_classes_are_those_of_the_largest_logits(name, num_classes):
    size, frame = FRAMES[name]
    for layout in (torch.channels_last, torch.contiguous_format):
        logits = logits_of(size, num_classes, memory_format=layout)
        ids, full = class_map(logits, frame), full_logits(logits, frame)[0]
        assert ids.dtype == torch.uint8 and ids.shape == frame.original
        best, second = full.topk(2, dim=0).values
        clear = best - second > 1e-5 * best.abs().clamp(min=1)
        assert torch.equal(ids[clear].long(), full.argmax(0)[clear])
        assert (ids == full.argmax(0)).float().mean() >= 0.9999
        assert clear.float().mean() > 0.99


def test_the_first_of_equal_classes_wins():
    size, frame = FRAMES["smaller than the input"]
    one = logits_of(size, num_classes=1)
    other = one + torch.linspace(-1, 1, size[1])
    ids = class_map(torch.cat([one - 5, one, other, one, other], dim=1), frame)
    assert set(ids.unique().tolist()) == {1, 2}
    assert class_map(torch.zeros(1, 7, *size), frame).max() == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_logits_that_are_not_finite_still_give_classes(value):
    size, frame = FRAMES["larger than the input"]
    logits = logits_of(size, num_classes=5)
    logits[0, 3, 0, 0] = value
    assert class_map(logits, frame).max() < 5
    assert class_map(torch.full_like(logits, value), frame).max() < 5


def test_bfloat16_logits_are_compared_in_float32():
    size, frame = FRAMES["larger than the input"]
    logits = logits_of(size).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        ids = class_map(logits, frame)
    assert (ids == full_logits(logits.float(), frame)[0].argmax(0)).float().mean() >= 0.999


@pytest.mark.parametrize("mode", ["whole", "slide"])
def test_a_model_predicts_the_class_of_its_largest_logit(tiny_model, mode):
    torch.manual_seed(0)
    model = MODELS.build(tiny_model).eval()
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)
    if mode == "slide":
        model.test_cfg = {"mode": "slide", "crop_size": (64, 64), "stride": (40, 40)}
    images = [torch.randn(3, 64, 96), torch.randn(3, 96, 64), torch.randn(3, 64, 96)]
    metas = [
        {"ori_shape": (75, 101), "img_shape": (64, 90), "flip": True},
        {"ori_shape": (48, 33), "img_shape": (96, 64), "flip": False},
        {"ori_shape": (64, 96)},
    ]
    metas[0]["flip_direction"] = "horizontal"
    samples = [SegDataSample(metainfo=meta) for meta in metas]
    with torch.no_grad():
        logits = model.predict_logits(images, samples)
        found = [s.pred_sem_seg.data for s in model.predict(images, samples)]
    for ids, expected, meta in zip(found, logits, metas, strict=True):
        assert ids.shape == (1, *meta["ori_shape"])
        assert (ids[0] == expected.argmax(0)).float().mean() >= 0.999
        assert len(ids.unique()) > 1
