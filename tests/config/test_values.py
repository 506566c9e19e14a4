"""Numbers that are none, or out of their range, are refused by their key."""

from pathlib import Path

import pytest

from mmseg.config import load_config
from mmseg.datasets import build_dataset
from mmseg.errors import UserError
from mmseg.registry import MODELS

TINY = Path(__file__).parents[2] / "local_configs/segnext/tiny/segnext.tiny.512x512.ade.160k.py"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("train_dataloader.batch_size", 0, "=0: give a whole number from 1"),
        ("val_dataloader.batch_size", "four", "='four': give a whole number from 1"),
        ("test_dataloader.num_workers", -1, "=-1: give a whole number from 0"),
        ("train_cfg.max_iters", 2.5, "=2.5: give a whole number from 1"),
        ("train_cfg.val_interval", 0, "=0: give a whole number from 1"),
        ("optim_wrapper.optimizer.lr", "6e-5", "='6e-5': give a number from 0"),
        ("optim_wrapper.optimizer.lr", float("nan"), "=nan: give a number from 0"),
        ("triton_kernels", "cuda", "='cuda': give True or False"),
        ("randomness.seed", -1, "=-1: give a whole number from 0 to 2**32 - 1"),
        ("default_hooks.checkpoint.interval", 0, "=0: give a whole number from 1, or -1"),
        ("default_hooks.logger.interval", True, "=True: give a whole number from 1"),
        ("model.data_preprocessor.mean", [1, "2"], "=[1, '2']: give a number for each band"),
        ("model.data_preprocessor.std", [1, 1, 0], "=[1, 1, 0]: give a number above 0 for each"),
        ("model.data_preprocessor.std", [1, float("nan"), 1], "give a number above 0 for each"),
        ("model.data_preprocessor.mean", [float("inf"), 1, 1], "give a number for each band"),
        ("model.decode_head.dropout_ratio", 1, "=1: give a number from 0 to below 1"),
        ("model.decode_head.ham_kwargs.MD_R", 0, "=0: give a whole number from 1"),
        ("model.decode_head.loss_decode.loss_weight", "x", "='x': give a number from 0"),
        ("model.decode_head.loss_decode.class_weight", [0] * 150, "give numbers from 0, not all"),
        ("model.backbone.depths", [3, 3], "=[3, 3]: give four whole numbers from 1"),
        (
            "model.backbone.in_channels",
            4,
            " is for 4 bands, train_dataloader.dataset.metainfo.bands for 3",
        ),
        ("model.backbone.in_channels", "3", "='3': give a whole number from 1"),
        ("default_hooks.checkpoint.max_keep_ckpts", 0, "=0: give a whole number from 1, or -1"),
        ("model.backbone.embed_dims", 32, "=32: give four whole numbers from 1"),
        ("model.backbone.drop_path_rate", 2, "=2: give a number from 0 to below 1"),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_its_key(key, value, message):
    with pytest.raises(UserError) as caught:
        load_config(TINY, {key: value})
    assert str(caught.value).startswith(f"{TINY}: {key}")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "meant"),
    [
        ("train_dataloader.batch_size", 4.0, 4),
        ("val_dataloader.num_workers", 1e1, 10),
        ("randomness.seed", 1.0, 1),
        ("default_hooks.logger.interval", 5.0, 5),
        ("model.decode_head.ham_kwargs.MD_R", 4.0, 4),
        ("model.backbone.depths", [1.0, 2.0, 3.0, 4.0], [1, 2, 3, 4]),
        ("train_cfg.max_iters", 1e5, 100_000),
        ("optim_wrapper.optimizer.lr", 1.0, 1.0),
    ],
)
def test_a_float_without_a_fraction_is_a_whole_number_where_one_is_meant(key, value, meant):
    found = load_config(TINY, {key: value})
    for name in key.split("."):
        found = found[name]
    assert repr(found) == repr(meant)


@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [
        ("model.data_preprocessor.size", 32, r"tuple\[int, int\] | None"),
        ("model.data_preprocessor.size", [32, 32, 32], "tuple"),
        ("train_dataloader.dataset.img_suffix", [".png", ".jpg"], "str"),
        ("train_dataloader.dataset.cache_in_memory", 1, "bool"),
        ("train_dataloader.dataset.pipeline.2.cat_max_ratio", "1", "float"),
        ("train_dataloader.dataset.pipeline.2.scale", 512, "tuple"),
        ("train_dataloader.dataset.ann_file", ["a.txt", "b.txt"], "Optional|Union|str"),
        ("val_evaluator.iou_metrics", "mIoU", r"Sequence\[str\]"),
        ("train_dataloader.dataset.max_bad_share", None, "float"),
    ],
)
def test_an_argument_of_another_kind_is_refused_by_its_key(key, value, kind):
    key_of_error = key.replace(".2.", r"[2].").replace("[", r"\[").replace("]", r"\]")
    with pytest.raises(UserError, match=f"{key_of_error}=.*: give a value of type {kind}"):
        load_config(TINY, {key: value})


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (
            {"img_suffix": (".png", ".jpg")},
            "BaseSegDataset.img_suffix=.*: give a value of type str",
        ),
        (
            {"metainfo": {"classes": ("water"), "palette": [(0, 0, 0)] * 5}},
            r"metainfo.classes='water': give a tuple or list of texts",
        ),
    ],
)
def test_a_wrong_kind_is_refused_where_the_class_is_built(part, message):
    with pytest.raises(UserError, match=message):
        build_dataset({"type": "BaseSegDataset", "data_prefix": {}, **part})


def test_the_head_ignores_no_class():
    with pytest.raises(UserError, match=r"ignore_index=0: the label of ignored pixels is 255"):
        MODELS.build({**load_config(TINY).model.decode_head, "ignore_index": 0})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("randomness.seed", None),
        ("train_cfg.max_iters", 1e5),
        ("default_hooks.checkpoint.interval", -1),
        ("model.decode_head.dropout_ratio", 0),
        ("model.decode_head.in_index", [-3, -2, -1]),
    ],
)
def test_values_at_the_edge_of_their_range_are_taken(key, value):
    load_config(TINY, {key: value})


def test_a_scale_may_be_a_list_as_in_json_and_on_the_command_line():
    config = load_config(TINY, {"test_dataloader.dataset.pipeline.1.scale": [256, 128]})
    assert config.test_dataloader.dataset.pipeline[1].scale == (256, 128)


def test_the_factor_of_a_resize_may_be_a_whole_number():
    step = {"type": "Resize", "scale_factor": 1, "keep_ratio": True}
    config = load_config(TINY, {"test_dataloader.dataset.pipeline.1": step})
    assert repr(config.test_dataloader.dataset.pipeline[1].scale_factor) == "1.0"


@pytest.mark.parametrize("path", sorted(TINY.parents[2].glob("timm/*.py")), ids=lambda p: p.stem)
def test_a_head_may_leave_its_maps_to_an_encoder_of_timm(path):
    head = load_config(path).model.decode_head
    assert head.in_index is None
    with pytest.raises(UserError, match="in_index=None: the encoder does not tell"):
        MODELS.build({**head, "in_channels": [32, 64, 160]})
