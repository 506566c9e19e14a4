"""cache_in_memory: what was decoded once is what training gets, in every worker."""

import multiprocessing
import re
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from mmseg.datasets import build_dataset, cache
from mmseg.errors import UserError
from mmseg.randomness import Draw

LOAD = [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations"}]
CROP = {"type": "RandomScaleCropFlip", "scale": (64, 48), "crop_size": (32, 32)}
STEPS = [
    {"type": "RandomResize", "scale": (64, 48), "ratio_range": (0.5, 2.0), "keep_ratio": True},
    {"type": "RandomCrop", "crop_size": (32, 32), "cat_max_ratio": 0.75},
    {"type": "RandomFlip", "prob": 0.5},
    {"type": "PhotoMetricDistortion"},
]
PACK = [{"type": "PackSegInputs"}]


@pytest.fixture
def config(folder_config):
    return {**folder_config, "pipeline": [*LOAD, CROP, *PACK]}


def drawn(dataset, seeds=range(12)):
    """Tensors of images and labels, of one sample per seed."""
    samples = [dataset[Draw(seed % len(dataset), seed)] for seed in seeds]
    return [(s["inputs"], s["data_samples"].gt_sem_seg.data) for s in samples]


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert all(map(torch.equal, one, other))


@pytest.mark.parametrize("steps", [[CROP], STEPS, []], ids=["one step", "three steps", "none"])
def test_samples_are_those_of_the_files_which_are_not_read_again(config, image_folder, steps):
    config["pipeline"] = [*LOAD, *steps, *PACK]
    expected = drawn(build_dataset(config))
    dataset = build_dataset({**config, "cache_in_memory": True})
    shutil.rmtree(image_folder)
    for _ in range(2):
        found = drawn(dataset)
        assert_same(found, expected)
        for tensor in (t for pair in found for t in pair):
            tensor.zero_()  # what was handed out is not what is kept


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_forked_and_spawned_workers_get_the_same_pixels(config, image_folder, start_method):
    dataset = build_dataset({**config, "cache_in_memory": True})
    expected = drawn(dataset, range(2))
    shutil.rmtree(image_folder)
    context = multiprocessing.get_context(start_method)
    loader = torch.utils.data.DataLoader(
        dataset,
        sampler=[Draw(seed, seed) for seed in range(2)],
        batch_size=None,
        num_workers=1,
        multiprocessing_context=context,
    )
    found = [(s["inputs"], s["data_samples"].gt_sem_seg.data) for s in loader]
    assert_same(found, expected)


def private_memory():
    """The bytes that this process has written, and so shares with no other."""
    text = Path("/proc/self/smaps_rollup").read_text()
    return int(re.search(r"Private_Dirty: *(\d+) kB", text)[1]) * 1024


def test_a_forked_worker_reads_all_pixels_without_a_copy_of_them(config, image_folder):
    for name in ("a", "b", "c", "d"):  # 16 MB
        Image.new("RGB", (1000, 1000), "green").save(image_folder / f"img_dir/{name}.jpg")
        Image.new("L", (1000, 1000), 1).save(image_folder / f"ann_dir/{name}.png")
    dataset = build_dataset({**config, "cache_in_memory": True})
    receiver, sender = multiprocessing.Pipe(duplex=False)

    def read():
        before = private_memory()
        for index in range(4):
            for array in dataset.cache.get(dataset.get_data_info(index)).values():
                array.max()
        sender.send(private_memory() - before)

    worker = multiprocessing.get_context("fork").Process(target=read)
    worker.start()
    assert receiver.poll(60) and receiver.recv() < 4e6
    worker.join()


def test_what_is_kept_cannot_be_changed(config):
    dataset = build_dataset({**config, "cache_in_memory": True})
    arrays = dataset.cache.get(dataset.get_data_info(0))
    assert set(arrays) == {"img", "gt_seg_map"}
    for array in arrays.values():
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 0
        with pytest.raises(ValueError, match="cannot set WRITEABLE"):
            array.flags.writeable = True


def test_subsets_and_data_sets_of_data_sets_keep_their_own_images(config, image_folder):
    part = {**config, "cache_in_memory": True, "subset": {"fraction": 0.5, "seed": 0}}
    listed = {**config, "cache_in_memory": True, "indices": [3, 1]}
    both = {"type": "ConcatDataset", "datasets": [part, {**listed, "subset": None}]}
    wrapped = {"type": "RepeatDataset", "dataset": both, "times": 2}
    without = [{**p, "cache_in_memory": False} for p in both["datasets"]]
    plain = {**wrapped, "dataset": {**both, "datasets": without}}
    expected = drawn(build_dataset(plain))
    dataset = build_dataset(wrapped)
    shutil.rmtree(image_folder)
    assert_same(drawn(dataset), expected)


def test_what_does_not_fit_is_refused_in_one_line(config, monkeypatch):
    monkeypatch.setattr(cache, "available_memory", lambda: 50_000)
    with pytest.raises(UserError, match=r"need 0\.0 GB and 0\.0 GB are available.*subset") as error:
        build_dataset({**config, "cache_in_memory": True})
    assert "\n" not in str(error.value)
    # Four images of 64x48 with their labels, in each of two processes of this machine.
    monkeypatch.setattr(cache, "available_memory", lambda: 4 * 64 * 48 * 4 * 1.2)
    build_dataset({**config, "cache_in_memory": True})
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(UserError, match="cache_in_memory=True"):
        build_dataset({**config, "cache_in_memory": True})


def test_available_memory_is_a_part_of_the_machine_s():
    with open("/proc/meminfo") as file:
        total = int(file.readline().split()[1]) * 1024
    assert total / 1000 < cache.available_memory() <= total


def test_a_bad_file_stops_the_start_or_stays_out(config, image_folder, log):
    path = image_folder / "img_dir/b.jpg"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(UserError, match=r"b\.jpg: the image is truncated"):
        build_dataset({**config, "cache_in_memory": True})
    skips = {"on_bad_sample": "skip", "max_bad_share": 0.25}
    dataset = build_dataset({**config, "cache_in_memory": True, **skips})
    assert "1 images are not kept in memory" in log.read()
    names = {dataset[Draw(1, seed)]["data_samples"].img_path[-5:] for seed in range(9)}
    assert names == {"a.jpg", "c.jpg", "d.jpg"}
    assert "b.jpg: the image is truncated" in log.read()
