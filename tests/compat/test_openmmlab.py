"""A config of MMSegmentation 1.x is accepted as it is, and nothing in it is left out silently."""

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate

from mmseg.apis import init_model
from mmseg.config import load_config
from mmseg.config.changes import drop_masks, use_tta
from mmseg.datasets import build_dataset
from mmseg.errors import UserError
from mmseg.registry import HOOKS, MODELS

MODERN = """
crop_size = (64, 64)
data_preprocessor = dict(
    type="SegDataPreProcessor", mean=[120.0, 110.0, 100.0], std=[60.0, 50.0, 40.0],
    bgr_to_rgb=True, pad_val=0, seg_pad_val=255, size=crop_size, test_cfg=dict(size_divisor=32),
)
model = dict(
    type="EncoderDecoder",
    data_preprocessor=data_preprocessor,
    pretrained=None,
    backbone=dict(
        type="MSCAN", embed_dims=[8, 16, 24, 32], depths=[1, 1, 1, 1], mlp_ratios=[8, 8, 4, 4],
        attention_kernel_sizes=[5, [1, 7], [1, 11], [1, 21]],
        attention_kernel_paddings=[2, [0, 3], [0, 5], [0, 10]],
        act_cfg=dict(type="GELU"), norm_cfg=dict(type="BN", requires_grad=True),
    ),
    decode_head=dict(
        type="LightHamHead", in_channels=[16, 24, 32], in_index=[1, 2, 3], channels=32,
        ham_channels=32, dropout_ratio=0.0, num_classes=2,
        norm_cfg=dict(type="GN", num_groups=4, requires_grad=True), align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0),
        ham_kwargs=dict(
            MD_S=1, MD_R=4, train_steps=6, eval_steps=7, inv_t=100, rand_init=True
        ),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)
data_set = dict(
    type="BaseSegDataset", data_root="DATA",
    data_prefix=dict(img_path="img_dir", seg_map_path="ann_dir"),
    metainfo=dict(classes=("wood", "water"), palette=[(0, 100, 0), (0, 0, 255)]),
)
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(100, 60), keep_ratio=True),
    dict(type="LoadAnnotations", reduce_zero_label=True),
    dict(type="PackSegInputs"),
]
tta_pipeline = [
    dict(type="LoadImageFromFile", backend_args=None),
    dict(
        type="TestTimeAug",
        transforms=[
            [dict(type="Resize", scale_factor=r, keep_ratio=True) for r in (0.5, 1.0)],
            [
                dict(type="RandomFlip", prob=0.0, direction="horizontal"),
                dict(type="RandomFlip", prob=1.0, direction="horizontal"),
            ],
            [dict(type="LoadAnnotations")],
            [dict(type="PackSegInputs")],
        ],
    ),
]
val_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(pipeline=test_pipeline, **data_set),
)
test_dataloader = val_dataloader
train_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(pipeline=test_pipeline, **data_set),
)
val_evaluator = dict(type="IoUMetric", iou_metrics=["mIoU"])
test_evaluator = val_evaluator
optimizer = dict(type="SGD", lr=0.01, momentum=0.9, weight_decay=0.0005)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=6e-5))
default_hooks = dict(visualization=dict(type="SegVisualizationHook"))
vis_backends = [dict(type="LocalVisBackend")]
visualizer = dict(type="SegLocalVisualizer", vis_backends=vis_backends, name="visualizer")
tta_model = dict(type="SegTTAModel")
default_scope = "mmseg"
"""


@pytest.fixture
def path(image_folder):
    file = image_folder / "modern.py"
    file.write_text(MODERN.replace("DATA", str(image_folder)))
    return file


def test_the_zero_label_moves_to_the_data_set(path):
    config = load_config(path)
    for split in ("train", "val", "test"):
        dataset = build_dataset(config[f"{split}_dataloader"].dataset)
        assert dataset.metainfo["reduce_zero_label"] is True
    assert set(np.unique(dataset.get_seg_map(0))) == {0, 1, 255}


@pytest.mark.parametrize("change", [use_tta, lambda c: drop_masks(c.test_dataloader.dataset)])
def test_another_pipeline_keeps_what_is_said_of_the_zero_label(path, change):
    change(config := load_config(path))
    dataset = build_dataset(config.test_dataloader.dataset)
    assert dataset.metainfo["reduce_zero_label"] is True


def test_testing_pads_as_at_home_and_predicts_at_the_size_of_the_image(path):
    model = init_model(path, device="cpu")
    sample = build_dataset(model.cfg.test_dataloader.dataset)[0]
    assert sample["inputs"].shape == (3, 60, 80)
    data = pseudo_collate([sample])
    (image,) = model.data_preprocessor(pseudo_collate([sample]))["inputs"]
    assert image.shape == (3, 64, 96)
    assert (image[:, 60:] == 0).all() and (image[:, :, 80:] == 0).all()
    (result,) = model.test_step(data)
    with torch.no_grad():
        logits = model.full_logits(image[None])[:, :, :60, :80]  # the padding is cut off first
    expected = torch.nn.functional.interpolate(logits, (48, 64), mode="bilinear").argmax(1)
    assert torch.equal(result.pred_sem_seg.data, expected.to(torch.uint8))


def test_the_rank_of_a_config_without_one_is_the_default_of_the_sources(path):
    path.write_text(path.read_text() + '\nmodel["decode_head"].pop("ham_kwargs")\n')
    model = MODELS.build(load_config(path).model)
    assert model.decode_head.hamburger.ham.rank == 64


def test_the_hook_draws_nothing_and_the_visualizer_is_ours(path):
    config = load_config(path)
    assert not HOOKS.build(config.default_hooks.visualization).draw
    assert config.visualizer.type == "Visualizer"


@pytest.mark.parametrize(
    "line",
    [
        "model['train_cfg'] = dict(type='IterBasedTrainLoop', max_iters=9)",
        "visualizer.update(alpha=0.4, palette=[(0, 0, 0)], dataset_name='ade')",
        "model['decode_head']['ham_kwargs'].update(inv_t=3, MD_D=7)",
    ],
)
def test_arguments_that_nothing_reads_there_change_nothing_here(path, line):
    plain = load_config(path).to_dict()
    path.write_text(f"{path.read_text()}\n{line}\n")
    assert load_config(path).to_dict() == plain


def test_schedule_and_accumulation_of_mmengine_stay_as_they_are_written(path):
    schedule = [
        {"type": "LinearLR", "start_factor": 1e-6, "by_epoch": False, "begin": 0, "end": 1500},
        {"type": "PolyLR", "power": 1.0, "begin": 1500, "end": 160000, "by_epoch": False},
    ]
    lines = f"param_scheduler = {schedule}\noptim_wrapper['accumulative_counts'] = 4\n"
    path.write_text(path.read_text() + lines)
    config = load_config(path)
    assert config.param_scheduler == schedule and config.optim_wrapper.accumulative_counts == 4


def test_multi_scale_testing_follows_the_configs_own_pipeline(path):
    config = load_config(path)
    use_tta(config)
    data = build_dataset(config.test_dataloader.dataset)[0]
    assert [tuple(image.shape[1:]) for image in data["inputs"]] == [
        *((24, 32), (24, 32)),
        *((48, 64), (48, 64)),
    ]
    model = MODELS.build(config.model).eval()
    (result,) = model.test_step(pseudo_collate([data]))
    assert result.pred_sem_seg.data.shape == (1, 48, 64)


def test_a_pretrained_file_becomes_the_backbones(path):
    config = load_config(path, {"model.pretrained": "mscan_t.pth"})
    assert config.model.backbone.init_cfg == {"type": "Pretrained", "checkpoint": "mscan_t.pth"}


def test_loading_a_loaded_config_changes_nothing(path, tmp_path):
    once = load_config(path)
    once.dump(tmp_path / "again.py")
    assert load_config(tmp_path / "again.py").to_dict() == once.to_dict()


@pytest.mark.parametrize(
    "lines, parts",
    [
        ("lr_config = dict(policy='poly')", ("'lr_config'", "param_scheduler")),
        ("model['backbone']['act_cfg'] = dict(type='ReLU')", ("backbone.act_cfg", "GELU")),
        (
            "model['decode_head']['sampler'] = dict(type='OHEM')",
            ("decode_head.sampler", "only None works here; leave it out"),
        ),
        ("model['data_preprocessor']['pad_val'] = 9", ("data_preprocessor.pad_val=9", "0")),
        ("model['data_preprocessor'].pop('bgr_to_rgb')", ("bgr_to_rgb is missing", "False")),
        ("data_set['type'] = 'ADE20K'\nval_dataloader['dataset']['type'] = 'ADE20K'", ("ADE20K",)),
    ],
)
def test_another_value_is_refused_by_its_key(path, lines, parts):
    path.write_text(f"{path.read_text()}\n{lines}\n")
    with pytest.raises(UserError) as error:
        load_config(path)
    for part in (str(path), *parts):
        assert part in str(error.value)


@pytest.mark.parametrize(
    "line, expected",
    [
        ("", None),
        ("model['backbone']['norm_cfg'] = dict(type='SyncBN', requires_grad=True)", "torch"),
        ("model['backbone'].pop('norm_cfg')", "torch"),
    ],
)
def test_batch_norm_is_synchronised_where_it_is_at_home(path, line, expected):
    path.write_text(f"{path.read_text()}\n{line}\n")
    assert load_config(path).sync_bn == expected
