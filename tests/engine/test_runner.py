"""What our runner does otherwise than mmengine's, around any network."""

import functools
import gc
import os
import signal
import weakref
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from tiny_project import write_project
from tiny_runner import build_runner

from mmseg.checkpoints.files import read_checkpoint
from mmseg.config import load_config
from mmseg.engine import SegRunner, resume, runner
from mmseg.engine.compile import FuseHook
from mmseg.engine.preemption import SIGNALS
from mmseg.engine.prepare import check_complete, prepare_process
from mmseg.errors import UserError
from mmseg.inference import fuse

TINY = Path(__file__).parents[2] / "local_configs/segnext/tiny/segnext.tiny.512x512.ade.160k.py"


def tiny_config(folder, trains):
    """The config of a run in `folder`, with or without what only a training needs."""
    write_project(folder)
    config = load_config(folder / "tiny.py")
    config.work_dir = str(folder / "work")
    if not trains:
        for key in ("train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler"):
            config.pop(key)
    return config


@pytest.mark.parametrize(("trains", "expected"), [(True, ["tiny.py"]), (False, [])])
def test_a_training_writes_its_merged_config_and_a_test_none(tmp_path, trains, expected):
    config = tiny_config(tmp_path, trains)
    SegRunner.from_cfg(config)
    found = [*(tmp_path / "work").glob("*.py")]
    assert [path.name for path in found] == expected
    assert all(Config.fromfile(path).model == config.model for path in found)


def test_a_tracker_without_its_package_is_one_line(tmp_path):
    write_project(tmp_path)
    config = load_config(tmp_path / "tiny.py", {"work_dir": str(tmp_path / "work")})
    config.visualizer = {"type": "Visualizer", "vis_backends": [{"type": "AimVisBackend"}]}
    config.experiment_name = "aim"  # of a run in the same second the visualizer would be taken
    with pytest.raises(UserError, match=r"tiny\.py: a part needs a package .*pip install aim"):
        SegRunner.from_cfg(config)


def test_a_config_beside_its_checkpoints_stays_as_it_was_written(tmp_path):
    write_project(tmp_path)
    written = (tmp_path / "tiny.py").read_text()
    build_runner(tmp_path, work_dir=str(tmp_path))
    assert (tmp_path / "tiny.py").read_text() == written


def test_where_a_run_goes_on_from_is_not_in_its_config(tmp_path):
    build_runner(tmp_path).train()
    build_runner(tmp_path, resume_from_work_dir=True)
    written = Config.fromfile(tmp_path / "work/tiny.py")
    assert "load_from" not in written and "resume" not in written


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, {"type": "MMDistributedDataParallel", "device_ids": None}),
        ({"broadcast_buffers": True}, {"broadcast_buffers": True, "device_ids": None}),
        ({"type": "MMFullyShardedDataParallel"}, {"type": "MMFullyShardedDataParallel"}),
    ],
)
def test_a_wrapper_of_another_type_gets_its_own_arguments_alone(tmp_path, given, expected):
    found = dict(build_runner(tmp_path, model_wrapper_cfg=given).cfg.model_wrapper_cfg)
    assert found.items() >= expected.items()
    assert (set(found) == {"type"}) == ("Sharded" in str(given))


class Fail(Hook):
    def before_train(self, runner):
        raise UserError("an image is missing")


def test_a_training_that_fails_leaves_the_handlers_of_signals_as_they_were(tmp_path):
    own = build_runner(tmp_path)
    own.register_hook(Fail())
    before = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(UserError, match="missing"):
        own.train()
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.mark.parametrize("choice", [{}, {"compile": False}, {"compile": True}])
@pytest.mark.parametrize("parts", [1, 2])
def test_the_network_is_compiled_for_training_if_the_config_says_so(
    choice, parts, monkeypatch, tmp_path
):
    compiled = []
    monkeypatch.setattr(
        runner,
        "compile_network",
        lambda model, trains, accumulates: compiled.append((model, accumulates)),
    )
    own = build_runner(tmp_path, **choice, **{"train_cfg.accumulate": parts})
    own.train()
    assert compiled == ([(own.model, parts > 1)] if choice.get("compile") else [])


def test_a_choice_of_compilation_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"compile\.mode=.x.: give True or False"):
        build_runner(tmp_path, compile={"mode": "x"})


@pytest.mark.parametrize("resumes", [False, True])
def test_a_resumed_run_has_its_own_classes_whatever_it_began_with(monkeypatch, resumes, tmp_path):
    build_runner(tmp_path).train()
    asked = []
    for module in (resume, runner):
        monkeypatch.setattr(module, "load_model_weights", lambda *_, **given: asked.append(given))
    start = {"load_from": str(tmp_path / "work/latest.pth"), "load_cfg.new_classes": True}
    build_runner(tmp_path, resume=resumes, **start).train()
    (options,) = asked
    assert options.get("new_classes", False) != resumes


def test_a_run_without_a_seed_goes_on_with_that_of_its_checkpoint(tmp_path):
    first = build_runner(tmp_path, **{"randomness.seed": None})
    first.train()
    second = build_runner(tmp_path, **{"randomness.seed": None, "resume_from_work_dir": True})
    assert first.seed != second.seed
    second.train()
    assert first.seed == second.seed == second.train_dataloader.sampler.seed


def test_the_text_of_a_config_in_a_checkpoint_is_never_run(tmp_path):
    build_runner(tmp_path).train()
    checkpoint = read_checkpoint(tmp_path / "work/latest.pth")
    checkpoint["meta"]["config"] = f"import os\nos.mkdir({str(tmp_path / 'ran')!r})\n"
    torch.save(checkpoint, tmp_path / "x.pth")
    own = build_runner(tmp_path, resume=True, load_from=str(tmp_path / "x.pth"))
    own.train()
    assert own.iter == 4
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("train_cfg", "has no train_cfg"),
        ("train_dataloader", "has no train_dataloader"),
        ("val_evaluator", "has no val_evaluator"),
        ("model", "has no model"),
        ("model.backbone", "model has no 'backbone'"),
        ("model.data_preprocessor", "model has no 'data_preprocessor'"),
        ("train_dataloader.sampler", "train_dataloader has no 'sampler'"),
    ],
)
def test_what_a_run_cannot_do_without_is_named(missing, message):
    config = load_config(TINY)
    check_complete(config)
    *sections, key = missing.split(".")
    functools.reduce(getattr, sections, config._cfg_dict).pop(key)
    with pytest.raises(UserError, match=message):
        check_complete(config)


@pytest.mark.parametrize("launcher", ["slurm", "mpi"])
def test_launchers_that_need_gpus_say_so(launcher, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=f"--launcher {launcher}: needs GPUs"):
        prepare_process(Config({"launcher": launcher}))


@pytest.mark.parametrize("deterministic", [False, True])
def test_products_of_matrices_are_deterministic_where_that_is_asked_for(monkeypatch, deterministic):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    prepare_process(Config({"randomness": {"deterministic": deterministic}}))
    assert os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None) == (":4096:8" if deterministic else None)


class Seen(Hook):
    """Keeps the models that computed images, and those that other hooks see at the end."""

    priority = "LOWEST"

    def __init__(self):
        self.computed, self.ended, self.fails = [], [], False

    def after_val_iter(self, runner, *args, **kwargs):
        self.computed.append(runner.model)
        if self.fails:
            raise KeyboardInterrupt

    def after_val_epoch(self, runner, metrics=None):
        self.ended.append(runner.model)


@pytest.mark.parametrize("compiles", [False, True])
def test_a_validation_runs_one_fused_copy_and_gives_the_model_back(tmp_path, monkeypatch, compiles):
    monkeypatch.setattr(runner, "compile_network", lambda *_, **__: None)
    write_project(tmp_path)
    config = load_config(tmp_path / "tiny.py")
    config.work_dir, config.train_cfg.max_iters = str(tmp_path / "work"), 1
    config.compile = compiles
    own, seen = SegRunner.from_cfg(config), Seen()
    own.register_hook(seen)
    model = own.model
    own.train()
    assert len(seen.computed) == 5 and len({id(each) for each in seen.computed}) == 1
    assert (type(seen.computed[0].backbone) is type(fuse(model).backbone)) != compiles
    assert seen.ended == [model] and own.model is model
    for validate in (own.val, own.val_loop.run):  # the second one without the start of a run
        seen.fails = True
        with pytest.raises(KeyboardInterrupt):
            validate()
        seen.fails = False
        validate()
        assert own.model is model


@pytest.mark.parametrize("frees", [False, True])
def test_a_test_gives_the_model_back_or_frees_it_if_nobody_needs_it(tmp_path, monkeypatch, frees):
    monkeypatch.setattr(FuseHook, "frees_model", frees)
    own = SegRunner.from_cfg(tiny_config(tmp_path, trains=False))
    model = weakref.ref(own.model)
    scores = own.test()
    gc.collect()
    assert (model() is None) if frees else (model() is own.model)
    assert own.test() == scores
