"""What a loader does beside its config: pinned memory and options of workers."""

import pytest
import torch
from mmengine.structures import PixelData
from torch.utils.data._utils.pin_memory import pin_memory

from mmseg.engine.loaders import build_loader
from mmseg.structures import SegDataSample


@pytest.mark.parametrize("there_is_a_gpu", [False, True])
@pytest.mark.parametrize("given", [{}, {"pin_memory": False}])
def test_loaders_pin_batches_where_there_is_a_gpu(
    monkeypatch, folder_config, there_is_a_gpu, given
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there_is_a_gpu)
    sampler = {"type": "DefaultSampler", "shuffle": False}
    config = {"dataset": folder_config, "sampler": sampler, "num_workers": 2, **given}
    assert build_loader(config, seed=3).pin_memory == (there_is_a_gpu and not given)


def test_a_loader_without_workers_does_without_their_options(folder_config):
    options = {"persistent_workers": True, "prefetch_factor": 4, "timeout": 9}
    loader = build_loader(
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
