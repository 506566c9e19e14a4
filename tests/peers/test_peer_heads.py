"""Heads as the guides of MMSegmentation write them."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import Registry
from mmengine.structures import PixelData
from mmseg.models.utils import resize

from mmseg.compat.openmmlab import adapt_component
from mmseg.errors import UserError
from mmseg.models import SegDataPreProcessor
from mmseg.models.decode_heads import BaseDecodeHead, FCNHead, LightHamHead
from mmseg.models.losses import accuracy
from mmseg.peers.transforms import offer
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

MAPS = [torch.rand(2, c, 64 // s, 64 // s) for c, s in ((8, 4), (16, 8), (24, 16), (32, 32))]


@MODELS.register_module()
class GuideHead(BaseDecodeHead):
    """As the guide's: two arguments of its own, one map, a loss of its own."""

    def __init__(self, factor=2.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor
        self.conv = torch.nn.Conv2d(self.in_channels, self.channels, 1)

    def forward(self, inputs):
        return self.cls_seg(self.conv(self._transform_inputs(inputs)))

    def loss_by_feat(self, seg_logits, batch_data_samples):
        losses = super().loss_by_feat(seg_logits, batch_data_samples)
        return {**losses, "loss_own": self.factor * losses["loss_ce"]}

    def predict_by_feat(self, seg_logits, batch_img_metas):
        return -super().predict_by_feat(seg_logits, batch_img_metas)


class CopiedLoss(FCNHead):
    """Its loss is written as that of the guides' head, from which people start."""

    def loss_by_feat(self, seg_logits, batch_data_samples):
        seg_label = self._stack_batch_gt(batch_data_samples)
        loss = {}
        seg_logits = resize(
            input=seg_logits,
            size=seg_label.shape[2:],
            mode="bilinear",
            align_corners=self.align_corners,
        )
        assert self.sampler is None
        seg_label = seg_label.squeeze(1).long()
        for each in self.loss_decode:
            value = each(seg_logits, seg_label, weight=None, ignore_index=self.ignore_index)
            loss[each.loss_name] = loss.get(each.loss_name, 0) + value
        loss["acc_seg"] = accuracy(seg_logits, seg_label, ignore_index=self.ignore_index)
        return loss


def test_a_loss_that_was_copied_from_the_guides_gives_the_same():
    names = ("CrossEntropyLoss", "LovaszLoss", "ClassDiceLoss", "DiceLoss")
    options = {k: v for k, v in FCN.items() if k != "type"}
    options["loss_decode"] = [{"type": name} for name in names]
    heads = [kind(**options) for kind in (CopiedLoss, FCNHead)]
    heads[1].load_state_dict(heads[0].state_dict())
    samples = labelled()
    samples[0].gt_sem_seg.data[:, :9] = 255
    found, expected = (head.eval().loss(MAPS, samples) for head in heads)
    assert set(found) == set(expected) and len(found) == 4
    for name, value in expected.items():
        torch.testing.assert_close(found[name].squeeze(), value)
    with pytest.raises(UserError, match="CrossEntropyLoss weighs classes"):
        heads[0].loss_decode[0](torch.rand(1, 3, 2, 2), torch.zeros(1, 2, 2).long(), torch.rand(1))


def labelled(count=2):
    return [
        SegDataSample(gt_sem_seg=PixelData(data=torch.randint(3, (1, 64, 64), dtype=torch.uint8)))
        for _ in range(count)
    ]


FCN = {"type": "FCNHead", "in_channels": 24, "channels": 8, "num_classes": 3, "in_index": 2}
SYNC = {"type": "BN"}


def test_a_head_of_the_guide_trains_and_predicts_as_it_says(tiny_model):
    head = {"type": "GuideHead", "in_channels": 32, "channels": 8, "num_classes": 3, "factor": 3.0}
    model = MODELS.build({**tiny_model, "decode_head": head})
    losses = model.loss(torch.rand(2, 3, 64, 64), labelled())
    assert losses["decode.loss_own"] == 3 * losses["decode.loss_ce"]
    model.eval()
    with torch.no_grad():
        found = model.logits(torch.rand(1, 3, 64, 64))
        maps = model.extract_feat(x := torch.rand(1, 3, 64, 64))
        expected = -F.interpolate(model.decode_head(maps), (64, 64), mode="bilinear")
        torch.testing.assert_close(model.logits(x), expected)
    assert found.shape == (1, 3, 64, 64)


def test_maps_reach_a_head_as_its_input_transform_says():
    options = {"in_channels": [16, 32], "channels": 8, "num_classes": 3, "in_index": [1, 3]}
    several = BaseDecodeHead(**options, input_transform="multiple_select")
    assert all(a is b for a, b in zip(several._transform_inputs(MAPS), MAPS[1::2], strict=True))
    one = BaseDecodeHead(**options, input_transform="resize_concat")
    assert one.in_channels == 48
    expected = torch.cat([MAPS[1], F.interpolate(MAPS[3], (8, 8), mode="bilinear")], 1)
    torch.testing.assert_close(one._transform_inputs(MAPS), expected)
    last = BaseDecodeHead(32, 8, num_classes=3)
    assert last._transform_inputs(MAPS) is MAPS[3]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"in_index": [0, 1]}, "two numbers or two lists"),
        ({"input_transform": "concat"}, "input_transform is one of"),
        ({"sampler": {"type": "OHEMPixelSampler"}}, "weigh the loss"),
        ({"out_channels": 18}, "give out_channels=1 for two classes"),
        ({"num_classes": 2, "out_channels": 1, "threshold": 1.5}, "between 0 and 1"),
        (
            {"num_classes": 2, "out_channels": 1, "loss_decode": {"type": "DiceLoss"}},
            "num_classes=2, DiceLoss: leave out_channels",
        ),
    ],
)
def test_arguments_that_do_not_fit_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        BaseDecodeHead(**{"in_channels": 32, "channels": 8, "num_classes": 19, **options})


FOCAL = {"type": "FocalLoss"}


@pytest.mark.parametrize("cfg", [FOCAL, {**FCN, "loss_decode": FOCAL}])
def test_a_loss_that_is_not_here_is_refused_with_the_way_out(cfg):
    with pytest.raises(UserError, match=r"FocalLoss is not here: import .* docs/migration\.md"):
        MODELS.build(cfg)


@MODELS.register_module()
class Careless(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.width = {}["width"]


def test_a_key_that_a_constructor_misses_stays_a_key_error():
    with pytest.raises(KeyError, match="width"):
        MODELS.build({"type": "Careless"})


class OwnLoss(FCNHead):
    def loss(self, inputs, batch_data_samples, train_cfg):
        return {}


def test_a_head_that_overrides_loss_is_told_what_to_override():
    with pytest.raises(UserError, match="OwnLoss: override loss_by_feat, not loss"):
        OwnLoss(in_channels=8, channels=4, num_classes=3)


@pytest.mark.parametrize("options", [{}, {"num_convs": 1, "kernel_size": 1, "concat_input": False}])
def test_an_fcn_head_gives_logits_of_the_size_of_its_map(options):
    head = MODELS.build({**FCN, "norm_cfg": SYNC, **options})
    assert head(MAPS).shape == (2, 3, 4, 4)


def test_an_auxiliary_head_trains_with_its_weight_and_is_absent_in_inference(tiny_model):
    loss = {"type": "CrossEntropyLoss", "loss_weight": 0.4}
    extra = {**FCN, "loss_decode": loss, "dropout_ratio": 0}
    model = MODELS.build({**tiny_model, "auxiliary_head": extra})
    x, samples = torch.rand(2, 3, 64, 64), labelled()
    losses = model.loss(x, samples)
    labels = torch.cat([sample.gt_sem_seg.data for sample in samples]).long()
    model.backbone.eval(), model.auxiliary_head.eval()
    logits = model.auxiliary_head(model.extract_feat(x))
    full = F.interpolate(logits, (64, 64), mode="bilinear")
    again = model.loss(x, samples)["aux.loss_ce"]
    torch.testing.assert_close(again, 0.4 * F.cross_entropy(full, labels))
    assert {"decode.loss_ce", "aux.loss_ce", "aux.acc_seg"} <= set(losses)
    losses["aux.loss_ce"].backward()
    assert model.auxiliary_head.conv_seg.weight.grad.abs().sum() > 0
    model.eval()
    model.auxiliary_head.forward = None  # a call would fail
    assert model.logits(x).shape == (2, 3, 8, 8)


def test_several_auxiliary_heads_are_named_by_their_number(tiny_model):
    model = MODELS.build(
        {**tiny_model, "auxiliary_head": [FCN, {**FCN, "in_channels": 16, "in_index": 1}]}
    )
    names = set(model.loss(torch.rand(2, 3, 64, 64), labelled()))
    assert {"aux_0.loss_ce", "aux_1.loss_ce"} <= names


def test_one_channel_for_two_classes_is_a_sigmoid_with_its_threshold(tiny_model):
    options = {**tiny_model["decode_head"], "num_classes": 2, "out_channels": 1, "threshold": 0.7}
    head = MODELS.build(options)
    torch.nn.init.normal_(head.conv_seg.weight)
    assert isinstance(head, LightHamHead) and head.conv_seg.weight.shape[0] == 1
    x = torch.randn(2, head.conv_seg.in_channels, 8, 8)
    z = F.conv2d(x, head.conv_seg.weight, head.conv_seg.bias)[:, 0]
    labels = torch.randint(2, (2, 8, 8))
    loss = head.loss(head.conv_seg(x), labels)["loss_ce"]
    expected = F.binary_cross_entropy_with_logits(z, labels.float())
    torch.testing.assert_close(loss, expected)
    head.eval()
    assert torch.equal(head.cls_seg(x).argmax(1) == 1, z.sigmoid() > 0.7)


def test_a_hamburger_takes_the_arguments_of_there():
    there = {"MD_S": 1, "MD_R": 16, "train_steps": 6, "eval_steps": 7, "inv_t": 100}
    options = {"in_channels": [16, 24, 32], "channels": 32, "ham_channels": 32, "num_classes": 3}
    head = LightHamHead(**options, ham_kwargs={**there, "rand_init": True})
    assert head.hamburger.ham.rank == 16
    with pytest.raises(UserError, match="eval_steps=9: only 7 works here"):
        LightHamHead(**options, ham_kwargs={**there, "eval_steps": 9})


def test_logits_of_a_padded_image_become_a_result(tiny_model):
    model = MODELS.build(tiny_model)
    logits = torch.zeros(1, 3, 10, 12)
    logits[:, 1, :6, :8] = 1
    sample = SegDataSample(metainfo={"ori_shape": (12, 16), "img_padding_size": (0, 4, 0, 4)})
    (result,) = model.postprocess_result(logits, [sample])
    assert (result.pred_sem_seg.data == 1).all() and result.seg_logits.shape == (12, 16)
    with pytest.raises(UserError, match="give logits of two classes"):
        model.postprocess_result(logits[:, :1], [sample])


def test_images_keep_their_values_without_mean_and_std():
    image = torch.randint(256, (3, 4, 5), dtype=torch.uint8)
    data = {"inputs": [image], "data_samples": [SegDataSample()]}
    (found,) = SegDataPreProcessor(bgr_to_rgb=False)(data)["inputs"]
    assert torch.equal(found, image.float())
    with pytest.raises(UserError, match="give both mean and std"):
        SegDataPreProcessor(mean=[0, 0, 0])


def test_a_binary_config_of_1x_trains_without_a_change(tiny_model):
    loss = {"type": "CrossEntropyLoss", "use_sigmoid": True}
    head = {**tiny_model["decode_head"], "num_classes": 2, "out_channels": 1, "loss_decode": loss}
    model = MODELS.build(adapt_component({**tiny_model, "decode_head": head}, "model"))
    samples = labelled()
    for sample in samples:
        sample.gt_sem_seg.data %= 2
    assert model.loss(torch.rand(2, 3, 64, 64), samples)["decode.loss_ce"].isfinite()


def test_a_class_of_the_users_own_goes_before_one_of_the_same_name_here():
    registry = Registry("parts")
    own = registry.register_module(name="FCNHead")(CopiedLoss)
    offer(registry, FCNHead)
    assert registry.get("FCNHead") is own
