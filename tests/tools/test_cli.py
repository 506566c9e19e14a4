"""The commands of the README on tiny data: train, resume, evaluate, predict, and their errors."""

import json
import os
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from run_tool import run_tool
from tiny_project import write_project, write_split

from mmseg.config import load_config

ROOT = Path(__file__).parents[2]
LATEST = "work_dirs/tiny/latest.pth"
TOOLS = ROOT / "tools"


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A folder with data, a config, and a work directory of a run of four iterations."""
    folder = tmp_path_factory.mktemp("project")
    write_project(folder)
    (folder / "circle.py").write_text('_base_ = "./circle.py"\n')
    run(folder, "train.py", "tiny.py")
    return folder


def run(folder: Path, tool: str, *args: str, expect: int = 0, processes: int = 1) -> str:
    result = run_tool(tool, *args, cwd=folder, processes=processes)
    output = result.stdout + result.stderr
    assert result.returncode == expect, output[-3000:]
    return output


@pytest.fixture
def call(project, monkeypatch):
    """Run a tool in this process and return what it exits with: a code, or the error's text."""

    def call(tool: str, *args: str) -> str | int | None:
        monkeypatch.chdir(project)
        monkeypatch.syspath_prepend(str(TOOLS))
        monkeypatch.setattr(sys, "argv", [tool, *args])
        with pytest.raises(SystemExit) as exit_info:
            runpy.run_path(str(TOOLS / tool), run_name="__main__")
        return exit_info.value.code

    return call


def test_training_leaves_a_link_to_the_newest_checkpoint_and_the_best_one(project):
    work = project / "work_dirs/tiny"
    assert os.readlink(work / "latest.pth") == "iter_4.pth"
    assert (work / "iter_2.pth").is_file()
    assert list(work.glob("best_mIoU_iter_*.pth"))


def with_a_group_per_parameter(checkpoint: dict) -> dict:
    """What this project wrote when it had mmengine's groups, in the order of the model."""
    names = [name for name in checkpoint["state_dict"] if "running" not in name]
    names = [name for name in names if "num_batches" not in name]
    kinds = [next((kind for kind in ("head", "norm") if kind in name), "") for name in names]
    order = [*dict.fromkeys(kinds)]
    merged = sorted(range(len(names)), key=lambda i: order.index(kinds[i]))
    optimizer = checkpoint["optimizer"]
    groups = [
        {**optimizer["param_groups"][order.index(kind)], "params": [i]}
        for i, kind in enumerate(kinds)
    ]
    state = {i: optimizer["state"][number] for number, i in enumerate(merged)}
    return {**checkpoint, "optimizer": {**optimizer, "state": state, "param_groups": groups}}


def test_a_resumed_run_goes_on_where_it_stopped(project):
    before = torch.load(project / "work_dirs/tiny/iter_4.pth", weights_only=False)
    torch.save(with_a_group_per_parameter(before), project / "before.pth")
    more = ("--cfg-options", "train_cfg.max_iters=6")
    output = run(project, "train.py", "tiny.py", "--work-dir", "resumed", *more, "--no-validate")
    fresh = torch.load(project / "resumed/iter_6.pth", weights_only=False)
    output = run(
        project,
        *("train.py", "tiny.py", "--resume", "before.pth", "--work-dir", "on"),
        *(*more, "--no-validate"),
    )
    after = torch.load(project / "on/latest.pth", weights_only=False)
    assert "Iter(train) [5/6]" in output
    assert "Iter(train) [4/6]" not in output
    assert after["meta"]["iter"] == 6
    assert before["meta"]["iter"] == 4
    steps = {float(s["step"]) for s in after["optimizer"]["state"].values()}
    assert steps == {6.0}
    # The schedule went on: the learning rate is that of a run that was never stopped.
    rates = [[g["lr"] for g in c["optimizer"]["param_groups"]] for c in (fresh, after)]
    assert rates[0] == pytest.approx(rates[1])
    for name, expected in fresh["state_dict"].items():
        assert torch.equal(after["state_dict"][name], expected), name


def test_a_resumed_run_with_a_seed_per_process_sees_the_same_images(project):
    arguments = ("tiny.py", "--diff-seed", "--no-validate", "--work-dir")
    run(project, "train.py", *arguments, "apart")
    run(project, "train.py", *arguments, "apart_on", "--resume", "apart/iter_2.pth")
    expected, found = (
        torch.load(project / f"{name}/iter_4.pth", weights_only=False)
        for name in ("apart", "apart_on")
    )
    for name, value in expected["state_dict"].items():
        assert torch.equal(found["state_dict"][name], value), name


def test_resume_without_a_checkpoint_starts_fresh(project):
    arguments = ("--resume", "--work-dir", "empty", "--cfg-options", "train_cfg.max_iters=1")
    output = run(project, "train.py", "tiny.py", *arguments, "--no-validate")
    assert "Iter(train) [1/1]" in output
    assert (project / "empty/latest.pth").is_file()


def test_resume_without_a_checkpoint_starts_from_the_weights_given_for_that(project):
    start = ("--resume", "--load-from", "work_dirs/tiny/latest.pth", "--work-dir", "tuned")
    one = ("--no-validate", "--cfg-options", "train_cfg.max_iters=1")
    output = run(project, "train.py", "tiny.py", *start, *one)
    assert "no checkpoint in" in output and "training starts from work_dirs/tiny" in output
    assert "Iter(train) [1/1]" in output
    output = run(project, "train.py", "tiny.py", *start, *one[:-1], "train_cfg.max_iters=2")
    assert "Iter(train) [2/2]" in output and "Iter(train) [1/2]" not in output


def test_a_checkpoint_without_optimiser_or_schedule_is_not_gone_on_from(project, call):
    (best,) = (project / "work_dirs/tiny").glob("best_mIoU_iter_*.pth")
    message = call("train.py", "tiny.py", "--resume", str(best), "--work-dir", "from_best")
    assert "cannot be resumed, it holds no 'optimizer'; pass it as --load-from" in message
    newest = torch.load(project / "work_dirs/tiny/latest.pth", weights_only=False)
    del newest["param_schedulers"]
    torch.save(newest, project / "unscheduled.pth")
    message = call("train.py", "tiny.py", "--resume", "unscheduled.pth", "--work-dir", "from_best")
    assert "cannot be resumed, it holds no 'param_schedulers'" in message


def test_a_batch_is_split_into_one_part_or_more(call, capsys):
    assert call("train.py", "tiny.py", "--accumulate", "0") == 2
    assert "0 is less than 1" in capsys.readouterr().err


def test_an_override_without_a_value_is_a_mistake_of_the_command_line(call, capsys):
    assert call("train.py", "tiny.py", "--cfg-options", "train_dataloader.batch_size") == 2
    assert "train_dataloader.batch_size: write KEY=VALUE" in capsys.readouterr().err


def test_test_images_are_drawn_at_the_size_of_their_labels(project):
    options = ("--split", "test", "--count", "1", "--out", "browse", "--cfg-options")
    small = "test_dataloader.dataset.pipeline.1.scale=(32,32)"
    run(project, "browse_dataset.py", "tiny.py", *options, small)
    assert Image.open(project / "browse/sheet_0.png").height > 2 * 40
    seed = ("--seed", "-1")
    assert "give a whole number from 0" in run(
        project, "browse_dataset.py", "tiny.py", *seed, expect=2
    )


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
        ("predict.py", (LATEST, "data/val/images", "--out", "joined"), "5 images predicted"),
        ("test.py", (LATEST, "--work-dir", "joined", "--tta"), "6 images"),
        ("test.py", (LATEST, "--work-dir", "joined", "--format-only"), "6 predictions written"),
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


@pytest.fixture(scope="module")
def evaluation(project) -> dict:
    run(
        project,
        *("test.py", "tiny.py", "work_dirs/tiny/latest.pth", "--eval", "mIoU", "mFscore"),
        *("--out", "ids", "--show-dir", "shown"),
    )
    return json.loads((project / "work_dirs/tiny/eval_iter_4.json").read_text())


def test_the_merged_config_in_the_work_directory_is_that_of_the_training(project, evaluation):
    merged, given = (load_config(project / name) for name in ("work_dirs/tiny/tiny.py", "tiny.py"))
    for key in ("train_dataloader", "optim_wrapper", "test_dataloader", "test_evaluator", "model"):
        assert merged[key] == given[key]


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
    run(project, "test.py", *arguments, "--work-dir", "two", processes=2)
    two = json.loads((project / "two/eval_iter_4.json").read_text())
    assert two["confusion_matrix"] == evaluation["confusion_matrix"]
    assert two["images"] == 5


def test_two_processes_train_together(project):
    output = run(project, "train.py", "tiny.py", "--work-dir", "pair", processes=2)
    assert "effective batch 8 = 4 images x 2 processes" in output
    assert os.readlink(project / "pair/latest.pth") == "iter_4.pth"


def test_multi_scale_testing_averages_twelve_copies(project, evaluation):
    run(project, "test.py", "tiny.py", "work_dirs/tiny/latest.pth", "--aug-test", "--eval", "mIoU")
    augmented = json.loads((project / "work_dirs/tiny/eval_iter_4_tta.json").read_text())
    matrices = [np.array(e["confusion_matrix"]) for e in (augmented, evaluation)]
    assert matrices[0].sum() == matrices[1].sum()
    assert (matrices[0] != matrices[1]).any()


def test_format_only_writes_predictions_without_any_mask(project):
    options = ("--cfg-options", "test_dataloader.dataset.data_prefix.seg_map_path=nowhere")
    arguments = ("tiny.py", "work_dirs/tiny/latest.pth", "--format-only", "only", *options)
    output = run(project, "test.py", "--amp", *arguments)
    assert "amp=True" in output
    assert sorted(p.name for p in (project / "only").iterdir()) == [f"{i}.png" for i in range(5)]


def test_predict_takes_folders_and_globs_and_agrees_with_evaluation(project, evaluation):
    arguments = ("tiny.py", "work_dirs/tiny/latest.pth", "data/val/images", "--out", "predicted")
    run(project, "predict.py", *arguments)
    for i in range(5):
        ids = np.asarray(Image.open(project / f"predicted/ids/{i}.png"))
        assert (ids == np.asarray(Image.open(project / f"ids/{i}.png"))).all()
        assert (project / f"predicted/overlay/{i}.png").is_file()


def test_predictions_of_an_earlier_run_are_not_predicted(project, evaluation):
    images = project / "again"
    write_split(images, 2, np.random.default_rng(0))
    for _ in range(2):
        output = run(
            project, "predict.py", "tiny.py", LATEST, "again/images", "--out", "again/images"
        )
        assert "2 images predicted" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train.py", "tinny.py"), r"tinny\.py: no such config; did you mean .*tiny\.py\?"),
        (
            ("train.py", "tiny.py", "--cfg-options", "train_dataloader.batchsize=2"),
            r"unknown key train_dataloader\.batchsize; did you mean 'batch_size'",
        ),
        (
            ("train.py", "tiny.py", "--cfg-options", "model.decode_head.num_classes=1"),
            r"num_classes=1: softmax over one class",
        ),
        (
            ("train.py", "tiny.py", "--cfg-options", "model.decode_head.num_classes=4"),
            r"num_classes=4, but the data set has 3 classes",
        ),
        (
            ("train.py", "tiny.py", "--cfg-options", "train_dataloader.dataset.data_root=gone"),
            r"the folder gone/train/images \(img_path\) is not there",
        ),
        (
            ("test.py", "tiny.py", "work_dirs/tiny/nothing.pth"),
            r"work_dirs/tiny/nothing\.pth: no such checkpoint",
        ),
        (
            (
                *("test.py", "tiny.py", "work_dirs/tiny/latest.pth", "--cfg-options"),
                "model.backbone.embed_dims=(16,16,24,32)",
            ),
            r"of another size than the config .*: backbone\.\S+ \[",
        ),
        (
            ("train.py", "tiny.py", "--work-dir", "tiny.py/work"),
            r"tiny\.py/work: cannot be written \(.*\); choose another folder",
        ),
        (("predict.py", "tiny.py", "x.pth", "nothing/*.png", "--out", "o"), r"no image there"),
        (
            (*("map_orthophoto.py", "tiny.py", "x.pth", "x.tif"), *("--batch-size=-1", "--out=o")),
            r"the batch size is -1: choose 1 window or more",
        ),
        (
            (
                *("train.py", "tiny.py", "--resume", "work_dirs/tiny/latest.pth"),
                *("--load-from", "work_dirs/tiny/latest.pth"),
            ),
            r"--resume CKPT and --load-from: a run starts from one of them",
        ),
        (
            ("train.py", "tiny.py", "--seed", "-1"),
            r"randomness\.seed=-1: give a whole number from 0 to 2\*\*32 - 1",
        ),
        (
            ("convert_checkpoint.py", LATEST, "work_dirs/tiny/iter_2.pth", "--to", "official"),
            r"iter_2\.pth: is there already; name a new file",
        ),
        (("train.py", "circle.py"), r"circle\.py: inherits a file that inherits itself"),
        (("test.py", "tiny.py", LATEST, "--out", "tiny.py/o.pkl"), r"tiny\.py: cannot be written"),
        (("test.py", "tiny.py", LATEST, "--show-dir", "tiny.py/o"), r"tiny\.py/o: cannot be wri"),
        (
            ("train.py", "tiny.py", "--cfg-options", "model.backbone.type=ResNet"),
            r"model\.backbone\.type = 'ResNet' is not known$",
        ),
    ],
)
def test_a_mistake_ends_with_one_line_that_says_what_to_do(call, arguments, message):
    code = call(*arguments)
    assert isinstance(code, str)
    assert code.startswith("error: ")
    assert "\n" not in code
    assert re.search(message, code), code


def test_tensorboard_that_is_not_installed_is_one_line(call, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    message = call("train.py", "tiny.py", "--tensorboard")
    assert message == "error: --tensorboard: pip install tensorboard"


def test_compiling_where_it_cannot_work_ends_with_one_line(call, monkeypatch):
    def no_compiler(function):
        raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found\n\nSet TORCH...")

    monkeypatch.setattr(torch, "compile", no_compiler)
    message = call("test.py", "tiny.py", "work_dirs/tiny/latest.pth", "--compile")
    assert message == (
        "error: --compile: torch.compile does not work here: InvalidCxxCompiler: No working C++ "
        "compiler found"
    )


def test_a_bad_label_in_a_loader_worker_ends_with_one_line_that_names_the_file(project):
    bad = project / "bad"
    write_split(bad / "train", 2, np.random.default_rng(1))
    mask = np.full((40, 64), 7, np.uint8)
    Image.fromarray(mask).save(bad / "train/masks/0.png")
    options = (f"train_dataloader.dataset.data_root={bad}", "train_dataloader.num_workers=1")
    arguments = ("tiny.py", "--work-dir", "bad_work", "--no-validate", "--cfg-options", *options)
    output = run(project, "train.py", *arguments, expect=1)
    last = output.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert "bad/train/masks/0.png: the mask has ids 7 outside the classes" in last


def test_flops_are_those_of_the_paper(call, capsys):
    config = ROOT / "local_configs/segnext/tiny/segnext.tiny.512x512.ade.160k.py"
    with pytest.raises(BaseException, match="DID NOT RAISE"):
        call("get_flops.py", str(config))
    output = capsys.readouterr().out
    assert "6.40 G" in output
    assert "4.26 M" in output


def test_evaluation_by_several_metrics_is_that_of_the_iou_metric(project, evaluation):
    text = (project / "tiny.py").read_text()
    (project / "listed.py").write_text(text + '\ntest_evaluator = [dict(type="IoUMetric")]\n')
    run(project, "test.py", "listed.py", "work_dirs/tiny/latest.pth", "--work-dir", "listed")
    listed = json.loads((project / "listed/eval_iter_4.json").read_text())
    assert listed["confusion_matrix"] == evaluation["confusion_matrix"]
