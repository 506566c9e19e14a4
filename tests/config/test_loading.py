"""Loading configs: overrides, and files that are none."""

import re
from pathlib import Path

import pytest
from mmengine.config import Config

from mmseg.config import load_config
from mmseg.config.loading import Typed, _meant
from mmseg.errors import UserError

TINY = Path(__file__).parents[2] / "local_configs/segnext/tiny"
ADE = TINY / "segnext.tiny.512x512.ade.160k.py"


def refused(path, overrides=None):
    with pytest.raises(UserError) as error:
        load_config(path, overrides)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_override_replaces_a_nested_value():
    config = load_config(ADE, {"train_dataloader.batch_size": 4, "model.backbone.with_cp": True})
    assert config.train_dataloader.batch_size == 4
    assert config.model.backbone.with_cp is True
    assert config.model.backbone.depths == (3, 3, 5, 2)


def test_override_reaches_into_a_list():
    config = load_config(ADE, {"train_dataloader.dataset.pipeline.2.cat_max_ratio": 0.5})
    assert config.train_dataloader.dataset.pipeline[2].cat_max_ratio == 0.5


@pytest.mark.parametrize("path", [TINY / "segnext.tiny.512x512.ade.16k.py", TINY / "x" / ADE.name])
def test_a_missing_config_names_the_nearest_one(path):
    assert refused(path) == f"{path}: no such config; did you mean {ADE.name!r}?"


def test_a_missing_config_without_a_near_one_suggests_nothing(tmp_path):
    assert refused(tmp_path / "nothing.py") == f"{tmp_path}/nothing.py: no such config"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("model = dict(\n    type='EncoderDecoder'\nmodel = 3\n", "SyntaxError"),
        ("batch_size = 16 / 0\n", "ZeroDivisionError"),
        ("exit(3)\n", "SystemExit: 3"),
        ("_base_ = './absent.py'\n", "FileNotFoundError"),
    ],
)
def test_a_file_that_is_no_config_is_one_line_with_the_cause(tmp_path, text, cause):
    path = tmp_path / "broken.py"
    path.write_text(text)
    assert refused(path).startswith(f"{path}: cannot be read as a config ({cause}")


@pytest.mark.parametrize("name", ["", "...", ".a", "x" * 1000])
def test_type_that_is_no_name_is_named_in_one_line(tmp_path, name):
    (tmp_path / "odd.py").write_text(f"model = dict(type={name!r})\n")
    with pytest.raises(UserError, match=r"odd\.py: model\.type = .* is not known") as error:
        load_config(tmp_path / "odd.py")
    assert len(str(error.value)) < 400


def test_loader_that_is_no_dict_is_named(tmp_path):
    (tmp_path / "odd.py").write_text("train_dataloader = 5\n")
    with pytest.raises(UserError, match=r"odd\.py: train_dataloader = 5 is no dict"):
        load_config(tmp_path / "odd.py")


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("optimizer.lr", "--cfg-options optimizer.lr: "),
        ("model.backbone.drop_path_ratio", "drop_path_ratio; did you mean 'drop_path_rate'?"),
        ("train_dataloader.batch_size.value", "--cfg-options"),  # below a value
        ("train_dataloader.dataset.pipeline.99.prob", "--cfg-options"),  # no such item
    ],
)
def test_an_override_of_what_is_not_there_is_refused(key, message):
    assert message in refused(ADE, {key: 0.1})


@pytest.mark.parametrize("key", ["max_iters", "crop_size", "train_pipeline.2.crop_size"])
def test_override_of_a_variable_that_is_used_up_is_refused(tmp_path, key):
    path = tmp_path / "own.py"
    path.write_text(
        f"_base_ = {str(ADE)!r}\nmax_iters = 5\ntrain_cfg = dict(max_iters=max_iters)\n"
    )
    message = refused(path, {key: 2})
    assert message.startswith(f"--cfg-options {key}: {key.split('.')[0]} is a variable of")


def test_override_may_name_what_the_file_leaves_out():
    assert load_config(ADE, {"load_from": "x.pth", "resume": True}).load_from == "x.pth"


def test_a_broken_module_of_custom_imports_says_what_it_lacks(tmp_path, monkeypatch):
    (tmp_path / "broken_extension.py").write_text("import nothing_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    imports = "dict(imports=['broken_extension'], allow_failed_imports=False)"
    (tmp_path / "mine.py").write_text(f"custom_imports = {imports}\n")
    with pytest.raises(UserError, match=r"\(ModuleNotFoundError: No module named 'nothing_there'"):
        load_config(tmp_path / "mine.py")


@pytest.mark.parametrize(
    ("value", "triton", "told"),
    [
        (True, False, "fast_ops=True is a key of an earlier version: .*triton_kernels=False"),
        (False, False, "fast_ops=False is a key of an earlier version: remove it"),
        ("triton", True, "fast_ops='triton' .*: remove it .*; triton_kernels=True is set"),
    ],
)
@pytest.mark.parametrize("in_file", [True, False])
def test_fast_ops_is_taken_out_with_one_line(tmp_path, log, value, triton, told, in_file):
    path = tmp_path / "old.py"
    added = f"fast_ops = {value!r}\n" if in_file else ""
    path.write_text(f"_base_ = {str(ADE)!r}\n{added}")
    config = load_config(path, None if in_file else {"fast_ops": value})
    assert "fast_ops" not in config
    assert config.get("triton_kernels", False) is triton
    (line,) = [line for line in log.read().splitlines() if "fast_ops" in line]
    assert re.search(told, line)


@pytest.mark.parametrize(
    ("key", "typed", "meant"),
    [
        ("test_dataloader.dataset.data_root", "/d/my data", "/d/my data"),
        ("test_dataloader.dataset.data_root", "a,b", "a,b"),
        ("test_dataloader.dataset.data_root", "2021", "2021"),
        ("test_dataloader.dataset.data_root", "'/d/my data'", "/d/my data"),
        ("test_dataloader.dataset.data_root", "None", None),
        ("test_dataloader.dataset.ann_file", "'my list, old.txt'", "my list, old.txt"),
        ("test_dataloader.dataset.ann_file", "my list.txt", "my list.txt"),
        ("test_dataloader.dataset.pipeline.0.imdecode_backend", "a b", "a b"),
        ("train_dataloader.batch_size", "4", 4),
        ("model.backbone.depths", "1,2,3,4", [1, 2, 3, 4]),
        ("model.backbone.with_cp", "True", True),
        ("model.backbone.init_cfg", "None", None),
        ("work_dir", "2021", "2021"),
        ("load_from", "a,b.pth", "a,b.pth"),
    ],
)
def test_a_typed_override_is_a_text_where_the_key_holds_one(key, typed, meant):
    assert _meant(key, Typed(typed), Config.fromfile(ADE)) == meant


def test_a_typed_override_that_cannot_be_read_is_named():
    for typed in ("[dict(type='PolyLR',power=1.0)]", "[1,2", "((1)"):
        with pytest.raises(UserError, match=r"--cfg-options param_scheduler=.*: no number"):
            load_config(ADE, {"param_scheduler": Typed(typed)})
