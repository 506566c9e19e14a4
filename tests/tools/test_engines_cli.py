"""Exported files and engines on the command line."""

import json

import numpy as np
import pytest
from PIL import Image

from mmseg.apis import init_model
from mmseg.export import to_onnx

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
CHECKPOINT = ("tiny.py", "work_dirs/tiny/iter_4.pth")


@pytest.fixture(scope="module")
def files(project):
    """Write `scores.onnx` and `classes.onnx` beside the config."""
    model = init_model(project / "tiny.py", project / CHECKPOINT[1], "cpu", fused=False)
    for name, output in (("scores", "probabilities"), ("classes", "classes")):
        to_onnx(model, project / f"{name}.onnx", output=output)


def test_an_exported_file_takes_the_place_of_the_checkpoint_in_predicting_and_testing(
    project, call, files
):
    images, engine = "data/val/images", ("--engine", "onnxruntime")
    assert call("predict.py", "scores.onnx", images, "--out", "by_file", *engine) is None
    assert call("predict.py", *CHECKPOINT, images, "--out", "by_torch", "--engine", "torch") is None
    assert call("predict.py", *CHECKPOINT, images, "--out", "by_engine", *engine) is None
    for path in sorted((project / "by_torch/ids").iterdir()):
        expected = np.asarray(Image.open(path))
        for folder in ("by_file", "by_engine"):
            found = np.asarray(Image.open(project / folder / "ids" / path.name))
            # After four iterations the best two classes are often equal but for rounding.
            assert (found != expected).mean() < 0.005
    counts = []
    for model, folder in (("scores.onnx", "file"), (CHECKPOINT[1], "checkpoint")):
        assert call("test.py", "tiny.py", model, "--work-dir", folder, *engine) is None
        (result,) = (project / folder).glob("eval_*.json")
        counts.append(json.loads(result.read_text())["confusion_matrix"])
    assert np.abs(np.subtract(*counts)).sum() < 0.01 * np.sum(counts[0])


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        ("map_orthophoto.py", ("classes.onnx", "data/val/images/0.png"), "classes alone"),
        ("predict.py", ("scores.onnx", "data", "--engine", "torch"), "PyTorch cannot run"),
        ("predict.py", ("scores.onnx", "data", "--nmf-rank", "4"), "has no config to change"),
        ("test.py", ("tiny.py", "classes.onnx", "--tta"), "classes alone"),
        ("test.py", ("tiny.py", "scores.onnx", "--compile"), "--compile is an option of PyTorch"),
        ("test.py", ("four.py", "scores.onnx"), "num_classes=3, but the data set has 4 classes"),
    ],
)
def test_what_an_exported_file_cannot_do_is_one_line(
    project, call, files, tool, arguments, message
):
    (project / "four.py").write_text(
        '_base_ = "./tiny.py"\n'
        'test_dataloader = dict(dataset=dict(metainfo=dict(classes=tuple("abcd"), '
        "palette=[(0, 0, 0)] * 4)))\n"
    )
    option = "--work-dir" if tool == "test.py" else "--out"
    error = call(tool, *arguments, option, "refused")
    assert message in error and error.startswith("error: ") and "\n" not in error


def test_a_config_beside_an_exported_file_is_a_wrong_command(call, files, capsys):
    assert call("predict.py", "tiny.py", "scores.onnx", "data", "--out", "refused") == 2
    message = "scores.onnx takes the place of the config and the checkpoint"
    assert message in capsys.readouterr().err
