"""Which sample comes when, from the seed alone, and how it is loaded."""

import random
from itertools import islice

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from torch.utils.data._utils.pin_memory import pin_memory

from mmseg.engine import StatelessSampler
from mmseg.engine.loaders import build_loader
from mmseg.randomness import Draw, Seeded, seed_all, seed_of
from mmseg.structures import SegDataSample


def draws(count, start=0, **kwargs):
    sampler = StatelessSampler(range(5), **{"seed": 3, **kwargs})
    sampler.skip(start)
    return list(islice(sampler, count))


def test_each_pass_has_every_sample_once_in_another_order():
    orders = [[draw.sample for draw in draws(15)][i : i + 5] for i in (0, 5, 10)]
    assert all(sorted(order) == [0, 1, 2, 3, 4] for order in orders)
    assert orders[0] != orders[1] != orders[2]


def test_a_stream_that_begins_anywhere_goes_on_as_one_that_ran_through():
    assert draws(10, start=13) == draws(23)[13:]
    assert list(islice(StatelessSampler(range(5), seed=3), 23)) == draws(23)


def test_the_draws_of_two_processes_together_are_those_of_one(monkeypatch):
    streams = []
    for rank in (0, 1):
        monkeypatch.setattr("mmseg.engine.loaders.get_dist_info", lambda rank=rank: (rank, 2))
        streams.append(draws(6))
    monkeypatch.undo()
    assert [draw for pair in zip(*streams, strict=True) for draw in pair] == draws(12)


def test_draws_have_seeds_of_their_own_and_another_seed_gives_others():
    assert len({draw.seed for draw in draws(50)}) == 50
    assert not {draw.seed for draw in draws(50)} & {draw.seed for draw in draws(50, seed=4)}


def test_a_seed_is_the_same_in_every_process_of_every_day():
    assert seed_of(0, "sample", 7) == 4074231479723851838


class Noise(list):
    def __getitem__(self, index):
        return index, random.random(), np.random.random(), float(torch.rand(()))


class SeededNoise(Seeded, Noise):
    """A data set whose samples are random in all three ways."""


def test_a_sample_depends_on_its_draw_and_on_nothing_before_it():
    seed_all(1)
    first = SeededNoise()[Draw(2, 99)]
    seed_all(2)
    assert SeededNoise()[Draw(2, 99)] == first
    assert SeededNoise()[Draw(2, 98)] != first
    assert first[0] == 2


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("there_is_a_gpu", [False, True])
@pytest.mark.parametrize("given", [{}, {"pin_memory": False}])
def test_loaders_pin_batches_for_a_gpu_and_without_workers_do_without_their_options(
    monkeypatch, folder_config, workers, there_is_a_gpu, given
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there_is_a_gpu)
    given = {"num_workers": workers, "persistent_workers": True, "prefetch_factor": 4, **given}
    sampler = {"type": "DefaultSampler", "shuffle": False}
    loader = build_loader({"dataset": folder_config, "sampler": sampler, "timeout": 9, **given})
    assert loader.pin_memory == (there_is_a_gpu and "pin_memory" not in given)
    assert (loader.timeout, loader.prefetch_factor) == ((9, 4) if workers else (0, None))


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
