"""A config of MMSegmentation 0.x trains and tests as at its home, and the same as one of 1.x."""

import copy
import re

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS

from mmseg.compat.legacy import translate_legacy
from mmseg.config import load_config
from mmseg.datasets import build_dataset
from mmseg.errors import UserError
from mmseg.registry import MODELS

MEAN, STD = [120.0, 110.0, 100.0], [60.0, 50.0, 40.0]
LEGACY = """
norm_cfg = dict(type="SyncBN", requires_grad=True)
img_norm_cfg = dict(mean=[120.0, 110.0, 100.0], std=[60.0, 50.0, 40.0], to_rgb=True)
crop_size = (64, 64)
model = dict(
    type="EncoderDecoder",
    pretrained=None,
    backbone=dict(
        type="MSCAN", embed_dims=[8, 16, 24, 32], depths=[1, 1, 1, 1], mlp_ratios=[8, 8, 4, 4],
        norm_cfg=norm_cfg,
    ),
    decode_head=dict(
        type="LightHamHead", in_channels=[16, 24, 32], in_index=[1, 2, 3], channels=32,
        ham_channels=32, ham_kwargs=dict(MD_R=4), dropout_ratio=0.0, num_classes=3,
        norm_cfg=dict(type="GN", num_groups=4, requires_grad=True), align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="Resize", img_scale=(80, 48), ratio_range=(0.5, 2.0)),
    dict(type="RandomCrop", crop_size=crop_size, cat_max_ratio=0.75),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PhotoMetricDistortion"),
    dict(type="Normalize", **img_norm_cfg),
    dict(type="Pad", size=crop_size, pad_val=0, seg_pad_val=255),
    dict(type="DefaultFormatBundle"),
    dict(type="Collect", keys=["img", "gt_semantic_seg"]),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(
        type="MultiScaleFlipAug", img_scale=(100, 60), flip=False,
        transforms=[
            dict(type="Resize", keep_ratio=True),
            dict(type="ResizeToMultiple", size_divisor=32),
            dict(type="RandomFlip"),
            dict(type="Normalize", **img_norm_cfg),
            dict(type="ImageToTensor", keys=["img"]),
            dict(type="Collect", keys=["img"]),
        ],
    ),
]
data_set = dict(
    type="CustomDataset", data_root="DATA", img_dir="img_dir", ann_dir="ann_dir",
    classes=("field", "wood", "water"), palette=[(250, 180, 60), (0, 100, 0), (0, 0, 255)],
)
data = dict(
    samples_per_gpu=2,
    workers_per_gpu=0,
    train=dict(
        type="RepeatDataset", times=50, dataset=dict(pipeline=train_pipeline, **data_set)
    ),
    val=dict(pipeline=test_pipeline, **data_set),
    test=dict(pipeline=test_pipeline, **data_set),
)
optimizer = dict(
    type="AdamW", lr=1e-3, betas=(0.9, 0.999), weight_decay=0.01,
    paramwise_cfg=dict(
        custom_keys={"norm": dict(decay_mult=0.0), "head": dict(lr_mult=10.0)}
    ),
)
optimizer_config = dict()
lr_config = dict(
    policy="poly", warmup="linear", warmup_iters=15, warmup_ratio=1e-6, power=1.0, min_lr=0.0,
    by_epoch=False,
)
runner = dict(type="IterBasedRunner", max_iters=40)
checkpoint_config = dict(by_epoch=False, interval=20)
evaluation = dict(interval=20, metric="mIoU", pre_eval=True)
log_config = dict(interval=5, hooks=[dict(type="TextLoggerHook", by_epoch=False)])
dist_params = dict(backend="nccl")
log_level = "INFO"
load_from = None
resume_from = None
workflow = [("train", 1)]
cudnn_benchmark = True
find_unused_parameters = True
"""


@pytest.fixture
def path(image_folder):
    file = image_folder / "old.py"
    file.write_text(LEGACY.replace("DATA", str(image_folder)))
    return file


@pytest.fixture
def config(path):
    return load_config(path)


def refusal(path, **overrides):
    with pytest.raises(UserError) as error:
        load_config(path, {key.replace("__", "."): value for key, value in overrides.items()})
    message = str(error.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


def test_every_section_lands_where_mmengine_reads_it(config):
    assert config.train_dataloader.batch_size == 2
    assert config.train_dataloader.dataset.type == "CustomDataset"
    assert config.train_dataloader.sampler.type == "InfiniteSampler"
    assert config.train_cfg == {"type": "IterBasedTrainLoop", "max_iters": 40, "val_interval": 20}
    assert config.val_evaluator == {"type": "IoUMetric", "iou_metrics": ["mIoU"]}
    assert config.default_hooks.checkpoint.interval == 20
    assert config.default_hooks.logger.interval == 5
    assert config.env_cfg.cudnn_benchmark is True
    assert config.find_unused_parameters is True
    assert config.sync_bn == "torch"
    assert "data" not in config and "lr_config" not in config


def test_the_dice_loss_of_0x_is_not_that_of_1x(path):
    loss = {"type": "DiceLoss", "smooth": 1, "exponent": 2, "loss_weight": 3.0}
    config = load_config(path, {"model.decode_head.loss_decode": [loss]})
    assert config.model.decode_head.loss_decode == [{**loss, "type": "ClassDiceLoss"}]


def test_the_translation_of_a_translation_is_refused_as_mixed(path):
    path.write_text(path.read_text() + "\ntrain_dataloader = dict(batch_size=2)\n")
    assert "'data' is a key of MMSegmentation 0.x" in refusal(path)


def legacy_rates(max_iters, warmup_iters, ratio, base, power=1.0):
    """What mmcv 1.x sets before each iteration: the poly rate, times the linear warm-up."""
    for i in range(max_iters):
        regular = base * (1 - i / max_iters) ** power
        factor = 1 - (1 - i / warmup_iters) * (1 - ratio) if i < warmup_iters else 1.0
        yield regular * factor


@pytest.mark.parametrize("power", [1.0, 0.9])
def test_learning_rate_is_that_of_mmcv_at_every_iteration(path, power):
    config = load_config(path, {"lr_config.power": power})
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([parameter], lr=1e-3)
    schedulers = [
        PARAM_SCHEDULERS.build({**cfg, "optimizer": optimizer}) for cfg in config.param_scheduler
    ]
    rates = []
    for _ in range(40):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    assert rates == pytest.approx(list(legacy_rates(40, 15, 1e-6, 1e-3, power)), rel=1e-9)


def test_optimiser_groups_follow_the_names_of_the_parameters(config):
    model = MODELS.build(config.model)
    wrapper = build_optim_wrapper(model, config.optim_wrapper)
    groups = {}
    for name, parameter in model.named_parameters():
        group = next(g for g in wrapper.param_groups if any(p is parameter for p in g["params"]))
        groups[name] = (group["lr"], group["weight_decay"])
    assert groups["decode_head.squeeze.gn.weight"] == (1e-2, 0.01)  # "head" wins over the norm
    assert groups["backbone.block1.0.norm1.weight"] == (1e-3, 0.0)
    assert groups["backbone.patch_embed1.proj.1.weight"] == (1e-3, 0.01)  # a norm not called so
    assert groups["backbone.block1.0.layer_scale_1"] == (1e-3, 0.01)


def test_the_test_pipeline_stretches_to_a_multiple_and_then_normalises(config):
    dataset = build_dataset(config.test_dataloader.dataset)
    sample = dataset[0]
    # 64x48 in (100, 60) is 80x60, and 96x64 in multiples of 32.
    assert sample["inputs"].shape == (3, 64, 96)
    assert sample["data_samples"].gt_sem_seg.shape == (48, 64)
    model = MODELS.build(config.model)
    raw = sample["inputs"].numpy()[::-1].astype(np.float32)
    (result,) = model.data_preprocessor(pseudo_collate([sample]))["inputs"]
    expected = (raw - np.reshape(MEAN, (3, 1, 1))) / np.reshape(STD, (3, 1, 1))
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-5)


def test_the_aligned_resize_of_segformer_is_a_resize_and_a_stretch(path, config):
    text = path.read_text()
    two = re.search(r'dict\(type="Resize", keep_ratio=True\),\s+dict\(type="ResizeToM.*', text)[0]
    path.write_text(text.replace(two, 'dict(type="AlignedResize", keep_ratio=True),'))
    assert load_config(path).test_dataloader == config.test_dataloader
    path.write_text(text.replace(two, 'dict(type="AlignedResize", size_divisor=8),'))
    sample = build_dataset(load_config(path).test_dataloader.dataset)[0]
    assert sample["inputs"].shape == (3, 64, 80)  # 80x60


def test_training_pads_after_normalising_with_the_mean_and_ignored_labels(config):
    config.train_dataloader.dataset.pipeline[2].ratio_range = (0.5, 0.5)
    dataset = build_dataset(config.train_dataloader.dataset)
    model = MODELS.build(config.model)
    batch = model.data_preprocessor(pseudo_collate([dataset[0], dataset[1]]), training=True)
    assert batch["inputs"].shape == (2, 3, 64, 64)
    # 64x48 in (40, 24) is 32x24.
    assert (batch["inputs"][:, :, 24:, :] == 0).all() and (batch["inputs"][..., 32:] == 0).all()
    labels = batch["data_samples"][0].gt_sem_seg.data
    assert (labels[:, 24:] == 255).all() and (labels[:, :24, :32] < 3).all()


def test_both_dialects_build_the_same_model(config, tiny_model):
    torch.manual_seed(0)
    ours = copy.deepcopy(tiny_model)
    ours["decode_head"]["norm_cfg"] = {"type": "GN", "num_groups": 4}
    old, new = MODELS.build(config.model).eval(), MODELS.build(ours).eval()
    new.load_state_dict(old.state_dict(), strict=True)
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(old(image), new(image))


def test_several_folders_become_several_data_sets(path, image_folder):
    folders = [image_folder / "ann_dir"] * 2
    config = load_config(
        path, {"data.train.dataset.ann_dir": [str(f) for f in folders], "runner.max_iters": 3}
    )
    assert config.train_dataloader.dataset.type == "ConcatDataset"
    assert len(build_dataset(config.train_dataloader.dataset)) == 8


def test_overrides_name_keys_as_written_or_as_translated(path):
    config = load_config(path, {"data.samples_per_gpu": 4, "train_cfg.val_interval": 7})
    assert config.train_dataloader.batch_size == 4
    assert config.train_cfg.val_interval == 7


@pytest.mark.parametrize(
    "overrides, parts",
    [
        ({"lr_config__policy": "Exp"}, ("lr_config.policy='Exp'", "poly")),
        ({"runner__type": "EpochBasedRunner"}, ("runner=", "IterBasedRunner")),
        ({"evaluation__by_epoch": True}, ("evaluation.by_epoch=True", "only False")),
        ({"evaluation__start": 5}, ("evaluation.start=5", "no counterpart")),
        ({"optimizer_config__detect_anomaly": True}, ("optimizer_config.detect_anomaly=True",)),
        ({"workflow": [("train", 1), ("val", 1)]}, ("workflow", "only [('train', 1)] works")),
        ({"model__neck": {"type": "FPN"}}, ("model.neck", "None")),
        ({"model__backbone__norm_cfg": {"type": "GN"}}, ("model.backbone.norm_cfg", "BN")),
        ({"model__decode_head__ham_kwargs__MD_S": 2}, ("ham_kwargs.MD_S=2", "1")),
        ({"model__backbone__type": "MSCA"}, ("model.backbone.type", "'MSCAN'")),
        ({"data__test__pipeline__1__flip": True}, ("MultiScaleFlipAug", "--aug-test")),
        ({"data__val__gt_seg_map_loader_cfg": {}}, ("gt_seg_map_loader_cfg",)),
    ],
)
def test_what_has_no_counterpart_is_named_with_its_replacement(path, overrides, parts):
    message = refusal(path, **overrides)
    for part in parts:
        assert part in message


def test_a_data_set_without_a_type_is_named(path):
    path.write_text(f"{path.read_text()}\ndata['test'] = dict(test_cases=[dict(data_set)])\n")
    assert "test_dataloader.dataset" in refusal(path)


def test_a_misspelt_key_of_the_old_dialect_names_the_right_one(path):
    path.write_text(path.read_text() + "\nlr_confg = dict()\n")
    assert "did you mean 'lr_config'" in refusal(path)


def test_zero_label_of_the_transform_must_agree_with_the_data_set(path):
    key = "data.train.dataset.pipeline.1.reduce_zero_label"
    config = load_config(path, {key: True, "data.train.dataset.reduce_zero_label": False})
    with pytest.raises(UserError, match="reduce_zero_label is True in one place"):
        build_dataset(config.train_dataloader.dataset)
    config = load_config(path, {key: True})
    assert build_dataset(config.train_dataloader.dataset).metainfo["reduce_zero_label"] is True


def test_the_config_that_was_given_stays_as_it_is(path):
    raw = Config.fromfile(path).to_dict()
    before = copy.deepcopy(raw)
    translate_legacy(raw)
    assert raw == before
