"""Configs that are objects, parts of configs, and configs that inherit MMSegmentation's."""

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from tiny_project import ROOT, write_project

from mmseg.apis import init_model
from mmseg.checkpoints.loading import PretrainedBackbone
from mmseg.compat.legacy.data import translate_dataset
from mmseg.config import load_config, translate_config
from mmseg.datasets import build_dataset
from mmseg.engine import SegRunner
from mmseg.errors import UserError
from mmseg.models import EncoderDecoder
from mmseg.peers.models import build_backbone, build_head, build_loss
from mmseg.registry import MODELS

# What MMSegmentation 1.x writes into every SegNeXt, and nothing here reads.
THERE = """
model.update(train_cfg=dict(), pretrained=None, auxiliary_head=None, neck=None)
model["test_cfg"] = dict(mode="whole", crop_size=(32, 32), stride=(16, 16))
model["backbone"].update(num_stages=4, act_cfg=dict(type="GELU"), norm_cfg=dict(type="SyncBN"))
model["decode_head"].update(input_transform="multiple_select", conv_cfg=None)
"""


@pytest.fixture
def raw(tmp_path) -> Config:
    """A config as mmengine reads it, in the dialect of 1.x."""
    write_project(tmp_path, THERE)
    return Config.fromfile(tmp_path / "tiny.py")


def test_a_model_is_built_of_a_config_object_that_stays_as_it_was(raw, tmp_path):
    before = raw.to_dict()
    model = init_model(raw, device="cpu", fused=False)
    assert raw.to_dict() == before
    of_file = init_model(tmp_path / "tiny.py", device="cpu", fused=False)
    assert str(model) == str(of_file) and model.cfg.to_dict() == of_file.cfg.to_dict()


def test_a_translated_config_stays_as_it_is(raw):
    once = translate_config(raw)
    assert translate_config(once).to_dict() == once.to_dict()
    leaf = load_config(ROOT / "local_configs/segnext/base/segnext.base.512x512.ade.160k.py")
    assert translate_config(leaf).to_dict() == leaf.to_dict()


def test_options_change_the_model_of_a_file_and_of_an_object(raw, tmp_path):
    options = {"model.decode_head.dropout_ratio": 0.5}
    for config in (raw, tmp_path / "tiny.py"):
        model = init_model(config, device="cpu", cfg_options=options, fused=False)
        assert model.decode_head.dropout.p == 0.5


def test_parts_of_the_model_are_built_as_they_are_written_there(raw):
    model = MODELS.build(raw.model)
    assert isinstance(model, EncoderDecoder) and model.test_cfg == {"mode": "whole"}
    assert str(build_backbone(raw.model.backbone)) == str(model.backbone)
    assert str(build_head(raw.model.decode_head)) == str(model.decode_head)
    loss = build_loss({"type": "CrossEntropyLoss", "use_sigmoid": False, "loss_weight": 0.4})
    assert loss.loss_weight == 0.4


def test_the_runner_takes_a_config_as_mmengine_reads_it(raw, tmp_path):
    raw.work_dir = str(tmp_path / "work")
    runner = SegRunner.from_cfg(raw)
    assert isinstance(runner.model, EncoderDecoder)


def test_a_runner_of_mmengine_takes_the_config_of_there(raw, tmp_path):
    raw.work_dir, raw.default_scope = str(tmp_path / "work"), "mmseg"
    assert isinstance(Runner.from_cfg(raw), SegRunner)
    raw.default_scope = "mmdet"  # as before, mmengine takes it as it is
    with pytest.raises(TypeError, match="unexpected keyword argument 'train_cfg'"):
        Runner.from_cfg(raw)


def test_a_data_set_of_0_x_is_built_of_its_section(image_folder):
    section = {"type": "CustomDataset", "data_root": str(image_folder), "img_dir": "img_dir"}
    section |= {"ann_dir": "ann_dir", "classes": ("field", "wood", "water"), "pipeline": []}
    dataset = build_dataset(section, {"test_mode": True})
    assert len(dataset) == 4 and dataset.test_mode


@pytest.mark.parametrize(("letter", "size"), [("t", "tiny"), ("b", "base")])
def test_an_inherited_config_of_there_is_ours_of_the_same_size(tmp_path, letter, size):
    name = f"segnext_mscan-{letter}_1xb16-adamw-160k_ade20k-512x512.py"
    (tmp_path / "mine.py").write_text(f"_base_ = 'mmseg::segnext/{name}'\n")
    ours = load_config(ROOT / f"local_configs/segnext/{size}/segnext.{size}.512x512.ade.160k.py")
    assert load_config(tmp_path / "mine.py").to_dict() == ours.to_dict()


def test_an_inherited_config_without_counterpart_is_named(tmp_path):
    (tmp_path / "mine.py").write_text("_base_ = 'mmseg::fcn/fcn_r50.py'\n")
    with pytest.raises(UserError, match=r"mine.py: _base_ = 'mmseg::fcn/fcn_r50.py' has no count"):
        load_config(tmp_path / "mine.py")


def test_weights_below_another_prefix_of_a_file_are_loaded(raw, tmp_path):
    model = build_backbone(raw.model.backbone)
    state = {f"encoder.{key}": value + 1 for key, value in model.state_dict().items()}
    torch.save({"state_dict": {**state, "head.weight": torch.zeros(1)}}, tmp_path / "other.pth")
    PretrainedBackbone(str(tmp_path / "other.pth"), prefix="encoder")(model)
    assert all(torch.equal(state[f"encoder.{k}"], v) for k, v in model.state_dict().items())


@pytest.mark.parametrize(
    ("ratios", "scale"), [(None, (64, 32)), ([1.5], (96, 48)), (0.5, (32, 16))]
)
def test_one_ratio_of_a_multi_scale_step_changes_the_size_of_the_test(ratios, scale):
    inner = [{"type": "Resize", "keep_ratio": True}, {"type": "RandomFlip"}]
    step = {"type": "MultiScaleFlipAug", "img_scale": (64, 32), "img_ratios": ratios}
    section = {"type": "CustomDataset", "pipeline": [{**step, "flip": False, "transforms": inner}]}
    (resize, _) = translate_dataset(section, True, {})["pipeline"]
    assert resize == {"type": "Resize", "scale": scale, "keep_ratio": True}


def test_an_optimizer_that_is_a_variable_is_no_key_of_0_x(tmp_path, log):
    write_project(tmp_path, "optimizer = dict(type='AdamW', lr=1e-3)\n")
    with (tmp_path / "tiny.py").open("a") as file:
        file.write("optim_wrapper = dict(optimizer=dict(optimizer, _delete_=True))\n")
    assert load_config(tmp_path / "tiny.py").optim_wrapper.optimizer.lr == 1e-3
    assert "has no effect" not in log.read()
    load_config(tmp_path / "tiny.py", {"optim_wrapper.optimizer.lr": 1e-4})
    assert "the variable 'optimizer' of the config has no effect" in log.read()


def test_a_config_that_was_written_by_a_multi_scale_test_is_read(tmp_path):
    write_project(tmp_path, THERE)
    merged = Config.fromfile(tmp_path / "tiny.py")
    merged.model = {"type": "SegTTAModel", "module": merged.model.to_dict()}
    merged.dump(tmp_path / "dumped.py")
    model = load_config(tmp_path / "dumped.py").model.module
    assert model.type == "EncoderDecoder" and model.get("auxiliary_head") is None
