"""Keys that nothing would read are found before anything is built."""

from pathlib import Path

import pytest
from mmcv.transforms import BaseTransform

from mmseg.config import load_config
from mmseg.datasets import BaseSegDataset
from mmseg.errors import UserError
from mmseg.registry import DATASETS, TRANSFORMS

ADE = Path(__file__).parents[2] / "local_configs/segnext/tiny/segnext.tiny.512x512.ade.160k.py"
OUTDATED = {
    "data": "train_dataloader",
    "optimizer": "optim_wrapper",
    "lr_config": "param_scheduler",
    "runner": "train_cfg",
    "evaluation": "val_evaluator",
    "log_config": "default_hooks",
    "checkpoint_config": "default_hooks",
    "cudnn_benchmark": "env_cfg",
}


@pytest.fixture
def leaf(tmp_path):
    """Write a config that adds lines to a shipped one."""

    def write(lines):
        path = tmp_path / "leaf.py"
        path.write_text(f"_base_ = {str(ADE)!r}\n{lines}\n")
        return path

    return write


def refused(path):
    with pytest.raises(UserError) as error:
        load_config(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("key", OUTDATED)
def test_key_of_mmsegmentation_0_is_refused_with_its_successor(leaf, key):
    message = refused(leaf(f"{key} = dict()"))
    assert f"'{key}' is a key of MMSegmentation 0.x" in message
    assert OUTDATED[key] in message


@pytest.mark.parametrize(
    ("misspelt", "right"),
    [
        *(("param_schedulers", "param_scheduler"), ("train_dataloder", "train_dataloader")),
        *(("load_form", "load_from"), ("resmue", "resume")),  # swapped letters
    ],
)
def test_misspelt_top_level_key_names_the_right_one(leaf, misspelt, right):
    message = refused(leaf(f"{misspelt} = dict()"))
    assert f"unknown key {misspelt!r}; did you mean {right!r}?" in message


def test_variable_of_a_file_is_no_key(leaf):
    assert load_config(leaf("my_size = (3, 4)\ncrops = 5")).my_size == (3, 4)


@pytest.mark.parametrize(
    ("lines", "key", "near"),
    [
        ("env_cfg = dict(cudnn_benchmarks=True)", "env_cfg.cudnn_benchmarks", "cudnn_benchmark"),
        ("randomness = dict(seeds=3)", "randomness.seeds", "seed"),
        ("model = dict(backbone=dict(deepths=(1,)))", "model.backbone.deepths", "depths"),
        (
            "model = dict(decode_head=dict(num_class=3))",
            "model.decode_head.num_class",
            "num_classes",
        ),
        ("train_dataloader = dict(batchsize=2)", "train_dataloader.batchsize", "batch_size"),
        (
            "train_dataloader = dict(dataset=dict(reduce_zero_labels=True))",
            "train_dataloader.dataset.reduce_zero_labels",
            "reduce_zero_label",
        ),
        (
            "optim_wrapper = dict(optimizer=dict(weight_decays=0))",
            "optim_wrapper.optimizer.weight_decays",
            "weight_decay",
        ),
        (
            "default_hooks = dict(logger=dict(intervals=10))",
            "default_hooks.logger.intervals",
            "interval",
        ),
        (
            "val_evaluator = dict(iou_metric=['mIoU'])",
            "val_evaluator.iou_metric",
            "iou_metrics",
        ),
    ],
)
def test_misspelt_key_of_a_section_or_component_names_its_path_and_the_nearest(
    leaf, lines, key, near
):
    assert f"unknown key {key}; did you mean {near!r}?" in refused(leaf(lines))


def test_misspelt_key_of_a_transform_names_its_place_in_the_pipeline(leaf):
    message = refused(
        leaf(
            "pipeline = _base_.train_pipeline\n"
            "pipeline[3] = dict(type='RandomCrop', crop_size=(64, 64), cat_max_ration=0.75)\n"
            "train_dataloader = dict(dataset=dict(pipeline=pipeline))"
        )
    )
    assert "train_dataloader.dataset.pipeline[3].cat_max_ration" in message
    assert "did you mean 'cat_max_ratio'?" in message


def test_key_that_resembles_none_lists_the_known_ones(leaf):
    message = refused(leaf("model = dict(backbone=dict(zzz=1))"))
    assert "unknown key model.backbone.zzz; known: " in message
    assert "embed_dims" in message


def test_arguments_that_a_class_hands_to_its_base_are_known(leaf):
    lines = (
        "train_dataloader = dict(dataset=dict(indices=10))\n"
        "model = dict(decode_head=dict(align_corners=True))"
    )
    assert load_config(leaf(lines)).model.decode_head.align_corners is True


def test_a_training_may_count_in_epochs(leaf):
    epochs = 'dict(_delete_=True, type="EpochBasedTrainLoop", max_epochs={})'
    assert load_config(leaf(f"train_cfg = {epochs.format(2)}")).train_cfg.max_epochs == 2
    assert "train_cfg.max_epochs=0: give a" in refused(leaf(f"train_cfg = {epochs.format(0)}"))


def test_a_constructor_of_rates_by_layer_is_refused_with_the_way_out(leaf):
    message = refused(leaf("optim_wrapper = dict(constructor='LayerDecayOptimizerConstructor')"))
    assert "paramwise_cfg.custom_keys sets rates by layer" in message


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("LightHam", "; did you mean 'LightHamHead'?"),
        ("LightHamHed", "; did you mean 'LightHamHead'?"),
        ("FPNHead", ""),
    ],
)
def test_an_unknown_type_is_told_of_custom_imports_and_of_a_name_only_if_it_is_near(
    leaf, name, hint
):
    message = refused(leaf(f"model = dict(decode_head=dict(type={name!r}))"))
    assert f"model.decode_head.type = {name!r} is not known{hint}; a class of your own" in message


@pytest.mark.parametrize("key", ["out_dir", "filename_tmpl"])
def test_checkpoints_have_no_other_names_or_places(leaf, key):
    message = refused(leaf(f'default_hooks = dict(checkpoint=dict({key}="x"))'))
    assert f"unknown key default_hooks.checkpoint.{key}" in message


class Wrapper(BaseTransform):
    """Stands for one of another library, which has names of its own."""

    def __init__(self, transforms):
        self.transforms = transforms

    def transform(self, results):
        return results


class Fields(BaseSegDataset):
    """Stands for one of a user's package."""

    def __init__(self, farm=None, **kwargs):
        super().__init__(**kwargs)


def test_what_a_class_of_one_s_own_hands_to_its_base_is_checked(leaf):
    DATASETS.register_module(module=Fields)
    lines = (
        "train_dataloader = dict(dataset=dict(type='Fields', farm=dict(type='Dairy'),"
        " pipeline=[dict(type='LoadImageFromFiles')]))"
    )
    try:
        message = refused(leaf(lines))
        assert "pipeline[0].type = 'LoadImageFromFiles' is not known; did you mean" in message
        load_config(leaf(lines.replace("FromFiles", "FromFile")))
    finally:
        del DATASETS._module_dict["Fields"]


def test_names_inside_of_a_foreign_class_are_its_own(leaf):
    TRANSFORMS.register_module(module=Wrapper)
    inner = "[dict(type='HorizontalFlip', p=0.5), dict(type='RandomCrop', height=64)]"
    step = f"dict(type='Wrapper', transforms={inner})"
    lines = (
        "pipeline = [*_base_.train_pipeline]\n"
        f"pipeline[3] = {step}\n"
        "train_dataloader = dict(dataset=dict(pipeline=pipeline))"
    )
    try:
        load_config(leaf(lines))
        load_config(leaf(lines.replace("type='Wrapper'", "type='Albu'")))
        message = refused(leaf(lines.replace("type='Wrapper'", "type='Wraper'")))
        assert "pipeline[3].type = 'Wraper' is not known; did you mean 'Wrapper'?" in message
        message = refused(leaf(lines.replace("transforms=", "transform=")))
        assert "pipeline[3].transform; did you mean 'transforms'?" in message
    finally:
        del TRANSFORMS._module_dict["Wrapper"]
