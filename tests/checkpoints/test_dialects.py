"""The five kinds of checkpoint, their ranks, and the tools that convert and publish them."""

import copy
import hashlib
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from run_tool import run_tool
from tiny_project import write_project

from mmseg.apis import init_model
from mmseg.checkpoints.dialects import DIALECTS, rank_of, state_dict_as, state_dict_of
from mmseg.checkpoints.files import read_checkpoint, write_checkpoint
from mmseg.checkpoints.loading import load_model_weights
from mmseg.config import load_config
from mmseg.engine import PretrainedBackbone
from mmseg.errors import UserError
from mmseg.registry import MODELS

ROOT = Path(__file__).parents[2]
OWN_HEAD = """
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS


@MODELS.register_module()
class OwnHead(BaseDecodeHead):
    def forward(self, features):
        return self.cls_seg(self.features(features)[0])
"""


@pytest.fixture
def build(tiny_model):
    def build(**head):
        config = copy.deepcopy(tiny_model)
        config["decode_head"].update(head)
        return MODELS.build(config).eval()

    return build


def contents(model, part, dialect):
    """What a file of this kind holds, with the metadata that its home writes."""
    state = state_dict_as({"state_dict": model.state_dict()}, dialect)
    if part == "backbone":
        prefix = "backbone."
        state = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        state |= {"head.weight": torch.zeros(10, 32), "head.bias": torch.zeros(10)}
        return state if dialect == "official" else {"state_dict": state, "meta": {}}
    meta = {
        "official": {"CLASSES": ("a", "b", "c"), "mmseg_version": "0.24.1", "config": "x = 1"},
        "mmseg": {"dataset_meta": {"classes": ("a", "b", "c")}, "iter": 5, "cfg": "x = 1"},
        "segnext": {"segnext_version": "0.1.0", "nmf_rank": 4},
    }[dialect]
    return {"state_dict": OrderedDict(state), "meta": meta, "optimizer": {"state": {}}}


@pytest.mark.parametrize(
    "part, dialect",
    [("backbone", "mmseg"), ("backbone", "official"), *(("model", d) for d in DIALECTS)],
)
def test_each_kind_of_checkpoint_gives_the_same_outputs(build, tmp_path, part, dialect):
    source, target = build(), build()
    torch.save(contents(source, part, dialect), tmp_path / "x.pth")
    if part == "model":
        load_model_weights(target, tmp_path / "x.pth")
    else:
        PretrainedBackbone(str(tmp_path / "x.pth"))(target.backbone)
        target.decode_head.load_state_dict(source.decode_head.state_dict())
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(source(image), target(image))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("there", DIALECTS)
def test_converting_there_and_back_changes_no_bit(build, tmp_path, there, suffix):
    state = build().state_dict()
    path, back = tmp_path / f"x{suffix}", tmp_path / f"back{suffix}"
    write_checkpoint(path, state_dict_as({"state_dict": state}, there), {"nmf_rank": 4})
    write_checkpoint(back, state_dict_as(read_checkpoint(path), "official"), {})
    result = read_checkpoint(back)["state_dict"]
    assert result.keys() == state.keys()
    assert all(torch.equal(result[key], state[key]) for key in state)
    assert rank_of(read_checkpoint(path)) == 4
    renamed = any(key.endswith("mlp.dwconv.weight") for key in read_checkpoint(path)["state_dict"])
    assert renamed == (there == "mmseg")


def test_new_classes_starts_only_the_classifier_fresh(build, tmp_path):
    source, target = build(), build(num_classes=7)
    torch.save(contents(source, "model", "mmseg"), tmp_path / "x.pth")
    fresh = target.decode_head.conv_seg.weight.clone()
    load_model_weights(target, tmp_path / "x.pth", new_classes=True)
    assert torch.equal(target.decode_head.conv_seg.weight, fresh)
    expected, result = source.state_dict(), target.state_dict()
    assert all(torch.equal(result[k], expected[k]) for k in expected if "conv_seg" not in k)


@pytest.mark.parametrize(
    "dialect, width, meta, rank",
    [
        *(("official", 256, {}, 16), ("official", 512, {}, 64), ("official", 1024, {}, 64)),
        *(("mmseg", 256, {}, 16), ("mmseg", 512, {}, 16), ("mmseg", 1024, {}, 16)),
        *(("official", 48, {}, None), ("official", 512, {"config": "dict(MD_R=32)"}, 32)),
    ],
)
def test_rank_is_known_by_the_config_of_the_training_or_by_source_and_size(
    dialect, width, meta, rank
):
    state = {
        "backbone.block1.0.mlp.dwconv.dwconv.weight": torch.zeros(1),
        "decode_head.squeeze.conv.weight": torch.zeros(width, 1, 1, 1),
    }
    state = state_dict_as({"state_dict": state}, dialect)
    assert rank_of({"state_dict": state, "meta": meta}) == rank


def test_another_rank_stops_and_names_the_flag(build, tmp_path):
    torch.save(contents(build(), "model", "segnext"), tmp_path / "x.pth")
    other = build(ham_kwargs={"MD_R": 8})
    with pytest.raises(UserError, match=r"NMF rank 4, .* pass --nmf-rank 4 to use"):
        load_model_weights(other, tmp_path / "x.pth")
    load_model_weights(other, tmp_path / "x.pth", nmf_rank=8)


def tool(name, *arguments, expect=0):
    result = run_tool(name, *arguments)
    assert result.returncode == expect, result.stderr[-2000:]
    return (result.stdout + result.stderr).strip()


@pytest.fixture
def ours(build, tmp_path):
    """The path of a checkpoint that a run of ours may have written, and its model."""
    model = build()
    content = contents(model, "model", "segnext")
    content["meta"] |= {"mean": [1.0, 2.0, 3.0], "std": [4.0, 5.0, 6.0], "bgr_to_rgb": True}
    names = {"classes": ("a", "b", "c"), "palette": [(0, 0, 0)] * 3}
    content["meta"] |= {"cfg": "x = 1", "dataset_meta": names}
    torch.save(content, tmp_path / "m.pth")
    return tmp_path / "m.pth", model


def test_the_tools_convert_and_publish(ours, tmp_path):
    path, source = ours
    out = tool("convert_checkpoint.py", path, tmp_path / "converted.pth", "--to", "mmseg")
    assert "segnext to mmseg, NMF rank 4" in out
    published = Path(tool("publish_model.py", path, tmp_path / "p.safetensors"))
    assert not (tmp_path / "p.safetensors").exists()
    digest = hashlib.sha256(published.read_bytes()).hexdigest()[:8]
    assert published.name == f"p-{digest}.safetensors"
    result = read_checkpoint(published)
    assert result["meta"]["mean"] == [1.0, 2.0, 3.0]
    assert result["meta"]["dataset_meta"]["classes"] == ["a", "b", "c"]
    state = state_dict_of(result)
    assert all(torch.equal(state[k], v) for k, v in source.state_dict().items())


def test_publishing_under_the_name_of_the_checkpoint_leaves_it(ours, tmp_path):
    path, _ = ours
    before = path.read_bytes()
    published = Path(tool("publish_model.py", path, path))
    assert path.read_bytes() == before
    assert {each.name for each in tmp_path.iterdir()} == {"m.pth", published.name}


def test_publishing_says_what_a_foreign_checkpoint_lacks(build, tmp_path):
    torch.save(contents(build(), "model", "official"), tmp_path / "in.pth")
    out = tool("publish_model.py", tmp_path / "in.pth", tmp_path / "p.pth", expect=1)
    assert "does not tell mean, std" in out and "--config" in out


def test_a_model_with_another_head_is_published_without_a_rank(tmp_path, monkeypatch):
    (tmp_path / "own_head.py").write_text(OWN_HEAD)
    added = """
custom_imports = dict(imports=["own_head"], allow_failed_imports=False)
model["decode_head"] = dict(
    _delete_=True, type="OwnHead", in_channels=32, in_index=3, channels=32, num_classes=3
)
"""
    write_project(tmp_path, added)
    monkeypatch.syspath_prepend(tmp_path)
    model = init_model(tmp_path / "tiny.py", device="cpu", fused=False)
    torch.save({"state_dict": model.state_dict()}, tmp_path / "in.pth")
    given = ["--config", tmp_path / "tiny.py"]
    result = run_tool(
        "publish_model.py", tmp_path / "in.pth", tmp_path / "p.pth", *given, python_path=tmp_path
    )
    assert result.returncode == 0, result.stderr
    meta = read_checkpoint(result.stdout.splitlines()[-1])["meta"]
    assert [*meta["dataset_meta"]["classes"]] == ["ground", "roof", "tree"]
    assert "nmf_rank" not in meta


@pytest.mark.parametrize("size", ["tiny", "small", "base", "large"])
def test_every_size_predicts_the_same_after_a_round_trip_in_every_dialect(size, tmp_path):
    config = load_config(ROOT / f"local_configs/segnext/{size}/segnext.{size}.512x512.ade.160k.py")
    encoder, head = config.model.backbone, config.model.decode_head
    encoder.init_cfg = None
    # Names come from the depths; an eighth of the widths takes less time.
    encoder.embed_dims = [width // 8 for width in encoder.embed_dims]
    head.in_channels = encoder.embed_dims[1:]
    head.channels = head.ham_channels = head.ham_channels // 8
    source, target = (MODELS.build(config.model).eval() for _ in range(2))
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = source(image)
        for dialect in DIALECTS:
            state = state_dict_as({"state_dict": source.state_dict()}, dialect)
            meta = {"nmf_rank": source.decode_head.hamburger.ham.rank}
            write_checkpoint(tmp_path / f"{dialect}.pth", state, meta)
            for parameter in target.parameters():
                parameter.zero_()
            load_model_weights(target, tmp_path / f"{dialect}.pth")
            assert torch.equal(target(image), expected)
