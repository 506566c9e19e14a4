"""An exported file as a model: the same predictions as the checkpoint, and what is refused."""

import shutil

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from mmseg.apis import inference_model, init_model
from mmseg.errors import UserError
from mmseg.export import load, session, to_onnx

pytest.importorskip("openvino")


@pytest.fixture(scope="module")
def model(project):
    checkpoint = project / "work_dirs/tiny/iter_4.pth"
    model = init_model(project / "tiny.py", checkpoint, "cpu", fused=False)
    torch.manual_seed(0)
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)
    model.decode_head.hamburger.ham.eval_steps = 1  # of 7, to save time
    return model.requires_grad_(False)


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    """Return the file of some options; each is made once."""
    folder, made = tmp_path_factory.mktemp("exported"), {}

    def export(**options):
        key = str(options)
        if key not in made:
            made[key] = folder / f"{len(made)}.onnx"
            to_onnx(model, made[key], **options)
        return made[key]

    return export


def images():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((64, 64), (45, 71))]


def ids(model, image):
    return inference_model(model, image).pred_sem_seg.data


@pytest.mark.parametrize(
    "options",
    [
        {"output": "probabilities"},
        {"output": "logits", "input": "tensor"},
        {"output": "probabilities", "layout": "nchw"},
        {"output": "logits", "input": "unit"},
    ],
    ids=str,
)
@pytest.mark.parametrize("engine", ["auto", "onnxruntime"])
def test_an_exported_file_predicts_as_its_checkpoint(model, exported, options, engine):
    loaded = load(exported(**options), engine)
    assert loaded.dataset_meta["classes"] == list(model.dataset_meta["classes"])
    for image in images():
        found, expected = ids(loaded, image), ids(model, image)
        assert found.shape == expected.shape and found.dtype == torch.int64
        assert (found != expected).sum() <= 1e-5 * expected.numel()
        assert torch.equal(found, ids(loaded, image))


def test_a_file_of_classes_predicts_an_image_that_is_not_resized_as_its_checkpoint(model, exported):
    loaded = load(exported(output="classes"))
    assert torch.equal(ids(loaded, images()[0]), ids(model, images()[0]))
    assert ids(loaded, images()[1]).shape == (1, 45, 71)


def test_windows_of_a_map_get_the_same_probabilities(model, exported):
    loaded = load(exported(output="probabilities"))
    windows = torch.from_numpy(np.stack([images()[0]] * 2)).permute(0, 3, 1, 2)
    results = []
    for each in (loaded, model):
        data = {"inputs": list(windows), "data_samples": [None] * 2}
        x = torch.stack(each.data_preprocessor(data)["inputs"])
        results.append(each.full_logits(x).softmax(1))
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-6)
    assert tuple(loaded.data_preprocessor.size) == (32, 32)
    assert loaded.decode_head.num_classes == 3
    assert next(loaded.parameters()).device.type == "cpu"
    assert len(loaded.state_dict()) == 1


def test_classes_alone_are_refused_where_scores_are_averaged(exported):
    message = "gives classes alone, .* export it with --output probabilities$"
    with pytest.raises(UserError, match=message):
        load(exported(output="classes"), scores=True)


def test_a_model_that_predicts_by_windows_needs_scores_and_does_so_from_its_file(model, tmp_path):
    model.test_cfg = {"mode": "slide", "crop_size": (32, 32), "stride": (20, 20)}
    try:
        for output in ("classes", "logits"):
            to_onnx(model, tmp_path / f"{output}.onnx", output=output)
        with pytest.raises(UserError, match="gives classes alone"):
            load(tmp_path / "classes.onnx")
        loaded = load(tmp_path / "logits.onnx", "onnxruntime")
        found, expected = ids(loaded, images()[1]), ids(model, images()[1])
    finally:
        model.test_cfg = {"mode": "whole"}
    assert torch.equal(found, expected)


def test_a_file_of_one_size_says_that_it_refuses_another(exported):
    path = exported(output="logits", size=(32, 32))
    loaded = load(path, "onnxruntime")
    with pytest.raises(UserError, match=rf"{path}: refuses a 1x64x64x3 input \(") as error:
        ids(loaded, images()[0])
    assert "\n" not in str(error.value) and "maps have --batch-size" in str(error.value)


def foreign(path):
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "other", [x], [y])
    onnx.save(helper.make_model(graph), path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (foreign, r"no whole file of tools/export.py \('segnext'\)"),
        (lambda path: path.write_bytes(b"\x08" * 99), "no whole file of tools/export.py"),
        (lambda path: None, "no whole file of .*No such file or directory"),
    ],
)
def test_a_file_of_another_program_or_none_is_named_in_one_line(tmp_path, make, message):
    make(tmp_path / "model.onnx")
    with pytest.raises(UserError, match=rf"model\.onnx: {message}") as error:
        load(tmp_path / "model.onnx")
    assert "\n" not in str(error.value)


def test_an_openvino_file_is_loaded_with_its_metadata(model, exported, tmp_path):
    import openvino

    path = exported(output="probabilities")
    program = openvino.Core().read_model(path)
    program.set_rt_info(onnx.load(path).metadata_props[0].value, "segnext")
    openvino.save_model(program, tmp_path / "model.xml", compress_to_fp16=False)
    loaded = load(tmp_path / "model.xml")
    assert torch.equal(ids(loaded, images()[1]), ids(model, images()[1]))
    assert loaded.facts == load(path).facts
    shutil.copy(tmp_path / "model.xml", tmp_path / "alone.xml")
    with pytest.raises(UserError, match=r"alone\.xml: no whole file of"):
        load(tmp_path / "alone.xml")


def test_without_an_engine_one_line_says_what_to_install(exported, monkeypatch):
    path = exported(output="logits")
    monkeypatch.setattr(session, "find_spec", lambda name: name == "onnx")
    with pytest.raises(UserError, match="this needs openvino: run `pip install"):
        load(path)


def test_torch_cannot_run_an_exported_file(exported):
    with pytest.raises(UserError, match="PyTorch cannot run an exported file; use another"):
        load(exported(output="logits"), "torch")
