"""The losses against independent definitions, with ignored pixels and class weights."""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmseg.errors import UserError
from mmseg.models.losses import ClassDiceLoss, CrossEntropyLoss, LovaszLoss
from mmseg.registry import MODELS

WEIGHT = [0.5, 2.0, 1.25]
LOSSES = [CrossEntropyLoss, ClassDiceLoss, LovaszLoss]
every_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda c: c.__name__)


@pytest.fixture
def logits():
    return torch.randn(2, 3, 5, 6, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def labels():
    labels = torch.randint(3, (2, 5, 6), generator=torch.Generator().manual_seed(1))
    labels[0, :2] = labels[1, 3, 2:] = 255
    return labels


def pixels(logits, labels):
    """Every labelled pixel as (probabilities in double, label), one by one."""
    for image, truth in zip(logits.double().numpy(), labels.numpy(), strict=True):
        for row in range(truth.shape[0]):
            for column in range(truth.shape[1]):
                if truth[row, column] != 255:
                    e = np.exp(image[:, row, column])
                    yield e / e.sum(), truth[row, column]


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_cross_entropy_is_the_weighted_sum_over_all_pixels_ignored_included(logits, labels, weight):
    total = sum(-(weight[k] if weight else 1) * math.log(p[k]) for p, k in pixels(logits, labels))
    loss = CrossEntropyLoss(class_weight=weight)(logits, labels)
    assert loss.item() == pytest.approx(total / labels.numel(), rel=1e-5)


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_cross_entropy_of_labelled_pixels_alone_is_torchs_own_mean(logits, labels, weight):
    loss = CrossEntropyLoss(class_weight=weight, avg_non_ignore=True)(logits, labels)
    expected = F.cross_entropy(logits, labels, weight and torch.tensor(weight), ignore_index=255)
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_class_dice_is_one_minus_twice_the_overlap_per_image_and_class(logits, labels, weight):
    terms = []
    for image, truth in zip(logits, labels, strict=True):
        for cls in range(3):
            overlap = squares = 0.0
            for p, k in pixels(image[None], truth[None]):
                overlap += p[cls] * (k == cls)
                squares += p[cls] ** 2 + (k == cls)
            dice = 1 - (2 * overlap + 1) / (squares + 1)
            terms.append(dice * (weight[cls] if weight else 1))
    loss = ClassDiceLoss(class_weight=weight)(logits, labels)
    assert loss.item() == pytest.approx(np.mean(terms), rel=1e-5)


def jaccard_distance(wrong, target):
    """1 - IoU of a class when the pixels `wrong` are predicted wrongly."""
    predicted = target ^ wrong
    union = (predicted | target).sum()
    return 1 - (predicted & target).sum() / union if union else 0.0


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_lovasz_is_the_lovasz_extension_of_the_jaccard_distance(logits, labels, weight):
    # The extension is an integral over thresholds of the distance when the pixels whose error is
    # above the threshold are wrong.
    probabilities, truth = map(np.array, zip(*pixels(logits, labels), strict=True))
    terms = []
    for cls in np.unique(truth):
        target = truth == cls
        errors = np.abs(target - probabilities[:, cls])
        steps = np.concatenate([[0.0], np.sort(errors)])
        area = sum(
            (high - low) * jaccard_distance(errors > low, target)
            for low, high in itertools.pairwise(steps)
        )
        terms.append(area * (weight[cls] if weight else 1))
    loss = LovaszLoss(class_weight=weight)(logits, labels)
    assert loss.item() == pytest.approx(np.mean(terms), rel=1e-5)


@every_loss
def test_ignored_pixels_have_no_gradient(loss, logits, labels):
    logits.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(class_weight=WEIGHT)(logits, labels), logits)
    by_pixel = gradient.abs().sum(1)
    assert (by_pixel[labels == 255] == 0).all()
    assert (by_pixel[labels != 255] > 0).all()


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize(
    "loss", [*LOSSES, lambda **kw: CrossEntropyLoss(avg_non_ignore=True, **kw)]
)
def test_all_ignored_crop_gives_zero_and_no_gradient(loss, logits, weight):
    logits.requires_grad_()
    value = loss(class_weight=weight)(logits, torch.full((2, 5, 6), 255))
    value.backward()
    assert value.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@every_loss
def test_loss_scales_with_its_weight(loss, logits, labels):
    torch.testing.assert_close(loss(loss_weight=3.0)(logits, labels), 3 * loss()(logits, labels))


@every_loss
def test_loss_of_large_bfloat16_logits_is_finite_and_exact(loss, logits, labels):
    logits = (100 * logits).bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(class_weight=WEIGHT)(logits, labels)
    value.backward()
    assert torch.isfinite(logits.grad).all()
    expected = loss(class_weight=WEIGHT)(logits.detach().float(), labels)
    torch.testing.assert_close(value.float(), expected)


def head(tiny_model, **kwargs):
    return MODELS.build({**tiny_model["decode_head"], **kwargs})


def test_terms_of_two_losses_are_named_apart(tiny_model):
    losses = [{"type": "CrossEntropyLoss"}, {"type": "DiceLoss", "loss_weight": 3.0}]
    maps = [torch.rand(1, c, 4, 4) for c in (8, 16, 24, 32)]
    module = head(tiny_model, loss_decode=losses)
    result = module.loss(module(maps), torch.zeros(1, 32, 32).long())
    assert set(result) == {"loss_ce", "loss_dice", "acc_seg"}


def test_head_adds_terms_of_one_name(tiny_model):
    maps = [torch.rand(1, c, 4, 4) for c in (8, 16, 24, 32)]
    labels = torch.zeros(1, 32, 32).long()
    one, two = head(tiny_model), head(tiny_model, loss_decode=[{"type": "CrossEntropyLoss"}] * 2)
    two.load_state_dict(one.state_dict())
    values = [h.loss(h.eval()(maps), labels)["loss_ce"] for h in (one, two)]
    torch.testing.assert_close(values[1], 2 * values[0])


def test_accuracy_counts_labelled_pixels_only(tiny_model):
    module = head(tiny_model)
    logits = F.one_hot(torch.tensor([[[0, 1], [2, 2]]]), 3).permute(0, 3, 1, 2).float()
    result = module.loss(logits, torch.tensor([[[0, 2], [2, 255]]]))
    assert result["acc_seg"].item() == pytest.approx(100 * 2 / 3)
    everything_ignored = module.loss(logits, torch.full((1, 2, 2), 255))
    assert everything_ignored["acc_seg"].item() == 0


def test_class_weight_of_another_length_is_refused(tiny_model):
    loss = {"type": "CrossEntropyLoss", "class_weight": [1.0, 2.0]}
    with pytest.raises(UserError, match=r"class_weight has 2 values for num_classes=3"):
        head(tiny_model, loss_decode=loss)


def test_one_class_is_refused_with_the_way_out(tiny_model):
    with pytest.raises(UserError, match=r"num_classes=1.*set num_classes=2"):
        head(tiny_model, num_classes=1)


class Constant(CrossEntropyLoss):
    def forward(self, logits, labels, ignore_index=255):
        return 5.0 + 0 * logits.sum()


class ManyValues(CrossEntropyLoss):
    def forward(self, logits, labels, ignore_index=255):
        return {"loss": logits.sum()}


def test_a_subclass_of_cross_entropy_is_called(tiny_model):
    module = head(tiny_model)
    module.loss_decode[0] = Constant()
    logits, labels = torch.rand(1, 3, 4, 4), torch.zeros(1, 32, 32).long()
    assert module.loss(logits, labels)["loss_ce"] == 5.0
    module.loss_decode[0] = ManyValues()
    with pytest.raises(UserError, match="ManyValues: a loss returns one number, as a tensor"):
        module.loss(logits, labels)


class TwoArguments(CrossEntropyLoss):
    def forward(self, logits, labels):
        return 0 * logits.sum()


class AnyOptions(CrossEntropyLoss):
    def forward(self, logits, labels, **options):
        return 0 * logits.sum() + options["ignore_index"]


def test_a_loss_takes_the_label_that_does_not_count(tiny_model):
    with pytest.raises(UserError, match="loss_decode: TwoArguments takes no ignore_index"):
        head(tiny_model, loss_decode={"type": TwoArguments})
    module = head(tiny_model, loss_decode={"type": AnyOptions})
    logits, labels = torch.rand(1, 3, 4, 4), torch.zeros(1, 32, 32).long()
    assert module.loss(logits, labels)["loss_ce"] == 255


def test_a_loss_that_would_not_be_trained_is_refused(tiny_model):
    with pytest.raises(UserError, match="CrossEntropyLoss has the loss_name 'ce'; it needs one"):
        head(tiny_model, loss_decode={"type": "CrossEntropyLoss", "loss_name": "ce"})
    for nothing in ([], None):
        with pytest.raises(UserError, match="loss_decode is empty: name a loss"):
            head(tiny_model, loss_decode=nothing)


def test_logits_of_another_number_of_classes_are_refused(tiny_model):
    with pytest.raises(UserError, match=r"LightHamHead gives logits of 4 classes, .*num_classes=3"):
        head(tiny_model).loss(torch.rand(1, 4, 4, 4), torch.zeros(1, 32, 32).long())
