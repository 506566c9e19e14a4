"""Inference engines against PyTorch: the same logits, files that are kept, and what falls back."""

import copy
from pathlib import Path

import pytest
import torch

from mmseg.apis import init_model
from mmseg.errors import UserError
from mmseg.export import engines, for_inference, session
from mmseg.export.loading import EngineModel
from mmseg.export.session import ENGINES, Session
from mmseg.registry import MODELS

pytest.importorskip("onnx")
for _name in ENGINES:
    pytest.importorskip(_name)


@pytest.fixture(scope="module")
def model(project):
    checkpoint = project / "work_dirs/tiny/iter_4.pth"
    model = init_model(project / "tiny.py", checkpoint, "cpu", fused=False)
    torch.manual_seed(0)
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)
    model.decode_head.hamburger.ham.eval_steps = 1  # of 7, to save time
    return model.requires_grad_(False)


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    """A file beside which networks are kept; its content is not read."""
    (tmp_path / "[best].pth").write_bytes(b"")
    return tmp_path / "[best].pth"


@pytest.fixture(scope="module")
def converted(tmp_path_factory) -> Path:
    """A file beside which the network of `model` is kept for all tests."""
    path = tmp_path_factory.mktemp("converted") / "model.pth"
    path.write_bytes(b"")
    return path


def kept(checkpoint: Path) -> list[str]:
    return sorted(path.name for path in checkpoint.parent.glob(".*.onnx"))


def image(*size, batch=1):
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("engine", ENGINES)
def test_logits_are_those_of_torch_at_any_size_and_batch_and_twice_the_same(
    model, engine, converted
):
    fast = for_inference(model, engine, converted)
    for batch, size in ((1, (64, 64)), (3, (32, 96)), (1, (65, 47)), (2, (160, 32))):
        x = image(*size, batch=batch)
        found, expected = fast.logits(x), model.logits(x)
        assert found.shape == expected.shape
        assert (found - expected).abs().max() < 1e-4 * expected.abs().max()
        assert torch.equal(found, fast.logits(x))
        # Maps of GPUs and of fused layers lie in memory in other orders.
        other = x.contiguous(memory_format=torch.channels_last)
        assert torch.equal(found, fast.logits(other))


def test_a_network_is_converted_once_and_again_when_the_weights_change(
    model, checkpoint, monkeypatch
):
    written = []

    def count(*args, **options):
        written.append(1)
        write(*args, **options)

    write = engines.to_onnx
    monkeypatch.setattr(engines, "to_onnx", count)
    other = checkpoint.with_name(".b.0123456789abcdef.onnx")  # of another checkpoint
    other.write_bytes(b"")
    for _ in range(2):
        for_inference(model, "onnxruntime", checkpoint)
    first = kept(checkpoint)
    assert (len(first), len(written)) == (2, 1)
    changed = copy.deepcopy(model)
    changed.decode_head.conv_seg.bias += 1
    fast = for_inference(changed, "onnxruntime", checkpoint)
    assert len(written) == 2
    assert len(kept(checkpoint)) == 2 and kept(checkpoint) != first
    torch.testing.assert_close(fast.logits(image(32, 32)), changed.logits(image(32, 32)))


@pytest.mark.parametrize("damage", ["cut", "other"])
def test_a_kept_file_that_is_damaged_or_computes_something_else_is_made_anew(
    model, checkpoint, damage
):
    for_inference(model, "onnxruntime", checkpoint)
    (name,) = kept(checkpoint)
    path = checkpoint.with_name(name)
    whole = path.read_bytes()
    if damage == "cut":
        path.write_bytes(whole[:1000])
    else:
        other = copy.deepcopy(model)
        other.decode_head.conv_seg.weight *= -1
        for_inference(other, "onnxruntime", checkpoint)
        path.write_bytes(checkpoint.with_name(kept(checkpoint)[0]).read_bytes())
    fast = for_inference(model, "onnxruntime", checkpoint)
    torch.testing.assert_close(fast.logits(image(32, 32)), model.logits(image(32, 32)))
    assert len(path.read_bytes()) == len(whole)


def test_an_engine_that_computes_something_else_is_refused_and_auto_takes_torch(
    model, converted, monkeypatch, warnings
):
    checkpoint = converted
    run = Session.__call__
    monkeypatch.setattr(Session, "__call__", lambda self, x: run(self, x) * 1.01)
    with pytest.raises(UserError, match="onnxruntime computes something else than PyTorch"):
        for_inference(model, "onnxruntime", checkpoint)
    assert not isinstance(for_inference(model, "auto", checkpoint), EngineModel)
    assert warnings[0].endswith("openvino computes something else than PyTorch; PyTorch predicts")


def test_a_network_that_onnx_cannot_express_leaves_torch(model, warnings, monkeypatch):
    def fail(*args, **options):
        raise RuntimeError("Unsupported: ONNX export of operator aten::fold")

    monkeypatch.setattr(engines, "to_onnx", fail)
    message = r"^the network cannot be converted to ONNX \(Unsupported: .*aten::fold\)$"
    with pytest.raises(UserError, match=message):
        for_inference(model, "onnxruntime")
    assert not isinstance(for_inference(model, "auto"), EngineModel)
    assert "aten::fold" in warnings[0]


def test_a_folder_that_cannot_be_written_leaves_torch(model, checkpoint, warnings, monkeypatch):
    def full(path, data):
        raise UserError(f"{path}: cannot be written (No space left on device)")

    monkeypatch.setattr("mmseg.export.facts.write_whole", full)
    with pytest.raises(UserError, match="No space left"):
        for_inference(model, "onnxruntime", checkpoint)
    assert not isinstance(for_inference(model, "auto", checkpoint), EngineModel)
    assert "No space left" in warnings[0]


@pytest.mark.parametrize(
    ("there", "half", "expected"),
    [
        ({"onnx", *ENGINES}, False, "openvino"),
        ({"onnx", "onnxruntime"}, False, "onnxruntime"),
        ({"onnx", "onnxruntime"}, True, "torch"),  # it has no bfloat16 on CPUs
        ({"openvino"}, False, "torch"),  # nothing writes the file
        (set(), False, "torch"),
    ],
)
def test_auto_takes_the_fastest_engine_that_is_installed(monkeypatch, there, half, expected):
    monkeypatch.setattr(session, "find_spec", lambda name: name in there or None)
    assert (*session.installed(half), "torch")[0] == expected


def test_without_engines_auto_fuses_and_an_engine_by_name_is_refused(model, monkeypatch, log):
    monkeypatch.setattr(session, "find_spec", lambda name: None)
    assert not isinstance(for_inference(model, "auto"), EngineModel)
    assert log.read() == ""
    message = r'^this needs onnx, openvino: run `pip install "segnext\[deploy\]"`$'
    with pytest.raises(UserError, match=message):
        for_inference(model, "openvino")
    with pytest.raises(UserError, match="engine='tensorrt': choose one of auto, torch, openvino"):
        for_inference(model, "tensorrt")


def test_an_encoder_of_another_kind_runs_in_an_engine_too(tiny_model):
    class OwnHead(MODELS.get("LightHamHead")):
        def forward(self, features):
            return super().forward(features).tanh()

    tiny_model["decode_head"]["type"] = OwnHead
    own = MODELS.build(tiny_model).eval()
    own.dataset_meta = {"classes": list("abc"), "palette": [[0, 0, 0]] * 3}
    with torch.no_grad():
        found, expected = (
            for_inference(own, "onnxruntime").logits(image(64, 32)),
            own(image(64, 32)),
        )
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


def test_the_log_says_in_one_line_what_runs_the_network(model, converted, log):
    for_inference(model, "auto", converted)  # which may convert it
    before = len(log.read())
    for_inference(model, "auto", converted)
    (line,) = log.read()[before:].splitlines()
    assert line.startswith("the network runs in openvino ") and line.endswith(
        f", threads: {torch.get_num_threads()}"
    )


def test_a_model_in_an_engine_keeps_config_and_classes_and_cannot_be_trained(model, converted):
    fast = for_inference(model, "onnxruntime", converted)
    assert fast.cfg is model.cfg and fast.dataset_meta is model.dataset_meta
    assert for_inference(fast, "openvino") is fast
    assert {each.device.type for each in fast.parameters()} == {"cpu"}
    with pytest.raises(UserError, match="runs in an engine is for inference only"):
        fast.train()
    other = copy.deepcopy(model)
    other.decode_head.conv_seg.bias += 1
    digests = [
        each.state_dict()["identity"] for each in (fast, for_inference(other, "onnxruntime"))
    ]
    assert not torch.equal(*digests)


def test_augmented_tests_run_in_an_engine(model, project):
    tta = MODELS.build({"type": "SegTTAModel", "module": model.cfg.model}).eval()
    tta.module.load_state_dict(model.state_dict())
    tta.module.dataset_meta, tta.module.cfg = model.dataset_meta, model.cfg
    fast = for_inference(tta, "onnxruntime")
    assert type(fast) is type(tta) and type(fast.module) is EngineModel
    assert type(tta.module) is type(model)


def test_engines_take_the_threads_of_torch_and_bind_none_of_them(model, converted, monkeypatch):
    """Two processes that bind their threads would share one core and leave the other one idle."""
    import openvino

    seen = {}
    compile_model = openvino.Core.compile_model

    def spy(self, *args):
        seen["model"] = compile_model(self, *args)
        return seen["model"]

    monkeypatch.setattr(openvino.Core, "compile_model", spy)
    torch.set_num_threads(1)
    try:
        fast = for_inference(model, "openvino", converted)
    finally:
        torch.set_num_threads(2)
    assert fast.runs_in.endswith(", threads: 1")
    expected = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
    assert {key: seen["model"].get_property(key) for key in expected} == expected


def test_bfloat16_is_asked_of_openvino_alone(model):
    half = copy.deepcopy(model)
    half.test_cfg = {"mode": "whole", "amp": True}
    with pytest.raises(
        UserError, match=r"^onnxruntime computes in float32 on CPUs: leave --amp out"
    ):
        for_inference(half, "onnxruntime")
    x = image(64, 64)
    found, expected = for_inference(half, "openvino").logits(x), model.logits(x)
    assert found.dtype == torch.float32
    assert (found - expected).norm() < 0.1 * expected.norm()
