"""Evaluating, predicting and looking at data from the command line."""

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from run_tool import run
from tiny_project import write_split

from mmseg.apis import init_model

LATEST = "work_dirs/tiny/latest.pth"
TORCH = ("--engine", "torch")  # others are converted first


@pytest.fixture(scope="module")
def evaluation(project) -> dict:
    run(
        project,
        *("test.py", *TORCH, "tiny.py", "work_dirs/tiny/latest.pth", "--eval", "mIoU", "mFscore"),
        *("--out", "ids", "--show-dir", "shown"),
    )
    return json.loads((project / "work_dirs/tiny/eval_iter_4.json").read_text())


def test_evaluation_counts_every_labelled_pixel_of_the_written_predictions(project, evaluation):
    expected = np.zeros((3, 3), np.int64)
    for path in sorted((project / "data/val/masks").iterdir()):
        label = np.asarray(Image.open(path)).astype(int)
        pred = np.asarray(Image.open(project / "ids" / path.name)).astype(int)
        valid = label != 255
        np.add.at(expected, (label[valid], pred[valid]), 1)
    assert evaluation["confusion_matrix"] == expected.tolist()
    union = expected.sum(0) + expected.sum(1) - expected.diagonal()
    iou = 100 * expected.diagonal() / union
    assert evaluation["summary"]["mIoU"] == pytest.approx(iou.mean())
    assert evaluation["images"] == 5
    assert len(list((project / "shown").glob("*.png"))) == 5


def test_two_processes_give_the_evaluation_of_one(project, evaluation):
    arguments = ("tiny.py", "work_dirs/tiny/iter_4.pth", "--eval", "mIoU", "mFscore")
    run(project, "test.py", *TORCH, *arguments, "--work-dir", "two", processes=2)
    two = json.loads((project / "two/eval_iter_4.json").read_text())
    assert two["confusion_matrix"] == evaluation["confusion_matrix"]
    assert two["images"] == 5


def test_evaluation_by_several_metrics_is_that_of_the_iou_metric(project, evaluation):
    text = (project / "tiny.py").read_text()
    (project / "listed.py").write_text(text + '\ntest_evaluator = [dict(type="IoUMetric")]\n')
    run(
        project, "test.py", *TORCH, "listed.py", "work_dirs/tiny/latest.pth", "--work-dir", "listed"
    )
    listed = json.loads((project / "listed/eval_iter_4.json").read_text())
    assert listed["confusion_matrix"] == evaluation["confusion_matrix"]


def test_format_only_writes_predictions_without_any_mask(project):
    options = ("--cfg-options", "test_dataloader.dataset.data_prefix.seg_map_path=nowhere")
    arguments = ("tiny.py", "work_dirs/tiny/latest.pth", "--format-only", "only", *options)
    run(project, "test.py", *TORCH, "--amp", *arguments)
    assert sorted(p.name for p in (project / "only").iterdir()) == [f"{i}.png" for i in range(5)]


def test_predict_takes_folders_and_globs_and_agrees_with_evaluation(project, evaluation):
    arguments = ("tiny.py", "work_dirs/tiny/latest.pth", "data/val/images", "--out", "predicted")
    run(project, "predict.py", *TORCH, *arguments)
    for i in range(5):
        ids = np.asarray(Image.open(project / f"predicted/ids/{i}.png"))
        assert (ids == np.asarray(Image.open(project / f"ids/{i}.png"))).all()
        assert (project / f"predicted/overlay/{i}.png").is_file()


def test_predictions_of_an_earlier_run_are_not_predicted(project, evaluation):
    images = project / "again"
    write_split(images, 2, np.random.default_rng(0))
    for _ in range(2):
        output = run(
            project,
            "predict.py",
            *TORCH,
            "tiny.py",
            LATEST,
            "again/images",
            "--out",
            "again/images",
        )
        assert "2 images predicted" in output


def test_test_images_are_drawn_at_the_size_of_their_labels(project):
    options = ("--split", "test", "--count", "1", "--out", "browse", "--cfg-options")
    small = "test_dataloader.dataset.pipeline.1.scale=(32,32)"
    run(project, "browse_dataset.py", "tiny.py", *options, small)
    assert Image.open(project / "browse/sheet_0.png").height > 2 * 40
    seed = ("--seed", "-1")
    assert "give a whole number from 0" in run(
        project, "browse_dataset.py", "tiny.py", *seed, expect=2
    )


def test_training_samples_are_drawn_with_the_colours_that_the_device_would_give_them(project):
    step = "train_dataloader.dataset.pipeline.3"
    ranges = ("brightness_delta=0", "contrast_range=(1,1)", "saturation_range=(1,1)", "hue_delta=1")
    none = ("--cfg-options", *(f"{step}.{each}" for each in ranges))
    for folder, options in (("plain", none), ("coloured", ())):
        run(project, "browse_dataset.py", "tiny.py", "--count", "4", "--out", folder, *options)
    plain, coloured = (
        np.asarray(Image.open(project / f"{folder}/sheet_0.png")).astype(int)
        for folder in ("plain", "coloured")
    )
    assert np.abs(plain - coloured).max() > 10


@pytest.fixture
def joined(project):
    """A config whose data sets are joined and repeated ones."""
    text = (project / "tiny.py").read_text()
    (project / "two.txt").write_text("0\n1\n")
    text += f"\ntest_dataloader['dataset']['ann_file'] = {str(project / 'two.txt')!r}"
    for split in ("train", "test"):
        part = f"{split}_dataloader['dataset']"
        repeated = f"dict(type='RepeatDataset', times=2, dataset={part})"
        parts = f"type='ConcatDataset', datasets=[{part}, {repeated}]"
        text += f"\n{part} = dict(_delete_=True, {parts})"
    (project / "joined.py").write_text(text + "\n")
    return "joined.py"


@pytest.mark.parametrize(
    ("tool", "arguments", "told"),
    [
        ("check_dataset.py", ("--split", "train"), "0 problems in 12 samples"),
        ("browse_dataset.py", ("--count", "2", "--out", "browsed"), "1 sheets of 2 samples"),
        (
            "predict.py",
            (LATEST, "data/val/images", *TORCH, "--out", "joined"),
            "5 images predicted",
        ),
        ("test.py", (LATEST, "--work-dir", "joined", "--tta", *TORCH), "6 images"),
        (
            "test.py",
            (LATEST, "--work-dir", "joined", "--format-only", *TORCH),
            "6 predictions written",
        ),
    ],
)
def test_joined_and_repeated_data_sets_work_in_the_tools(project, joined, tool, arguments, told):
    assert told in run(project, tool, joined, *arguments)


def test_class_weights_of_a_set_joined_with_itself_are_its_own(project, joined):
    weights = []
    for config in ("tiny.py", joined):
        text = run(project, "class_weights.py", config)
        weights.append(re.findall(r"[\d.]+,  # (?:ground|roof|tree):.*", text))
    assert weights[0] == weights[1]
    assert len(weights[0]) == 3


def test_a_calibrated_checkpoint_divides_its_logits_and_predicts_the_same(project, evaluation):
    output = run(project, "test.py", *TORCH, "tiny.py", LATEST, "--temperature", "fit")
    target = project / "work_dirs/tiny/iter_4.calibrated.pth"
    assert str(target) in output
    temperature = torch.load(target)["meta"]["dataset_meta"]["temperature"]
    plain, calibrated = (
        init_model(project / "tiny.py", path) for path in (project / LATEST, target)
    )
    image = torch.randn(1, 3, 32, 32)
    assert temperature != 1
    torch.testing.assert_close(calibrated(image) * temperature, plain(image))
    # Fitted again, it is already right.
    run(project, "test.py", *TORCH, "tiny.py", str(target), "--temperature", "fit")
    again = torch.load(target.with_suffix(".calibrated.pth"))["meta"]["dataset_meta"]
    assert again["temperature"] == pytest.approx(temperature, rel=1e-3)


def test_labels_that_the_model_contradicts_are_listed(project, evaluation):
    output = run(project, "find_label_errors.py", "tiny.py", LATEST, "--least", "0.01")
    assert re.search(r"\d+ suspects in 5 images", output)
    assert (project / "work_dirs/label_errors/sheet.png").is_file()
    output = run(project, "find_label_errors.py", "tiny.py", LATEST, "--least", "1")
    assert "nothing stands out in 5 images" in output
