"""Images without masks that a mean teacher labels."""

import copy
import itertools
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from tiny_project import write_project

from mmseg.config import load_config
from mmseg.datasets.transforms import LoadUnlabelled
from mmseg.engine import SegRunner, SemiSupervisedHook
from mmseg.engine.loop import split_batch
from mmseg.engine.semi_supervised import interleaved, paste_classes
from mmseg.errors import UserError

NUMBERS = itertools.count()
MORE = {"data_prefix": {"img_path": "more/images", "seg_map_path": "more/masks"}}
NO_MASKS = {"data_prefix": {"img_path": "more/images"}}


def build(folder: Path, work: str, hook: dict, **changes) -> SegRunner:
    """Build a runner of the tiny project, whose data have the further folder `more`."""
    if not (folder / "tiny.py").exists():
        write_project(folder)
        shutil.copytree(folder / "data/val", folder / "data/more")
    config = load_config(folder / "tiny.py")
    config.custom_hooks = [{"type": "SemiSupervisedHook", **hook}]
    config.work_dir, config.log_level = str(folder / work), "WARNING"
    config.experiment_name = f"semi {next(NUMBERS)}"
    config.val_dataloader = config.val_cfg = config.val_evaluator = None
    config.default_hooks.checkpoint.interval = 2
    config.merge_from_dict(changes)
    return SegRunner.from_cfg(config)


def weights(folder: Path, work: str, hook: dict, **changes) -> dict:
    runner = build(folder, work, hook, **changes)
    runner.train()
    return runner.model.state_dict()


def same(first: dict, second: dict) -> bool:
    return all(torch.equal(second[name], value) for name, value in first.items())


def test_a_pixel_gets_the_class_of_the_average_where_that_is_sure(tmp_path):
    options = {"train_dataloader.batch_size": 1, "train_cfg.max_iters": 3}
    hook = {
        "dataset": MORE,
        "threshold": 0.4,
        "momentum": 0.5,
        "ema_type": "ExponentialMovingAverage",
    }
    runner = build(tmp_path, "work", hook, **options)
    runner.train()
    semi = next(each for each in runner.hooks if isinstance(each, SemiSupervisedHook))
    labelled, more = next(iter(runner.train_dataloader)), next(semi.batches)
    semi.batches = iter([copy.deepcopy(more)])
    labelled["labels"][:] = 255  # then nothing is pasted
    semi.before_train_iter(runner, 0, labelled)
    average = copy.deepcopy(runner.model)
    average.load_state_dict(
        {
            k.removeprefix("module."): v
            for k, v in semi.ema_model.state_dict().items()
            if k != "steps"
        }
    )
    assert not same(runner.model.state_dict(), average.state_dict())
    mean, std = (
        torch.tensor(v).view(3, 1, 1) for v in ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
    )
    image = ((more["inputs"].flip(1) - mean) / std).float()  # colours as they are
    with torch.no_grad():
        logits = average.eval()(image)[0].numpy()
    full = np.stack([cv2.resize(each, image.shape[3:1:-1]) for each in logits]).astype(np.float64)
    probability = np.exp(full) / np.exp(full).sum(0)
    best, found = probability.max(0), probability.argmax(0)
    means = np.array([best[found == k].mean() if (found == k).any() else 0 for k in range(3)])
    expected = np.where(best >= 0.4 * (means / means.max())[found], found, 255)
    assert (expected == 255).any() and (expected < 255).any()
    found = labelled["labels"][1, 0].numpy()
    assert (found == expected).mean() > 0.99  # OpenCV resizes with other rounding
    assert torch.equal(labelled["inputs"][1], more["inputs"][0])


def test_masks_of_the_images_without_masks_change_nothing(tmp_path):
    hook = {"dataset": MORE, "threshold": 0.34}
    first = weights(tmp_path, "a", hook)
    for i, path in enumerate((tmp_path / "data/more/masks").iterdir()):
        mask = np.asarray(Image.open(path))
        Image.fromarray((mask * 0 + i % 3).astype(np.uint8)).save(path)
    assert same(first, weights(tmp_path, "b", hook))
    assert same(first, weights(tmp_path, "c", {**hook, "dataset": NO_MASKS}))
    assert not same(first, weights(tmp_path, "d", {**hook, "threshold": 1.0}))


def test_a_folder_of_images_needs_no_masks_and_no_names_of_the_others(tmp_path):
    runner = build(tmp_path, "work", {"dataset": {"data_prefix": {"img_path": "own"}}})
    (tmp_path / "data/own").mkdir()
    for i, size in enumerate(((20, 20), (25, 90), (100, 100), (200, 30))):  # crops are 32x32
        pixels = np.random.default_rng(i).integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"data/own/{i}.png")  # names of masks too
    runner.train()
    semi = next(each for each in runner.hooks if isinstance(each, SemiSupervisedHook))
    assert all((next(semi.batches)["labels"] >= 254).all() for _ in range(3))
    assert not runner.message_hub.log_scalars.get("train/pseudo_accuracy")


def test_the_number_of_loader_workers_changes_nothing(tmp_path):
    hook = {"dataset": MORE, "threshold": 0.34}
    changes = ({"train_dataloader.num_workers": number} for number in (0, 1))
    assert same(*(weights(tmp_path, "work", hook, **each) for each in changes))


def test_steps_within_steps_leave_the_masks_of_the_others_unread(tmp_path):
    config = build(tmp_path, "work", {"dataset": NO_MASKS}).cfg
    steps = config.train_dataloader.dataset.pipeline
    steps[1] = {"type": "RandomApply", "transforms": [steps[1]], "prob": 1.0}
    hook = {"dataset": NO_MASKS, "threshold": 0.34}
    nested = weights(tmp_path, "a", hook, **{"train_dataloader.dataset.pipeline": steps})
    assert nested


def test_a_run_goes_on_in_the_same_bits(tmp_path):
    hook, number = {"dataset": MORE, "threshold": 0.34}, {"train_cfg.max_iters": 4}
    whole = weights(tmp_path, "whole", hook, **number)
    start = {"resume": True, "load_from": str(tmp_path / "whole/iter_2.pth")}
    assert same(whole, weights(tmp_path, "on", hook, **number, **start))


@pytest.mark.parametrize("rest", [False, True])
def test_by_default_the_images_are_those_that_the_subset_leaves_out(tmp_path, rest):
    subset = {"fraction": 0.5, "seed": 0, "rest": rest}
    runner = build(tmp_path, "work", {}, **{"train_dataloader.dataset.subset": subset})
    runner.train()
    semi = next(each for each in runner.hooks if isinstance(each, SemiSupervisedHook))
    semi.before_train(runner)
    runner.train_dataloader.batch_sampler.sampler.skip(0)
    seen = [
        {Path(s.img_path).name for b in itertools.islice(batches, 6) for s in b["data_samples"]}
        for batches in (iter(runner.train_dataloader), semi.batches)
    ]
    assert not seen[0] & seen[1]
    assert seen[0] | seen[1] == {f"{i}.png" for i in range(6)}


def test_half_of_the_classes_of_a_labelled_image_are_pasted_with_their_labels():
    labels = (
        torch.arange(4, dtype=torch.uint8)
        .repeat_interleave(8)
        .view(1, 1, 32, 1)
        .repeat(2, 1, 1, 24)
    )
    labels[1, :, 8:] = 255
    first = {"inputs": labels.repeat(1, 3, 1, 1) + 100, "labels": labels}
    images = torch.full((4, 3, 28, 32), 50, dtype=torch.uint8)
    second = {"inputs": images, "labels": torch.full((4, 1, 28, 32), 7, dtype=torch.uint8)}
    np.random.seed(0)
    paste_classes(first, second)
    chosen = []
    for i in range(4):
        found, image = second["labels"][i, 0], second["inputs"][i]
        chosen.append({*found.unique().tolist()} - {7})
        assert len(chosen[-1]) == (2, 1)[i % 2]  # of four classes, and of one
        expected = torch.full((28, 32), 7)
        for k in chosen[-1]:
            expected[:, :24][labels[i % 2, 0, :28] == k] = k
        assert torch.equal(found.long(), expected)
        assert torch.equal(
            image.long(), torch.where(expected == 7, 50, expected + 100).repeat(3, 1, 1)
        )
    assert chosen[0] != chosen[2]


def test_each_part_of_an_accumulated_batch_has_images_of_both_kinds():
    def batch(value: int, count: int, side: int) -> dict:
        maps = torch.full((count, 1, side, side), value, dtype=torch.uint8)
        return {
            "inputs": maps,
            "labels": maps,
            "sizes": [(side, side)] * count,
            "data_samples": [value] * count,
        }

    joined = interleaved(batch(1, 4, 8), batch(2, 4, 6))
    for part in split_batch(joined, 4):
        assert sorted(part["data_samples"]) == [1, 2]
    assert joined["inputs"].shape == (8, 1, 8, 8)
    assert all(
        (x == value).sum() == (64 if value == 1 else 36)
        for x, value in zip(joined["inputs"], joined["data_samples"], strict=True)
    )
    assert (joined["labels"][joined["inputs"] == 0] == 255).all()


def test_pixels_without_image_stay_without_label():
    step, nodata = LoadUnlabelled(), np.eye(4, dtype=bool)
    results = step({"img_shape": (4, 4), "nodata": nodata})
    assert np.array_equal(results["gt_seg_map"], np.where(nodata, 255, 254))


@pytest.mark.parametrize(
    ("hook", "text"),
    [({}, "needs a subset"), ({"threshold": 2, "dataset": MORE}, "threshold=2 is no probability")],
)
def test_what_is_missing_is_told_in_one_line(tmp_path, hook, text):
    with pytest.raises(UserError, match=text):
        build(tmp_path, "work", hook).train()


def test_a_second_average_and_a_subset_of_all_images_are_refused(tmp_path):
    hooks = [{"type": "EMAHook"}, {"type": "SemiSupervisedHook", "dataset": MORE}]
    with pytest.raises(UserError, match="averages the weights itself: leave EMAHook out"):
        build(tmp_path, "a", {}, custom_hooks=hooks).train()
    whole = {"train_dataloader.dataset.subset": {"fraction": 1, "seed": 0}}
    with pytest.raises(UserError, match=r"subset\.fraction=1 leaves out no image"):
        build(tmp_path, "b", {}, **whole).train()
