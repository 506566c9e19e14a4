"""Runs that a program or a notebook starts, without the tools."""

import os
import signal
import threading

import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset
from mmengine.hooks import Hook
from tiny_project import write_project

from mmseg.config import load_config
from mmseg.datasets import BaseSegDataset
from mmseg.engine import SegRunner
from mmseg.engine.preemption import EXIT_CODE, SIGNALS
from mmseg.errors import UserError
from mmseg.registry import DATASETS

META = {"classes": ("ground", "roof", "tree"), "palette": [(0, 0, 0), (9, 0, 0), (0, 9, 0)]}


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Two iterations of a tiny network; what is written goes below `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    write_project(tmp_path)
    config = load_config(tmp_path / "tiny.py")
    config.randomness, config.train_cfg.max_iters = {"seed": 0}, 2
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # beside other tests, several would wait for each other
    yield config
    torch.set_num_threads(threads)


@pytest.fixture
def registered():
    """Register a class as a user's package does, for the test."""
    names = []

    def register(registry, cls):
        registry.register_module(module=cls)
        names.append((registry, cls.__name__))
        return cls.__name__

    yield register
    for registry, name in names:
        del registry._module_dict[name]


@pytest.fixture
def unvalidated(config):
    """The same without validation, in the work directory `work`."""
    config.val_dataloader = config.val_cfg = config.val_evaluator = None
    config.work_dir = "work"
    return config


def test_a_run_needs_no_work_directory_and_may_be_a_plain_dictionary(unvalidated, tmp_path):
    runner = SegRunner.from_cfg(unvalidated.to_dict())
    assert (runner.work_dir, runner.max_iters) == (str(tmp_path / "work"), 2)
    unvalidated.pop("work_dir")
    SegRunner.from_cfg(unvalidated).train()
    assert (tmp_path / "work_dirs/tiny/latest.pth").exists()
    assert unvalidated.get("work_dir") is None


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("loadfrom", "unknown key 'loadfrom'; did you mean 'load_from'"),
        ("train_cfg.maxiters", r"train_cfg\.maxiters; did you mean 'max_iters'"),
        ("model.decode_head.num_clases", r"num_clases; did you mean 'num_classes'"),
    ],
)
def test_keys_that_a_program_sets_are_checked(config, key, message):
    config.merge_from_dict({key: 1})
    with pytest.raises(UserError, match=message):
        SegRunner.from_cfg(config)


def test_a_validation_without_a_training_writes_no_checkpoint(config, tmp_path):
    config.work_dir = "work"
    metrics = SegRunner.from_cfg(config).val()
    assert 0 <= metrics["mIoU"] <= 100
    assert not list((tmp_path / "work").glob("*.pth"))


def test_a_training_in_a_thread_runs_without_signals(unvalidated):
    runner = SegRunner.from_cfg(unvalidated)
    before = [signal.getsignal(number) for number in SIGNALS]
    thread = threading.Thread(target=runner.train)
    thread.start()
    thread.join()
    assert os.path.exists("work/iter_2.pth")
    assert [signal.getsignal(number) for number in SIGNALS] == before


class Interrupt(Hook):
    def after_train_iter(self, runner, *args, **kwargs):
        if runner.iter == 0:
            os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupted_training_gives_signals_back_and_goes_on(unvalidated):
    before = [signal.getsignal(number) for number in SIGNALS]
    runner = SegRunner.from_cfg(unvalidated)
    runner.register_hook(Interrupt())
    with pytest.raises(SystemExit) as left:
        runner.train()
    assert left.value.code == EXIT_CODE
    assert [signal.getsignal(number) for number in SIGNALS] == before
    assert os.path.realpath("work/latest.pth").endswith("iter_1.pth")
    unvalidated.resume_from_work_dir = True
    SegRunner.from_cfg(unvalidated).train()
    assert os.path.realpath("work/latest.pth").endswith("iter_2.pth")


def test_a_schedule_without_an_end_is_not_stretched(unvalidated):
    config = unvalidated
    config.param_scheduler = [{"type": "ExponentialLR", "gamma": 0.9, "by_epoch": False}]
    SegRunner.from_cfg(config).train()
    config.resume_from_work_dir, config.train_cfg.max_iters = True, 4
    with pytest.raises(UserError, match=r"ends at iteration 2, since param_scheduler\[0\] has no"):
        SegRunner.from_cfg(config).train()


class OneX(BaseSegDataset):
    """Lists its samples as data sets of MMSegmentation 1.x do, with none of our keys."""

    METAINFO = META

    def load_data_list(self):
        folders = {key: self.data_prefix[key] for key in ("img_path", "seg_map_path")}
        return [
            {"seg_fields": [], **{key: f"{folder}/{i}.png" for key, folder in folders.items()}}
            for i in range(2)
        ]


class InMemory(BaseSegDataset):
    """Has no files at all."""

    METAINFO = META

    def load_data_list(self):
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (2, 48, 64, 3), dtype=np.uint8)
        labels = rng.integers(0, 3, (2, 48, 64), dtype=np.uint8)
        return [{"img": x, "gt_seg_map": y} for x, y in zip(images, labels, strict=True)]


class Foreign(BaseDataset):
    METAINFO = META

    def load_data_list(self):
        return [{"img_path": "x.png"}]


@pytest.mark.parametrize("kind", [OneX, InMemory])
def test_a_data_set_may_list_its_samples_itself(config, registered, kind):
    config.work_dir = "work"
    name = registered(DATASETS, kind)
    for loader in (config.train_dataloader, config.val_dataloader):
        loader.dataset.type = name
        loader.dataset.pop("metainfo")
    config.train_dataloader.dataset.cache_in_memory = True
    runner = SegRunner.from_cfg(config)
    runner.train()
    assert os.path.exists("work/iter_2.pth")
    assert runner.val_loop.evaluator.metrics[0].results == []
    assert len(runner.val_dataloader.dataset) == 2


class Spoil(Hook):
    def before_train_iter(self, runner, *args, **kwargs):
        torch.nn.init.constant_(runner.model.decode_head.conv_seg.bias, torch.nan)


def test_a_loss_that_is_nan_names_a_sample_without_a_file_by_its_number(unvalidated, registered):
    config = unvalidated
    config.train_dataloader.dataset.type = registered(DATASETS, InMemory)
    config.train_dataloader.dataset.pop("metainfo")
    runner = SegRunner.from_cfg(config)
    runner.register_hook(Spoil())
    with pytest.raises(UserError, match=r"not finite .*nonfinite_iter_1_.* images sample [01]"):
        runner.train()


def test_masks_without_files_are_counted_like_others(config, registered):
    dataset = {**config.train_dataloader.dataset, "type": registered(DATASETS, InMemory)}
    del dataset["metainfo"]
    built = DATASETS.build(dataset)
    assert built.get_seg_map(1).shape == (48, 64)
    assert built.get_cat_ids(1) == [0, 1, 2]


def test_a_data_set_of_another_family_is_refused(unvalidated, registered):
    unvalidated.train_dataloader.dataset = {"type": registered(DATASETS, Foreign), "pipeline": []}
    with pytest.raises(UserError, match="derive Foreign from BaseSegDataset"):
        SegRunner.from_cfg(unvalidated).train()


def test_an_optimiser_without_weight_decay_is_refused_where_it_is_multiplied(unvalidated):
    unvalidated.optim_wrapper.optimizer = {"type": "Adamax", "lr": 0.1}
    with pytest.raises(UserError, match=r"give optim_wrapper\.optimizer a weight_decay"):
        SegRunner.from_cfg(unvalidated).train()
