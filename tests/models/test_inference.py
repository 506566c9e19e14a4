"""Sliding windows, and what `test_cfg` may say."""

import numpy as np
import pytest
import torch

from mmseg.errors import UserError
from mmseg.models.inference import slide_inference, window_starts
from mmseg.registry import MODELS


@pytest.fixture
def model(tiny_model):
    torch.manual_seed(0)
    model = MODELS.build(tiny_model).eval()
    # Far from untrained: logits differ from pixel to pixel.
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)
    return model


def picture(*size, seed=0):
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("length", [1, 7, 8, 9, 16, 20, 21, 33])
@pytest.mark.parametrize(("window", "stride"), [(8, 8), (8, 5), (8, 1)])
def test_windows_cover_the_length_and_stay_inside(length, window, stride):
    starts = list(window_starts(length, window, stride))
    covered = np.zeros(length, int)
    for start in starts:
        assert 0 <= start <= max(length - window, 0)
        covered[start : start + window] += 1
    assert (covered > 0).all()
    assert len(set(starts)) == len(starts)


def test_windows_are_no_more_than_needed():
    assert list(window_starts(20, 8, 6)) == [0, 6, 12]
    assert list(window_starts(21, 8, 6)) == [0, 6, 12, 13]


def test_slide_equals_whole_when_one_window_covers_the_image(model):
    x = picture(2, 3, 64, 96)
    with torch.no_grad():
        whole = model.full_logits(x)
        model.test_cfg = {"mode": "slide", "crop_size": (64, 128), "stride": (32, 64)}
        assert torch.equal(model.full_logits(x), whole)


def test_slide_averages_overlapping_windows():
    def network(x):
        # Depends on the whole window and on the place in it.
        place = torch.arange(x[0, 0].numel()).view(1, 1, *x.shape[2:])
        return torch.cat([x.mean((1, 2, 3), keepdim=True) + place, x[:, :1] * place], dim=1)

    x = picture(2, 3, 11, 9)
    total, count = torch.zeros(2, 2, 11, 9), torch.zeros(11, 9)
    for top in (0, 3, 6, 7):
        for left in (0, 2, 4):
            total[:, :, top : top + 4, left : left + 5] += network(
                x[:, :, top : top + 4, left : left + 5]
            )
            count[top : top + 4, left : left + 5] += 1
    result = slide_inference(network, x, crop_size=(4, 5), stride=(3, 2))
    torch.testing.assert_close(result, total / count)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mode": "silde"}, "model.test_cfg.mode='silde': use 'whole' or 'slide'"),
        (
            {"mode": "slide", "cropsize": (8, 8)},
            "takes crop_size, mode, stride and, if wanted,",
        ),
        ({"mode": "whole", "stride": (8, 8)}, "has mode, stride; mode='whole' takes mode and"),
    ],
)
def test_a_misspelt_way_of_testing_is_refused(tiny_model, given, message):
    with pytest.raises(UserError) as error:
        MODELS.build({**tiny_model, "test_cfg": given})
    assert message in str(error.value)


@pytest.mark.parametrize("given", [None, {}, {"mode": "whole"}])
def test_images_are_tested_whole_if_nothing_else_is_said(tiny_model, given):
    assert MODELS.build({**tiny_model, "test_cfg": given}).test_cfg == {"mode": "whole"}


@pytest.mark.parametrize("stride", [(48, 16), (0, 16), 16, (16,)])
def test_windows_that_leave_gaps_or_have_no_size_are_refused(tiny_model, stride):
    slide = {"mode": "slide", "crop_size": (32, 32), "stride": stride}
    with pytest.raises(UserError, match="give \\(height, width\\) each, and strides from 1 to the"):
        MODELS.build({**tiny_model, "test_cfg": slide})
