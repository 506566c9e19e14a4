"""The config of a run: complete, a copy, and its text formatted once."""

import copy
import functools
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from yapf.yapflib import yapf_api

from mmseg.config import load_config
from mmseg.engine import SegRunner
from mmseg.engine.run_config import RunConfig, check_complete
from mmseg.errors import UserError

ADE = Path(__file__).parents[2] / "local_configs/segnext/tiny/segnext.tiny.512x512.ade.160k.py"

CONTENT = {"model": {"classes": ("field", "wood"), "width": 32}, "steps": [1, {"a": None}]}


@pytest.fixture
def formatted(monkeypatch) -> list[str]:
    """The texts that were formatted."""
    texts, original = [], yapf_api.FormatCode
    monkeypatch.setattr(
        yapf_api, "FormatCode", lambda text, **style: texts.append(text) or original(text, **style)
    )
    return texts


def test_the_text_is_that_of_mmengine_and_formatted_once(formatted):
    config = RunConfig(Config(copy.deepcopy(CONTENT)))
    text = config.pretty_text
    assert config.pretty_text == copy.deepcopy(config).pretty_text == text
    assert len(formatted) == 1
    assert text == Config(copy.deepcopy(CONTENT)).pretty_text


@pytest.mark.parametrize(
    "change",
    [
        lambda config: config.merge_from_dict({"model.width": 64}),
        lambda config: config.steps.append(2),
        lambda config: setattr(config, "added", {"key": 1}),
        lambda config: config.model.pop("classes"),
    ],
)
def test_a_changed_config_has_its_new_text(change):
    config = RunConfig(Config(copy.deepcopy(CONTENT)))
    assert config.pretty_text
    change(config)
    assert config.pretty_text == Config(config.to_dict()).pretty_text
    assert config.pretty_text != Config(copy.deepcopy(CONTENT)).pretty_text


def test_the_given_config_is_copied():
    given = Config(copy.deepcopy(CONTENT))
    config = RunConfig(given)
    config.model.width = 64
    assert given.model.width == 32


def test_a_run_has_such_a_config(tmp_path, monkeypatch):
    monkeypatch.setattr(Runner, "from_cfg", classmethod(lambda cls, config: config))
    config = SegRunner.from_cfg(Config({"work_dir": str(tmp_path), "model": "a network"}))
    assert isinstance(config, RunConfig) and config.work_dir == str(tmp_path)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("train_cfg", "has train_dataloader, but no train_cfg"),
        ("train_dataloader", "has train_cfg, but no train_dataloader"),
        ("val_evaluator", "has val_dataloader, but no val_evaluator"),
        ("model", "has no model"),
        ("model.backbone", "model has no 'backbone'"),
        ("model.data_preprocessor", "model has no 'data_preprocessor'"),
        ("train_dataloader.sampler", "train_dataloader has no 'sampler'"),
    ],
)
def test_what_a_run_cannot_do_without_is_named(missing, message):
    config = load_config(ADE)
    check_complete(config)
    *sections, key = missing.split(".")
    functools.reduce(getattr, sections, config._cfg_dict).pop(key)
    with pytest.raises(UserError, match=message):
        check_complete(config)
