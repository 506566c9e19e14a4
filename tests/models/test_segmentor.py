"""EncoderDecoder: windows, sizes and flips of predictions, and steps of training."""

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from mmseg.errors import NonFiniteLoss, UserError
from mmseg.models.segmentor import slide_inference, window_starts
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample


@pytest.fixture
def model(tiny_model):
    torch.manual_seed(0)
    model = MODELS.build(tiny_model).eval()
    # Far from untrained: logits differ from pixel to pixel.
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)
    return model


def picture(*size, seed=0):
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


def sample(ori_shape, **meta):
    return SegDataSample(metainfo={"ori_shape": ori_shape, **meta})


def predict(model, images, samples):
    with torch.no_grad():
        return [s.pred_sem_seg.data for s in model(images, samples, mode="predict")]


def test_prediction_is_the_class_of_the_highest_interpolated_logit(model):
    image = picture(3, 64, 96)
    (ids,) = predict(model, [image], [sample((50, 75))])
    with torch.no_grad():
        logits = F.interpolate(model(image[None]), (64, 96), mode="bilinear")
    expected = F.interpolate(logits, (50, 75), mode="bilinear").argmax(1)
    assert ids.dtype == torch.uint8
    assert torch.equal(ids.long(), expected)
    assert len(ids.unique()) > 1


def test_images_of_several_sizes_get_the_prediction_they_get_alone(model):
    sizes = [(64, 96), (96, 64), (64, 96), (128, 64)]
    images = [picture(3, *size, seed=i) for i, size in enumerate(sizes)]
    with torch.no_grad():
        together = model.predict_logits(images, [sample(size) for size in sizes])
        alone = [
            model.predict_logits([i], [sample(s)])[0] for i, s in zip(images, sizes, strict=True)
        ]
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
        assert (a.argmax(0) == b.argmax(0)).float().mean() > 0.999


@pytest.mark.parametrize(("direction", "axis"), [("horizontal", -1), ("vertical", -2)])
def test_flip_of_the_input_is_undone(model, direction, axis):
    image = picture(3, 64, 96)
    flipped = image.flip(axis)
    (plain,) = predict(model, [flipped], [sample((64, 96))])
    (undone,) = predict(model, [flipped], [sample((64, 96), flip=True, flip_direction=direction)])
    assert torch.equal(undone, plain.flip(axis))
    assert not torch.equal(undone, plain)


def test_with_amp_the_network_computes_in_half_precision_and_returns_float32(model):
    image = picture(1, 3, 64, 96)
    seen = []
    model.decode_head.conv_seg.register_forward_hook(lambda *call: seen.append(call[2].dtype))
    with torch.no_grad():
        whole = model.full_logits(image)
        model.test_cfg = {"mode": "whole", "amp": True}
        half = model.full_logits(image)
        (logits,) = model.predict_logits(list(image), [sample((64, 96))])
    assert seen == [torch.float32, torch.bfloat16, torch.bfloat16]
    assert half.dtype == logits.dtype == torch.float32
    torch.testing.assert_close(half, whole, rtol=0.1, atol=0.1 * whole.abs().max().item())
    assert not torch.equal(half, whole)


def labelled(batch_size, size=(64, 64)):
    """Images whose brightness tells the class, with some ignored pixels."""
    labels = (
        (picture(batch_size, 1, 4, 4, seed=5) > 0)
        .long()
        .repeat_interleave(size[0] // 4, 2)
        .repeat_interleave(size[1] // 4, 3)
    )
    images = labels * 2.0 - 1 + 0.2 * picture(batch_size, 3, *size, seed=6)
    labels[..., :3] = 255
    samples = []
    for label in labels:
        samples.append(SegDataSample())
        samples[-1].gt_sem_seg = PixelData(data=label.to(torch.uint8))
    return images, samples


def test_what_is_logged_is_read_from_the_device_once(model, monkeypatch):
    losses = model(*labelled(2), mode="loss")
    copies, to_cpu = [], torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda x: copies.append(x) or to_cpu(x))
    loss, log_vars = model.parse_losses(losses)
    assert len(copies) == 1
    assert loss.requires_grad
    assert not any(value.requires_grad for value in log_vars.values())
    assert {name: value.item() for name, value in log_vars.items()} == {
        "loss": loss.item(),
        **{name: value.item() for name, value in losses.items()},
    }


def test_loss_is_that_of_the_upsampled_logits(model):
    images, samples = labelled(2)
    with torch.no_grad():
        losses = model(images, samples, mode="loss")
        logits = F.interpolate(model(images), (64, 64), mode="bilinear")
    labels = torch.cat([s.gt_sem_seg.data for s in samples]).long()
    expected = F.cross_entropy(logits, labels, ignore_index=255, reduction="sum") / labels.numel()
    assert set(losses) == {"decode.loss_ce", "decode.acc_seg"}
    torch.testing.assert_close(losses["decode.loss_ce"], expected)


class Training(torch.nn.Module):
    """The model with its loss as the forward pass, as DDP wants it.

    Its batch norms keep their statistics: on CPUs, those of a batch are per process.
    """

    def __init__(self, config):
        super().__init__()
        torch.manual_seed(0)
        self.model = MODELS.build(config).train()
        nmf = self.model.decode_head.hamburger.ham
        bases = F.normalize(torch.rand(1, 32, 4), dim=1)
        nmf.build_bases = lambda batch_size, *_: bases.expand(batch_size, -1, -1)
        torch.nn.init.normal_(self.model.decode_head.conv_seg.weight)
        for module in self.model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eval()

    def forward(self, images, samples):
        return self.model(images, samples, mode="loss")["decode.loss_ce"]


def gradients(training, images, samples):
    training(images, samples).backward()
    model = getattr(training, "module", training).model
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def losses_of_which_one_is_nan(rank, config):
    model = MODELS.build(config)
    with pytest.raises(NonFiniteLoss):
        model.parse_losses({"loss_ce": torch.tensor(float("nan") if rank else 1.0)})
    return True


def test_a_loss_that_is_nan_in_one_process_stops_all(in_two_processes, tiny_model):
    assert in_two_processes(losses_of_which_one_is_nan, tiny_model) == [True, True]


def half_of_a_step(rank, config):
    images, samples = labelled(4)
    half = slice(2 * rank, 2 * rank + 2)
    training = DistributedDataParallel(Training(config), broadcast_buffers=False)
    return gradients(training, images[half], samples[half])


def test_step_of_a_batch_over_two_processes_has_the_gradients_of_the_whole_batch(
    in_two_processes, tiny_model
):
    expected = gradients(Training(tiny_model), *labelled(4))
    for result in in_two_processes(half_of_a_step, tiny_model):
        for name, gradient in expected.items():
            assert (result[name] - gradient).norm() <= 1e-4 * gradient.norm() + 1e-6, name


def test_modes_that_do_not_exist_or_lack_samples_are_refused(model):
    with pytest.raises(UserError, match="mode='losss': use 'loss', 'predict' or 'tensor'"):
        model(picture(1, 3, 32, 32), [], mode="losss")
    for mode in ("loss", "predict"):
        with pytest.raises(UserError, match=f"mode='{mode}' needs data_samples"):
            model(picture(1, 3, 32, 32), mode=mode)


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


@pytest.mark.parametrize("given", [None, {}, {"mode": "whole"}])
def test_images_are_tested_whole_if_nothing_else_is_said(tiny_model, given):
    assert MODELS.build({**tiny_model, "test_cfg": given}).test_cfg == {"mode": "whole"}


SLIDE = {"mode": "slide", "crop_size": (32, 32)}


@pytest.mark.parametrize(
    "given",
    [
        {"mode": "silde"},
        {"mode": "slide", "cropsize": (8, 8)},
        *(SLIDE | {"stride": stride} for stride in [(48, 16), (0, 16), 16, (16,)]),
    ],
)
def test_a_way_of_testing_that_does_not_exist_or_leaves_gaps_is_refused(tiny_model, given):
    with pytest.raises(UserError) as error:
        MODELS.build({**tiny_model, "test_cfg": given})
    assert f"model.test_cfg={given}: give dict(mode='whole') or" in str(error.value)
