"""Loading weights: all of them, under both names, or an error that says what does not fit."""

import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.error import URLError

import pytest
import torch
from mmengine.logging import MMLogger

from mmseg.checkpoints.files import read_checkpoint
from mmseg.checkpoints.loading import load_model_weights
from mmseg.engine import PretrainedBackbone
from mmseg.errors import UserError
from mmseg.registry import MODELS

URL = "https://example.org/mscan_t-12345678.pth"


def built(config):
    torch.manual_seed(0)
    return MODELS.build(config)


@pytest.fixture
def model(tiny_model):
    return built(tiny_model)


@pytest.fixture
def weights(model):
    """Other weights than the model's, under the official names."""
    generator = torch.Generator().manual_seed(1)
    return OrderedDict(
        (key, torch.rand(value.shape, generator=generator) if value.is_floating_point() else value)
        for key, value in model.state_dict().items()
    )


@pytest.fixture
def save(tmp_path):
    def write(content):
        path = tmp_path / "weights.pth"
        torch.save(content, path)
        return path

    return write


def refused(function, *arguments):
    with pytest.raises(UserError) as error:
        function(*arguments)
    message = str(error.value)
    assert "\n" not in message
    return message


def assert_loaded(module, weights):
    state = module.state_dict()
    assert state.keys() == weights.keys()
    for key, value in weights.items():
        assert torch.equal(state[key], value), key


def openmmlab(weights):
    """The same tensors as OpenMMLab names them: the inner name of the MLP's convolution is gone."""
    renamed = {key.replace("mlp.dwconv.dwconv.", "mlp.dwconv."): v for key, v in weights.items()}
    assert renamed.keys() != weights.keys()
    return renamed


@pytest.mark.parametrize(
    "content",
    [
        lambda weights: weights,
        lambda weights: {"state_dict": weights, "meta": {"iter": 3}, "optimizer": {}},
        lambda weights: {"state_dict": openmmlab(weights)},
        lambda weights: {k: v for k, v in weights.items() if not k.endswith("tracked")},
    ],
    ids=["bare", "of a run", "of OpenMMLab", "without counters"],
)
def test_every_tensor_is_loaded(model, weights, save, content):
    load_model_weights(model, save(content(weights)))
    assert_loaded(model, weights)


def test_weights_go_into_the_model_that_test_time_augmentation_wraps(tiny_model, weights, save):
    wrapped = MODELS.build({"type": "SegTTAModel", "module": tiny_model})
    load_model_weights(wrapped, save(weights))
    assert_loaded(wrapped.module, weights)


@pytest.mark.parametrize("wrapped", [True, False])
def test_checkpoint_of_another_class_count_names_both_counts_and_the_tensors(
    tiny_model, weights, save, wrapped
):
    tiny_model["decode_head"]["num_classes"] = 7
    path = save({"state_dict": weights} if wrapped else weights)
    message = refused(load_model_weights, built(tiny_model), path)
    assert message.startswith(f"{path}: ")
    assert "it was trained on 3 classes, the config has 7" in message and "--new-classes" in message
    assert "decode_head.conv_seg.weight [3, 32, 1, 1] instead of [7, 32, 1, 1]" in message


@pytest.mark.parametrize(
    ("changes", "tensor"),
    [
        ({"depths": (1, 1, 2, 1)}, "block3.1.layer_scale_1"),
        (
            {"embed_dims": (12, 16, 24, 32)},
            "patch_embed1.proj.0.weight [4, 3, 3, 3] instead of [6, 3, 3, 3]",
        ),
    ],
)
def test_another_size_is_named_with_its_tensors(
    tiny_model, weights, backbone_weights, save, changes, tensor
):
    tiny_model["backbone"].update(changes)
    model = built(tiny_model)
    whole = refused(load_model_weights, model, save(weights))
    encoder = refused(PretrainedBackbone(str(save(backbone_weights))), model.backbone)
    for message in (whole, encoder):
        assert "it is of another size than the config" in message and tensor in message


def test_an_encoder_is_named_where_a_model_is_wanted(model, backbone_weights, save):
    for options in ({}, {"new_classes": True}):
        message = refused(partial(load_model_weights, **options), model, save(backbone_weights))
        assert "it has no decode head: is it an encoder, for model.backbone.init_cfg?" in message


def test_other_kind_of_model_is_named_so(model, save):
    message = refused(load_model_weights, model, save({"model": {"fc.weight": torch.zeros(3)}}))
    assert "it holds another kind of model, with fc.weight" in message
    assert message.count("backbone.") == 5
    assert message.endswith("...")


def test_an_incomplete_file_is_refused_and_leaves_the_model_as_it_was(model, weights, save):
    before = {key: value.clone() for key, value in model.state_dict().items()}
    needed = sum(not k.endswith("num_batches_tracked") for k in weights)
    for key in ("backbone.norm1.weight", "decode_head.align.conv.weight"):
        state = {k: v for k, v in weights.items() if k != key}
        message = refused(load_model_weights, model, save(state))
        assert f"{needed - 1} of {needed} tensors fit" in message
        assert f"or incomplete: {key}" in message
    assert_loaded(model, before)


@pytest.fixture
def backbone(tiny_model):
    return built(tiny_model["backbone"])


@pytest.fixture
def backbone_weights(weights):
    prefix = "backbone."
    return {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}


@pytest.mark.parametrize("kind", ["encoder", "classifier", "segmentor"])
def test_backbone_gets_the_weights_of_its_file(backbone, backbone_weights, weights, save, kind):
    extras = {"head.weight": torch.zeros(1000, 32), "head.bias": torch.zeros(1000)}
    content = {
        "encoder": backbone_weights,
        "classifier": {"state_dict": {**backbone_weights, **extras}},
        "segmentor": {"state_dict": openmmlab(weights)},
    }
    PretrainedBackbone(str(save(content[kind])), URL)(backbone)
    assert_loaded(backbone, backbone_weights)


def test_number_of_loaded_tensors_is_logged(backbone, backbone_weights, save, monkeypatch):
    path = save({**backbone_weights, "head.weight": torch.zeros(3)})
    lines = []
    log = SimpleNamespace(info=lines.append)
    monkeypatch.setattr(MMLogger, "get_current_instance", lambda: log)
    PretrainedBackbone(str(path), URL)(backbone)
    count = sum(not k.endswith("num_batches_tracked") for k in backbone_weights)
    assert lines == [f"{path}: {count} of {count} backbone tensors; 1 others in the file not used"]


@pytest.mark.parametrize(
    "error",
    [
        URLError("no network"),
        TimeoutError("timed out"),
        RuntimeError("invalid hash value"),
        OSError(28, "No space left on device"),
    ],
    ids=lambda e: type(e).__name__,
)
def test_run_stops_without_weights_and_says_what_to_do(backbone, tmp_path, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = tmp_path / "pretrained/mscan_t.pth"
    message = refused(PretrainedBackbone(str(path), URL), backbone)
    assert f"put that file at {path}" in message
    assert URL in message
    assert "_nopre" in message


@pytest.fixture
def served(tmp_path, monkeypatch) -> Iterator[SimpleNamespace]:
    """A folder that a server hands out at `url`, and torch's cache, empty."""
    found = SimpleNamespace(folder=tmp_path / "served", cache=tmp_path / "hub/checkpoints")
    found.folder.mkdir()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    handler = partial(SimpleHTTPRequestHandler, directory=found.folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found.url = f"http://127.0.0.1:{server.server_port}"
        yield found
        server.shutdown()


def test_weights_come_from_the_url_once_where_there_is_no_file(
    backbone, backbone_weights, tmp_path, served
):
    path = served.folder / "mscan.pth"
    torch.save({"state_dict": backbone_weights}, path)
    named = path.rename(path.with_name(f"mscan-{sha256(path.read_bytes()).hexdigest()[:8]}.pth"))
    initialise = PretrainedBackbone(str(tmp_path / "absent.pth"), f"{served.url}/{named.name}")
    initialise(backbone)
    assert_loaded(backbone, backbone_weights)
    named.unlink()
    initialise(backbone)
    kept = served.cache / named.name
    kept.write_bytes(kept.read_bytes().replace(b"PK", b"KP"))
    assert f"{kept}: cannot be read as a checkpoint" in refused(initialise, backbone)


def test_files_of_one_name_at_two_places_are_two(backbone_weights, served):
    for number in (1, 2):
        folder = served.folder / str(number)
        folder.mkdir()
        torch.save({"state_dict": {"x": torch.tensor(number)}}, folder / "latest.pth")
    found = [read_checkpoint(f"{served.url}/{n}/latest.pth")["state_dict"]["x"] for n in (1, 2)]
    assert found == [1, 2]


def test_a_download_that_is_not_what_its_name_says_is_not_kept(served):
    (served.folder / "mscan-01234567.pth").write_text("an error page")
    with pytest.raises(UserError, match=r"cannot be downloaded \(invalid hash value"):
        read_checkpoint(f"{served.url}/mscan-01234567.pth")
    assert not list(served.cache.iterdir())


def test_model_with_weights_asked_for_takes_them_when_it_is_initialised(
    tiny_model, backbone_weights, save
):
    path = save(backbone_weights)
    tiny_model["backbone"]["init_cfg"] = {
        "type": "PretrainedBackbone",
        "checkpoint": str(path),
        "url": URL,
    }
    model = built(tiny_model)
    model.init_weights()
    assert_loaded(model.backbone, backbone_weights)


def test_model_without_weights_asked_for_draws_convolutions_by_their_fan_out(tiny_model):
    model = built(tiny_model)
    model.init_weights()
    weight = model.backbone.block4[0].mlp.fc1.weight
    assert weight.std().item() == pytest.approx((2 / weight.shape[0]) ** 0.5, rel=0.1)
    assert model.backbone.block1[0].layer_scale_1.tolist() == pytest.approx([0.01] * 8)
    assert model.decode_head.conv_seg.weight.std().item() == pytest.approx(0.01, rel=0.3)


@pytest.mark.parametrize(
    "name",
    [
        *(r"module.\g<0>", r"_orig_mod.\g<0>", r"model.\g<0>", r"model._orig_mod.\g<0>"),
        r"\1._orig_mod.\2",  # a part that was compiled
    ],
)
@pytest.mark.parametrize("under", ["state_dict", "model", None])
def test_the_prefixes_of_wrappers_are_known(model, weights, save, name, under):
    state = {re.sub(r"^(\w+)\.(.+)", name, key): value for key, value in weights.items()}
    load_model_weights(model, save({under: state} if under else state), nmf_rank=4)
    assert torch.equal(
        model.state_dict()["backbone.norm1.weight"], weights["backbone.norm1.weight"]
    )
