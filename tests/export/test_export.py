"""Exported files in ONNX Runtime and OpenVINO, compared with the model in PyTorch."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
import torch
from onnx import TensorProto
from random_weights import random_weights
from tiny_project import write_project

from mmseg.apis import inference_model, init_model
from mmseg.errors import UserError
from mmseg.export import ExportOptions, delivery, export_model, load, precision, session, to_onnx
from mmseg.export.delivery import options_for_target, target_metadata
from mmseg.export.facts import facts
from mmseg.export.graph import Graph
from mmseg.export.precision import halved

ONE = {"size": (32, 64), "batch": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with data, their config `tiny.py` and a checkpoint `random.pth`."""
    folder = tmp_path_factory.mktemp("export")
    write_project(folder)
    state = random_weights(init_model(folder / "tiny.py", device="cpu", fused=False))
    torch.save({"state_dict": state}, folder / "random.pth")
    return folder


@pytest.fixture(scope="module")
def model(folder):
    model = init_model(folder / "tiny.py", folder / "random.pth", "cpu", 4, fused=False)
    model.decode_head.hamburger.ham.eval_steps = 1  # of 7, to save time
    return model


@pytest.fixture(scope="module")
def plain_file(model, folder) -> Path:
    """The model as a file of logits that is not verified."""
    to_onnx(model, folder / "plain.onnx", output="logits", **ONE)
    return folder / "plain.onnx"


@pytest.fixture
def quick(monkeypatch) -> None:
    """Verify files with ONNX Runtime alone, at one size."""
    monkeypatch.setattr(delivery, "installed", lambda _: ["onnxruntime"])
    monkeypatch.setattr(delivery, "SIZES", ((64, 96),))


def image(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def ids(model, rgb: np.ndarray) -> np.ndarray:
    """The classes of the model, which takes BGR."""
    return inference_model(model, rgb[..., ::-1].copy()).pred_sem_seg.data[0].numpy()


def run(path: Path, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (given,), (result,) = session.get_inputs(), session.get_outputs()
    return session.run([result.name], {given.name: x})[0]


def test_the_command_verifies_a_file_in_two_engines_and_it_gives_the_classes_of_the_model(
    call, folder, tmp_path, capfd
):
    path = tmp_path / "model.onnx"
    arguments = (str(folder / "tiny.py"), str(folder / "random.pth"), "--nmf-rank", "4")
    assert call("export.py", *arguments, "--out", str(path), "--json") is None
    rows = [line.split("|")[1:-1] for line in capfd.readouterr().out.splitlines() if "%" in line]
    cells = [[cell.strip() for cell in row] for row in rows]
    assert {tuple(row[:3]) for row in cells} == {
        (engine, size, batch)
        for engine in ("onnxruntime", "openvino")
        for size in ("64x96", "77x131", "160x128")
        for batch in "13"
    }
    assert all(float(row[3]) < 1e-4 and float(row[4][:-1]) > 99.99 for row in cells)
    model = init_model(folder / "tiny.py", folder / "random.pth", "cpu", 4)
    images = np.stack([image(32, 64, seed) for seed in range(3)])
    assert np.array_equal(run(path, images), [ids(model, each) for each in images])
    # OpenCV stretches whole numbers, which rounds by one grey level.
    odd = image(45, 64)
    assert np.mean(run(path, odd[None])[0] == ids(model, odd)) > 0.98
    told = json.loads((tmp_path / "model.json").read_text())
    file = onnx.load(path)
    assert json.loads({each.key: each.value for each in file.metadata_props}["segnext"]) == told
    assert (told["classes"], told["nmf_rank"]) == (["ground", "roof", "tree"], 4)
    assert (told["window"], told["overlap"]) == ([32, 32], 0.25)
    assert (file.ir_version, file.opset_import[0].version) == (8, 17)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["model.json", "model.onnx"]


def test_an_image_is_padded_inside_the_file_if_the_config_says_so(model):
    padding = init_model(model.cfg.copy(), device="cpu", fused=False)
    padding.load_state_dict(model.state_dict())
    padding.decode_head.hamburger.ham.eval_steps = 1
    padding.data_preprocessor.test_divisor = 32
    steps = model.cfg.test_dataloader.dataset.pipeline
    steps = [step for step in steps if step["type"] != "ResizeToMultiple"]
    padding.cfg.test_dataloader.dataset.pipeline = steps
    odd = image(45, 64)
    graph = Graph(padding, ExportOptions(layout="nchw"))
    result = graph(torch.from_numpy(odd.transpose(2, 0, 1)[None].copy()))[0]
    assert np.mean(result.numpy() == ids(padding, odd)) > 0.9999


def test_openvino_gets_two_files_that_name_the_model(model, tmp_path):
    checks, _ = export_model(model, tmp_path / "model.xml", precision="bf16", **ONE)
    assert [check[0] for check in checks] == ["openvino"]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["model.bin", "model.xml"]
    read = openvino.Core().read_model(tmp_path / "model.xml")
    told = json.loads(read.get_rt_info("segnext").astype(str))
    assert (told["precision"], told["output"]) == ("bf16", "classes")
    (result,) = openvino.compile_model(read, "CPU")(image(32, 64)[None]).values()
    assert np.mean(result[0] == ids(model, image(32, 64))) > 0.95


def test_deepness_finds_what_it_reads(model, tmp_path, quick):
    path = tmp_path / "model.onnx"
    export_model(model, path, target="deepness", gsd=0.25, size=(64, 64))
    file = onnx.load(path)
    told = {each.key: json.loads(each.value) for each in file.metadata_props}
    assert told["class_names"] == {"0": "ground", "1": "roof", "2": "tree"}
    assert (told["model_type"], told["resolution"]) == ("Segmentor", 25)
    assert (told["tile_size"], told["tiles_overlap"]) == (64, 25)
    assert (told["seg_thresh"], told["seg_small_segment"]) == (0, 0)
    assert file.ir_version <= 9 and file.opset_import[0].version <= 20
    shape = [d.dim_param or d.dim_value for d in file.graph.input[0].type.tensor_type.shape.dim]
    assert shape == [1, 3, 64, 64]
    # As Deepness prepares a tile.
    tile = np.float32(image(64, 64)[None] / 255)
    mean, std = (np.float32(told[f"standardization_{name}"]) for name in ("mean", "std"))
    scores = run(path, ((tile - mean) / std).transpose(0, 3, 1, 2))
    assert scores.shape == (1, 3, 64, 64)
    assert np.allclose(scores.sum(1), 1, atol=1e-5)
    assert np.array_equal(scores.argmax(1)[0], ids(model, image(64, 64)))


def test_geodeep_finds_a_fixed_tile_and_normalises_nothing(model):
    options = ExportOptions(target="geodeep", gsd=0.6, size=(64, 64))
    graph = Graph(model, options_for_target(options, facts(model, options)))
    told = target_metadata(facts(model, graph.options))
    assert graph.example().shape == (1, 3, 64, 64)
    assert (float(told["resolution"]), float(told["tiles_overlap"])) == (60, 25)
    tile = (image(64, 64)[None] / 255).astype(np.float32).transpose(0, 3, 1, 2)
    scores = graph(torch.from_numpy(tile))
    assert np.array_equal(scores.argmax(1)[0], ids(model, image(64, 64)))


def test_half_precision_keeps_the_factorisation_in_float32(plain_file, tmp_path):
    program = onnx.shape_inference.infer_shapes(halved(onnx.load(plain_file)))
    types = {v.name: v.type.tensor_type.elem_type for v in program.graph.value_info}
    factors = [n for n in program.graph.node if n.op_type == "MatMul" and "/hamburger/" in n.name]
    assert len(factors) > 10
    assert {types[node.output[0]] for node in factors} == {TensorProto.FLOAT}
    convs = [n for n in program.graph.node if n.op_type == "Conv"]
    assert {types[node.output[0]] for node in convs} == {TensorProto.FLOAT16}
    onnx.save(program, tmp_path / "half.onnx")
    whole, half = (run(p, image(32, 64)[None]) for p in (plain_file, tmp_path / "half.onnx"))
    assert 0 < np.abs(whole - half).max() < 0.02 * np.abs(whole).max()


def test_int8_leaves_the_factorisation_and_tells_the_miou(model, tmp_path, quick, monkeypatch):
    monkeypatch.setattr(precision, "CALIBRATION", 2)
    path = tmp_path / "model.onnx"
    _, (before, after) = export_model(model, path, max_loss=100, precision="int8", **ONE)
    assert 0 < before < 100 and 0 < after < 100
    nodes = onnx.load(path).graph.node
    quantised = [n for n in nodes if n.op_type == "QuantizeLinear"]
    inputs = {name for n in nodes if "/hamburger/ham/" in n.name for name in n.input}
    assert quantised and not any(n.output[0] in inputs for n in quantised)


def test_int8_is_refused_if_it_loses_more_than_allowed(model, plain_file, monkeypatch):
    monkeypatch.setattr("nncf.quantize", lambda program, *_, **__: program)
    scores = iter([50.0, 49.4])
    monkeypatch.setattr(precision, "_miou", lambda *_: next(scores))
    graph = Graph(model, ExportOptions(**ONE))
    with pytest.raises(UserError, match=r"mIoU 49.40 .* float32 50.00: more than 0.5 points"):
        precision.quantised(onnx.load(plain_file), graph, 0.5)


def test_a_file_that_computes_something_else_is_not_left_behind(model, tmp_path, monkeypatch):
    traced = delivery.traced

    def damaged(graph):
        graph.model.decode_head.conv_seg.bias.data[1] += 5
        program = traced(graph)
        graph.model.decode_head.conv_seg.bias.data[1] -= 5
        return program

    monkeypatch.setattr(delivery, "traced", damaged)
    with pytest.raises(UserError, match=r"model\.xml: not written, because openvino differs"):
        export_model(model, tmp_path / "model.xml", **ONE)
    assert list(tmp_path.iterdir()) == []


def _options(**values: object) -> Callable:
    return lambda model, folder, _: export_model(model, folder / "model.onnx", **values)


def _into_a_file(model, folder: Path, _) -> None:
    (folder / "file").write_text("")
    export_model(model, folder / "file/model.onnx")


def _without_an_engine(model, folder: Path, monkeypatch) -> None:
    monkeypatch.setattr(session, "find_spec", lambda name: name != "onnxruntime")
    export_model(model, folder / "model.onnx")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (_options(output="logit"), "output='logit': choose one of classes, probabilities"),
        (_options(size=(8, 64)), "size=.*: give at least 32"),
        (_options(output="coarse"), "it needs input='tensor'"),
        (_options(precision="bf16"), "name it .xml"),
        (_options(target="deepness"), "give --gsd"),
        (_options(target="geodeep", size=(32, 64), gsd=1), "give --size S S"),
        (lambda model, folder, _: export_model(model, folder / "model.pt"), "name it .onnx"),
        (_into_a_file, "cannot be written"),
        (_without_an_engine, r'onnxruntime: run `pip install "segnext\[deploy\]"`'),
    ],
)
def test_a_mistake_is_one_line_and_leaves_no_file(model, tmp_path, monkeypatch, wrong, message):
    with pytest.raises(UserError, match=message) as caught:
        wrong(model, tmp_path, monkeypatch)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("*model*"))


@pytest.mark.parametrize("bands", [("red", "green", "blue", "nir"), ("red", "green", "blue")])
def test_bands_keep_their_order_and_16_bit_images_their_values(model, tmp_path, bands):
    config, number = model.cfg.copy(), len(bands)
    config.model.backbone.in_channels = number
    for split in ("train", "val", "test"):
        config[f"{split}_dataloader"].dataset.metainfo.bands = bands
    mean, std = [1000, 900, 800, 2000][:number], [300, 300, 300, 600][:number]
    config.model.data_preprocessor.update(mean=mean, std=std, bgr_to_rgb=False)
    own = init_model(config, device="cpu", fused=False)
    own.load_state_dict(random_weights(own))
    own.decode_head.hamburger.ham.eval_steps = 1
    own.dataset_meta = {**model.dataset_meta, "bands": bands, "bits": "uint16"}
    to_onnx(own, tmp_path / "model.onnx", output="logits", **ONE)
    x = np.random.default_rng(0).integers(0, 4000, (1, 32, 64, number), dtype=np.uint16)
    normalised = (x - np.float32(mean)) / np.float32(std)
    with torch.no_grad():
        expected = own.full_logits(torch.from_numpy(normalised).permute(0, 3, 1, 2))
    assert np.abs(run(tmp_path / "model.onnx", x) - expected.numpy()).max() < 1e-4
    found = inference_model(load(tmp_path / "model.onnx"), x[0], with_logits=True)
    torch.testing.assert_close(found.seg_logits.data[None], expected, rtol=1e-4, atol=1e-4)
    if number == 3:  # a file from before the order of the bands was right
        program = onnx.load(tmp_path / "model.onnx")
        told = json.loads(program.metadata_props[0].value)
        del told["order"]
        program.metadata_props[0].value = json.dumps(told)
        onnx.save(program, tmp_path / "old.onnx")
        with pytest.raises(
            UserError, match="exchanges red and blue of 16-bit images: export it again"
        ):
            load(tmp_path / "old.onnx")
