"""EncoderDecoder: windows, sizes and flips of predictions, and steps of training."""

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from mmseg.errors import NonFiniteLoss, UserError
from mmseg.ops.class_map import rescale
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


def test_rescale_interpolates_bilinearly():
    logits = picture(1, 3, 8, 6)
    expected = F.interpolate(logits, (20, 10), mode="bilinear", align_corners=False)
    assert torch.equal(rescale(logits, (20, 10), align_corners=False), expected)
    assert rescale(logits, (8, 6), align_corners=False) is logits


def test_prediction_has_the_original_size_as_uint8(model):
    (ids,) = predict(model, [picture(3, 64, 96)], [sample((50, 75))])
    assert ids.shape == (1, 50, 75)
    assert ids.dtype == torch.uint8
    assert ids.max() <= 2


def test_prediction_is_the_class_of_the_highest_interpolated_logit(model):
    image = picture(3, 64, 96)
    (ids,) = predict(model, [image], [sample((50, 75))])
    with torch.no_grad():
        logits = F.interpolate(model(image[None]), (64, 96), mode="bilinear")
    expected = F.interpolate(logits, (50, 75), mode="bilinear").argmax(1)
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


def test_metadata_of_a_flip_that_was_not_drawn_changes_nothing(model):
    image = picture(3, 64, 96)
    (plain,) = predict(model, [image], [sample((64, 96))])
    (same,) = predict(model, [image], [sample((64, 96), flip=False, flip_direction=None)])
    assert torch.equal(same, plain)


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


def test_losses_carry_the_name_of_the_head(model):
    losses = model(*labelled(2), mode="loss")
    assert set(losses) == {"decode.loss_ce", "decode.acc_seg"}


def test_loss_is_that_of_the_upsampled_logits(model):
    images, samples = labelled(2)
    with torch.no_grad():
        loss = model(images, samples, mode="loss")["decode.loss_ce"]
        logits = F.interpolate(model(images), (64, 64), mode="bilinear")
    labels = torch.cat([s.gt_sem_seg.data for s in samples]).long()
    expected = F.cross_entropy(logits, labels, ignore_index=255, reduction="sum") / labels.numel()
    torch.testing.assert_close(loss, expected)


def test_a_few_steps_on_one_batch_lower_the_loss(tiny_model):
    torch.manual_seed(0)
    model = MODELS.build(tiny_model)
    model.init_weights()
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    images, samples = labelled(2)
    losses = []
    for _ in range(15):
        loss = model(images, samples, mode="loss")["decode.loss_ce"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(np.log(3) * 61 / 64, rel=0.05)
    assert losses[-1] < losses[0] / 2


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


def test_an_exported_program_gives_the_logits_of_the_model(model):
    program = torch.export.export(model, (picture(1, 3, 64, 96),)).module()
    image = picture(1, 3, 64, 96, seed=1)
    with torch.no_grad():
        expected = model(image)
    assert expected.shape == (1, 3, 8, 12)
    assert (program(image) - expected).abs().max() < 1e-5 * expected.abs().max()
    assert torch.equal(program(image), program(image))


def test_modes_that_do_not_exist_or_lack_samples_are_refused(model):
    with pytest.raises(UserError, match="mode='losss': use 'loss', 'predict' or 'tensor'"):
        model(picture(1, 3, 32, 32), [], mode="losss")
    for mode in ("loss", "predict"):
        with pytest.raises(UserError, match=f"mode='{mode}' needs data_samples"):
            model(picture(1, 3, 32, 32), mode=mode)
