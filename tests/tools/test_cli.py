"""Mistakes on the command line end with one line that says what to do."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from run_tool import run
from tiny_project import write_split

ROOT = Path(__file__).parents[2]
LATEST = "work_dirs/tiny/latest.pth"


def test_a_batch_is_split_into_one_part_or_more(call, capsys):
    assert call("train.py", "tiny.py", "--accumulate", "0") == 2
    assert "0: give a whole number from 1" in capsys.readouterr().err


def test_an_override_without_a_value_is_a_mistake_of_the_command_line(call, capsys):
    assert call("train.py", "tiny.py", "--cfg-options", "train_dataloader.batch_size") == 2
    assert "train_dataloader.batch_size: write KEY=VALUE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train.py", "tinny.py"), r"tinny\.py: no such config; did you mean .*tiny\.py'\?"),
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
            r"gone/train/images: the folder \(img_path\) is not there",
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
            r"batch_size is -1: choose 1 window or more",
        ),
        (
            (
                *("train.py", "tiny.py", "--resume", "work_dirs/tiny/latest.pth"),
                *("--load-from", "work_dirs/tiny/latest.pth"),
            ),
            r"--resume CKPT and --load-from: a run starts from one of them",
        ),
        (
            ("train.py", "tiny.py", "--cfg-options", "randomness.seed=-1"),
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
            r"model\.backbone\.type = 'ResNet' is not known",
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
    assert message == "error: --tracker tensorboard: pip install tensorboard"


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
    assert call("get_flops.py", str(config)) is None
    output = capsys.readouterr().out
    assert "6.40 G" in output
    assert "4.26 M" in output
