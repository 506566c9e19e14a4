"""What our runner does otherwise than mmengine's: loaders and compilation."""

import os
import signal
from contextlib import suppress
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.structures import PixelData
from torch import nn
from torch.utils.data._utils.pin_memory import pin_memory

from mmseg import ops
from mmseg.engine import SegRunner, runner
from mmseg.engine.preemption import SIGNALS
from mmseg.errors import UserError
from mmseg.structures import SegDataSample

BY_HAND = "lr = 1  # half of it diverges\n"


@pytest.mark.parametrize("there_is_a_gpu", [False, True])
def test_loaders_pin_batches_where_there_is_a_gpu(monkeypatch, there_is_a_gpu):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there_is_a_gpu)
    monkeypatch.setattr(Runner, "build_dataloader", lambda config, seed: (config, seed))
    config, seed = SegRunner.build_dataloader({"num_workers": 2}, seed=3)
    assert config == {"num_workers": 2, "pin_memory": there_is_a_gpu}
    assert seed == 3
    config, _ = SegRunner.build_dataloader({"num_workers": 2, "pin_memory": False}, seed=3)
    assert config == {"num_workers": 2, "pin_memory": False}


def test_a_loader_without_workers_does_without_their_options(folder_config):
    options = {"persistent_workers": True, "prefetch_factor": 4, "timeout": 9}
    loader = SegRunner.build_dataloader(
        {
            "dataset": folder_config,
            "sampler": {"type": "DefaultSampler", "shuffle": False},
            "batch_size": 2,
            "num_workers": 0,
            **options,
        },
        seed=0,
    )
    assert len(loader) == 2


@pytest.mark.parametrize(("trains", "expected"), [({"batch_size": 1}, ["mine.py"]), (None, [])])
def test_a_training_writes_its_merged_config_and_a_test_none(tmp_path, trains, expected):
    dump_config(tmp_path / "mine.py", tmp_path / "work", trains)
    assert [path.name for path in (tmp_path / "work").iterdir()] == expected
    assert all((tmp_path / "work" / name).read_text() == "lr = 1\n" for name in expected)


def test_a_config_beside_its_checkpoints_stays_as_it_was_written(tmp_path):
    dump_config(tmp_path / "mine.py", tmp_path, {"batch_size": 1})
    assert (tmp_path / "mine.py").read_text() == BY_HAND


def dump_config(file, work_dir, train_dataloader):
    file.write_text(BY_HAND)
    work_dir.mkdir(exist_ok=True)
    own = SegRunner.__new__(SegRunner)
    own.cfg, own._work_dir = Config.fromfile(file), str(work_dir)
    own._train_dataloader = train_dataloader
    own.dump_config()


def test_images_and_labels_of_a_batch_are_pinned(monkeypatch):
    pinned = []

    def pin(tensor, *_):
        pinned.append(tensor)
        return tensor + 1

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    sample = SegDataSample(metainfo={"img_path": "a.jpg"})
    sample.gt_sem_seg = PixelData(data=torch.zeros(1, 2, 2))
    unlabelled = SegDataSample(metainfo={"img_path": "b.jpg"})
    batch = {"inputs": [torch.zeros(3, 2, 2)], "data_samples": [sample, unlabelled]}
    result = pin_memory(batch)
    assert len(pinned) == 2
    assert result["inputs"][0].eq(1).all()
    assert result["data_samples"][0].gt_sem_seg.data.eq(1).all()
    assert [s.img_path for s in result["data_samples"]] == ["a.jpg", "b.jpg"]
    assert "gt_sem_seg" not in result["data_samples"][1]


def test_a_training_that_fails_leaves_the_handlers_of_signals_as_they_were(monkeypatch, tmp_path):
    def fail(self):
        self.hook.before_run(self)
        raise UserError("an image is missing")

    def register(self, hook):
        self.hook = hook

    monkeypatch.setattr(Runner, "train", fail)
    monkeypatch.setattr(SegRunner, "register_hook", register)
    own = SegRunner.__new__(SegRunner)
    own._work_dir = str(tmp_path)
    before = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(UserError, match="missing"):
        own.train()
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.mark.parametrize("choice", [{}, {"compile": False}, {"compile": True}])
@pytest.mark.parametrize("parts", [1, 2])
def test_the_network_is_compiled_for_training_if_the_config_says_so(choice, parts, monkeypatch):
    compiled = []
    monkeypatch.setattr(
        runner, "compile_training", lambda model, accumulates: compiled.append((model, accumulates))
    )
    own = SimpleNamespace(
        cfg=choice,
        model="network",
        logger=SimpleNamespace(info=compiled.append),
        optim_wrapper=SimpleNamespace(_accumulative_counts=parts),
    )
    SegRunner._maybe_compile(own, "train_step")
    told = "the first iteration compiles the network: this takes minutes"
    assert compiled == ([("network", parts > 1), told] if choice.get("compile") else [])


def test_choices_that_do_not_exist_are_refused():
    with pytest.raises(UserError, match=r"compile=.*mode.*: True or False"):
        SegRunner._maybe_compile(SimpleNamespace(cfg={"compile": {"mode": "x"}}), "train_step")
    with pytest.raises(UserError, match="fast_ops='cuda': True, False or 'triton'"):
        ops.enable("cuda")
    assert ops.enabled()


@pytest.mark.parametrize("resumes", [False, True])
def test_a_resumed_run_has_its_own_classes_whatever_it_began_with(monkeypatch, resumes):
    asked = []
    monkeypatch.setattr(
        runner, "load_model_weights", lambda model, path, **options: asked.append(options) or {}
    )
    own = SegRunner.__new__(SegRunner)
    own.cfg, own.model, own._resume = {"load_cfg": {"new_classes": True}}, nn.Module(), resumes
    own._hooks = []
    with suppress(KeyError):  # the checkpoint is empty
        own.load_checkpoint("x.pth")
    assert asked == [{} if resumes else {"new_classes": True}]


@pytest.mark.parametrize("launcher", ["slurm", "mpi"])
def test_launchers_that_need_gpus_say_so(launcher, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    own = SegRunner.__new__(SegRunner)
    own._launcher, own._distributed = launcher, True
    with pytest.raises(UserError, match=f"--launcher {launcher}: needs GPUs"):
        own.setup_env({})


@pytest.mark.parametrize("deterministic", [False, True])
def test_products_of_matrices_are_deterministic_where_that_is_asked_for(monkeypatch, deterministic):
    monkeypatch.setattr(Runner, "set_randomness", lambda *_, **__: None)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    SegRunner.__new__(SegRunner).set_randomness(0, deterministic=deterministic)
    assert os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None) == (":4096:8" if deterministic else None)
