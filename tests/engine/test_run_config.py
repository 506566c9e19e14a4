"""The config of a run is complete, or the lack is named."""

import functools
from pathlib import Path

import pytest

from mmseg.config import load_config
from mmseg.engine.prepare import check_complete
from mmseg.errors import UserError

ADE = Path(__file__).parents[2] / "local_configs/segnext/tiny/segnext.tiny.512x512.ade.160k.py"


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
