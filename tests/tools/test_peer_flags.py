"""The flags of MMSegmentation's commands that the tools take."""

import sys

import pytest
from mmengine.config import Config

import test as test_tool
import train
from mmseg.errors import UserError


def parsed(tool, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["tool", *arguments])
    return tool.parse_args()


def test_resume_auto_is_resume_without_a_checkpoint(monkeypatch):
    found = []
    for flags in (["--resume", "auto"], ["--resume"], ["--auto-resume"]):
        config = Config({"randomness": {}})
        train.apply_flags(config, parsed(train, monkeypatch, "tiny.py", *flags))
        found.append(config.to_dict())
    assert found[0] == found[1] == found[2] and found[0]["resume_from_work_dir"] is True


def test_auto_scale_lr_is_switched_on_if_the_config_knows_its_batch(monkeypatch):
    args = parsed(train, monkeypatch, "tiny.py", "--auto-scale-lr")
    config = Config({"auto_scale_lr": {"base_batch_size": 16, "enable": False}})
    train.apply_flags(config, args)
    assert config.auto_scale_lr == {"base_batch_size": 16, "enable": True}
    with pytest.raises(UserError, match=r"auto_scale_lr=dict\(base_batch_size="):
        train.apply_flags(Config({}), args)


def test_results_are_gathered_by_the_gpus_if_asked(monkeypatch, tmp_path):
    config = Config({"work_dir": str(tmp_path), "test_evaluator": {"type": "IoUMetric"}})
    args = parsed(test_tool, monkeypatch, "tiny.py", "a.pth", "--gpu-collect")
    test_tool.apply_flags(config, args, {})
    assert config.test_evaluator[0].collect_device == "gpu"


def test_show_opens_a_window_with_and_without_a_folder(monkeypatch, tmp_path):
    metric = {"type": "IoUMetric"}
    for flags, folder in (([], None), (["--show-dir", str(tmp_path)], str(tmp_path))):
        args = ["tiny.py", "a.pth", "--show", "--wait-time", "0.5", *flags]
        config = Config({"work_dir": str(tmp_path), "test_evaluator": metric})
        test_tool.apply_flags(config, parsed(test_tool, monkeypatch, *args), {})
        (hook,) = config.custom_hooks
        assert (hook.show, hook.wait_time, hook.show_dir) == (True, 0.5, folder)
