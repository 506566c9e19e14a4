"""The commands and the Python names of both generations, on a config of MMSegmentation 0.x."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from run_tool import call_tool, run

import mmseg.datasets
import mmseg.models
from mmseg.apis import (
    inference_model,
    inference_segmentor,
    init_model,
    init_segmentor,
    show_result_pyplot,
)
from mmseg.models import BACKBONES, HEADS, LOSSES, SEGMENTORS, build_segmentor
from mmseg.registry import DATASETS, METRICS, MODELS, TRANSFORMS

USER_MODULE = """
from mmseg.datasets import DATASETS, PIPELINES, CustomDataset
from mmseg.models.builder import BACKBONES
from mmseg.models import MSCAN


@BACKBONES.register_module()
class UserBackbone(MSCAN):
    pass


@PIPELINES.register_module()
class Invert:
    def __init__(self, top):
        self.top = top

    def __call__(self, results):
        results["img"] = self.top - results["img"]
        return results


@DATASETS.register_module()
class Fields(CustomDataset):
    CLASSES = ("field", "wood", "water")
    PALETTE = [[250, 180, 60], [0, 100, 0], [0, 0, 255]]

    def __init__(self, **kwargs):
        super().__init__(img_suffix=".png", seg_map_suffix=".png", **kwargs)
"""
CONFIG = """
custom_imports = dict(imports=["user_module"], allow_failed_imports=False)
norm = dict(mean=[120.0, 110.0, 100.0], std=[60.0, 50.0, 40.0], to_rgb=True)
model = dict(
    type="EncoderDecoder",
    backbone=dict(
        type="UserBackbone", embed_dims=[8, 16, 24, 32], depths=[1, 1, 1, 1],
        mlp_ratios=[8, 8, 4, 4],
    ),
    decode_head=dict(
        type="LightHamHead", in_channels=[16, 24, 32], in_index=[1, 2, 3], channels=32,
        ham_channels=32, ham_kwargs=dict(MD_R=4), num_classes=3,
        norm_cfg=dict(type="GN", num_groups=4),
    ),
    test_cfg=dict(mode="whole"),
)
train = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="Resize", img_scale=(64, 48)),
    dict(type="Invert", top=255),
    dict(type="Normalize", **norm),
    dict(type="Pad", size=(64, 64)),
    dict(type="DefaultFormatBundle"),
    dict(type="Collect", keys=["img", "gt_semantic_seg"]),
]
test = [
    dict(type="LoadImageFromFile"),
    dict(
        type="MultiScaleFlipAug", img_scale=(64, 48), flip=False,
        transforms=[
            dict(type="Resize", keep_ratio=True),
            dict(type="ResizeToMultiple", size_divisor=32),
            dict(type="Normalize", **norm),
            dict(type="ImageToTensor", keys=["img"]),
            dict(type="Collect", keys=["img"]),
        ],
    ),
]
files = dict(type="Fields", data_root="data", img_dir="images", ann_dir="masks")
data = dict(
    samples_per_gpu=2, workers_per_gpu=0,
    train=dict(pipeline=train, **files),
    val=dict(pipeline=test, **files),
    test=dict(pipeline=test, **files),
)
optimizer = dict(type="AdamW", lr=1e-3)
optimizer_config = dict()
lr_config = dict(policy="poly", by_epoch=False)
runner = dict(type="IterBasedRunner", max_iters=2)
checkpoint_config = dict(by_epoch=False, interval=1)
evaluation = dict(interval=2, metric="mIoU")
log_config = dict(interval=1, hooks=[dict(type="TextLoggerHook", by_epoch=False)])
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """Three images, a user's module, a config of 0.x and a run of two iterations."""
    folder = tmp_path_factory.mktemp("legacy")
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (folder / "data" / kind).mkdir(parents=True)
    for name in "abc":
        ids = np.kron(rng.integers(0, 3, (6, 8)), np.ones((8, 8))).astype(np.uint8)
        Image.fromarray(ids[..., None].repeat(3, 2) * 80).save(folder / f"data/images/{name}.png")
        Image.fromarray(ids).save(folder / f"data/masks/{name}.png")
    (folder / "user_module.py").write_text(USER_MODULE)
    (folder / "old.py").write_text(CONFIG)
    options = ("--work-dir", "work", "--seed", "3", "--gpu-id", "0")
    run(folder, "train.py", "old.py", *options, python_path=folder)
    return folder


@pytest.fixture
def call(project, user_module, capsys):
    """Run a tool in this process; what it prints, or the text of the error it ends with."""

    def call(tool: str, *args: str) -> str:
        return str(call_tool(tool, *args) or capsys.readouterr().out)

    return call


def test_a_run_of_an_old_config_stores_rank_and_normalisation(project):
    meta = torch.load(project / "work/iter_2.pth", weights_only=False)["meta"]
    assert meta["nmf_rank"] == 4
    assert meta["mean"] == [120.0, 110.0, 100.0]
    assert meta["seed"] == 3


def test_training_goes_on_by_the_old_flags(project):
    flags = ("--resume-from", "work/iter_1.pth", "--work-dir", "on", "--no-validate")
    output = run(project, "train.py", "old.py", *flags, python_path=project)
    assert "Iter(train) [2/2]" in output and "Iter(train) [1/2]" not in output


def test_weights_of_another_class_count_start_a_fine_tuning(call):
    flags = ("--load-from", "work/iter_2.pth", "--work-dir", "tuned", "--no-validate")
    options = ("--cfg-options", "model.decode_head.num_classes=5", "runner.max_iters=1")
    assert "--new-classes" in call("train.py", "old.py", *flags, *options)
    # Past the weights, the three classes of the data set do not fit.
    assert "set num_classes=3" in call("train.py", "old.py", *flags, "--new-classes", *options)


def test_testing_by_the_old_flags_writes_what_it_wrote(project):
    run(
        project,
        *("test.py", "old.py", "work/iter_2.pth", "--eval", "mIoU", "--work-dir", "tested"),
        *("--out", "predictions.pkl", "--show-dir", "shown", "--aug-test", "--gpu-id", "0"),
        *("--eval-options", "imgfile_prefix=ids", "--engine", "torch"),
        python_path=project,
    )
    with open(project / "predictions.pkl", "rb") as file:
        predictions = pickle.load(file)
    assert [ids.shape for ids in predictions] == [(48, 64)] * 3
    for name, ids in zip("abc", predictions, strict=True):
        assert np.array_equal(np.asarray(Image.open(project / f"ids/{name}.png")), ids)
        assert (project / f"shown/{name}.png").is_file()
    assert (project / "tested/eval_iter_2_tta.json").is_file()


def test_format_only_needs_no_folder(project):
    flags = ("--format-only", "--work-dir", "formatted", "--engine", "torch")
    run(project, "test.py", "old.py", "work/iter_2.pth", *flags, python_path=project)
    assert len(list((project / "formatted/format_results").glob("*.png"))) == 3


def test_another_rank_names_the_flag(call):
    options = ("--cfg-options", "model.decode_head.ham_kwargs.MD_R=8")
    command = ("test.py", "old.py", "work/iter_2.pth", "--work-dir", "ranked")
    assert "--nmf-rank 4" in call(*command, *options)


def test_the_migration_tool_prints_a_config_that_gives_itself(project, call):
    printed = call("print_config.py", "old.py", "--dialect")
    assert printed.startswith("# old.py is in the dialect of MMSegmentation 0.x")
    (project / "new.py").write_text(printed)
    again = call("print_config.py", "new.py", "--dialect")
    assert again.partition("\n")[2] == printed.partition("\n")[2]
    assert "mmengine" in again.partition("\n")[0]


def test_flops_of_an_old_config(project):
    flags = ("--shape", "64", "64")
    assert "MACs" in run(project, "get_flops.py", "old.py", *flags, python_path=project)


@pytest.fixture
def user_module(project, monkeypatch):
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(str(project))


def test_both_python_interfaces_give_the_same_prediction(project, user_module, tmp_path):
    image = str(project / "data/images/a.png")
    old = init_segmentor("old.py", "work/iter_2.pth", device="cpu")
    new = init_model("old.py", "work/iter_2.pth", device="cpu")
    (ids,) = inference_segmentor(old, image)
    sample = inference_model(new, image)
    assert np.array_equal(ids, sample.pred_sem_seg.data[0].numpy())
    pictures = [
        show_result_pyplot(old, image, [ids], show=False, out_file=tmp_path / "old.png"),
        show_result_pyplot(new, image, sample, opacity=0.5, show=False),
    ]
    assert np.array_equal(*pictures)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "old.png")), pictures[0])


def test_the_registries_of_both_generations_are_the_same():
    assert BACKBONES is HEADS is LOSSES is SEGMENTORS is MODELS
    assert mmseg.datasets.PIPELINES is TRANSFORMS
    assert mmseg.datasets.DATASETS is DATASETS
    assert METRICS.get("IoUMetric") is not None


def test_build_segmentor_takes_a_model_as_the_old_config_writes_it(tiny_model):
    old = {k: v for k, v in tiny_model.items() if k != "data_preprocessor"} | {"pretrained": None}
    old["backbone"] = {**old["backbone"], "norm_cfg": {"type": "SyncBN", "requires_grad": True}}
    model = build_segmentor(old, train_cfg={}, test_cfg={"mode": "whole"})
    assert model.state_dict().keys() == MODELS.build(tiny_model).state_dict().keys()
