"""What the workers measure, in this process: on a tiny network, without the peer's package."""

import runpy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmseg import ops
from mmseg.benchmark import files
from mmseg.benchmark.check import check_equal, read_numbers
from mmseg.benchmark.inputs import write_batch
from mmseg.benchmark.run import OWN_PARTS
from mmseg.benchmark.settings import Settings
from mmseg.benchmark.sides import our_side, prepare_config
from mmseg.benchmark.workers import actions, op_actions
from mmseg.benchmark.workers.actions import build_actions, official_name
from mmseg.benchmark.workers.op_actions import build_op_actions
from mmseg.benchmark.workers.ours import Ours
from mmseg.config import load_config
from mmseg.errors import UserError
from mmseg.models.decode_heads.ham_head import NMF2D
from mmseg.ops.depthwise import depthwise_conv2d
from mmseg.registry import MODELS

ROOT = Path(__file__).parents[2]
SETTINGS = Settings("cpu", threads=2, size=(64, 96))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("benchmark")


@pytest.fixture(scope="module")
def job(folder) -> dict:
    """A tiny network in the ADE20K recipe, its inputs and drawn files."""
    config = load_config(ROOT / "local_configs/segnext/tiny/segnext.tiny.512x512.ade.160k.py")
    config.model.backbone.update(embed_dims=(8, 16, 24, 32), depths=(1, 1, 1, 1))
    config.model.decode_head.update(in_channels=(16, 24, 32), channels=32, ham_channels=32)
    config.train_dataloader.update(num_workers=0, persistent_workers=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "TRAIN_IMAGES", 2)
        patch.setattr(files, "TEST_IMAGES", 1)
        config = prepare_config(config, SETTINGS)
        files.place_data(config, folder / "data")
    side = our_side("ours", config, SETTINGS, folder)
    inputs = folder / "inputs.pth"
    preprocessor = MODELS.build(config.model.data_preprocessor)
    write_batch(inputs, (2, 64, 96), 150, (32, 16), preprocessor)
    common = {"device": "cpu", "threads": 2, "batch": 2, "size": (64, 96), "inputs": str(inputs)}
    return {**side.job, **common, "data_root": str(folder / "data")}


@pytest.fixture(autouse=True)
def fast_after():
    yield
    ops.enable(True)


def numbers(side_type: type, job: dict, out: Path, **changes: object) -> dict:
    job = {**job, "part": "check", "out": str(out), **changes}
    build_actions(side_type(job), job)["numbers"]()
    return read_numbers(str(out))


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("infer", ["step", "classes"]),
        ("train", ["step", "loop"]),
        ("data", ["step"]),
        ("eval", ["image", "metric"]),
    ],
)
def test_each_part_runs_its_actions(job, part, names, monkeypatch):
    monkeypatch.setattr(actions, "SAMPLES_PER_STEP", 2)
    job = {**job, "part": part}
    built = build_actions(Ours(job), job)
    assert list(built) == names
    results = {name: built[name]() for name in names}
    assert part != "train" or 0 < results["loop"]["waited"] < 10
    assert part != "data" or results["step"] == {"count": 2}
    assert part != "eval" or results["metric"] == {"count": actions.METRIC_REPEATS}


def test_compiled_code_that_computes_something_else_is_not_measured(job, monkeypatch):
    job = {**job, "part": "infer", "compile": True}
    parts = []

    def compiled(factor: float):
        def replace(side, model, part):
            parts.append(part)
            network = model.network
            model.network = lambda x: factor * network(x)

        return replace

    monkeypatch.setattr(Ours, "compile_model", compiled(1 + 1e-4))
    build_actions(Ours(job), job)["step"]()
    for factor, gap in ((1.05, "5.0e-02"), (float("nan"), "nan")):
        monkeypatch.setattr(Ours, "compile_model", compiled(factor))
        with pytest.raises(ValueError, match=f"logits differ from eager ones by {gap} of"):
            build_actions(Ours(job), job)
    assert parts == ["infer"] * 3
    logits = torch.ones(3)
    actions.check_compiled(1.05 * logits, logits, {**job, "amp": "bf16"})
    with pytest.raises(ValueError, match=r"by 3.0e-01"):
        actions.check_compiled(1.3 * logits, logits, {**job, "amp": "bf16"})


def test_every_operation_and_kernel_has_its_action(job):
    for part, names in OWN_PARTS.items():
        built = build_op_actions(Ours(job), {**job, "part": part})
        assert list(built) == list(names)
        for name in list(names)[::7]:
            built[name]()


@pytest.mark.parametrize("amp", [None, "bf16"])
def test_kernels_are_those_of_the_encoder(job, amp, monkeypatch):
    seen: list[tuple] = []

    def convolve(x, weight, bias):
        seen.append((tuple(x.shape), tuple(weight.shape), x.is_contiguous(), x.dtype))
        return depthwise_conv2d(x, weight, bias)

    monkeypatch.setattr(op_actions, "depthwise_conv2d", convolve)
    built = build_op_actions(Ours(job), {**job, "part": "depthwise", "amp": amp})
    dtype = torch.float32 if amp is None else torch.bfloat16
    built["3x3 1 NCHW"]()
    assert seen[-1] == ((2, 64, 16, 24), (64, 1, 3, 3), True, dtype)
    built["1x21 3 channels_last"]()
    assert seen[-1] == ((2, 24, 4, 6), (24, 1, 1, 21), False, dtype)


def test_fast_and_plain_give_the_same_numbers(job, folder):
    config = Config.fromfile(job["config"])
    plain = our_side("plain", config, SETTINGS, folder, fast_ops=False)
    fast = numbers(Ours, job, folder / "fast.pth", amp="bf16")
    assert ops.enabled()
    slow = numbers(Ours, {**job, **plain.job}, folder / "slow.pth")
    assert not ops.enabled()
    gaps = check_equal(fast, slow, "plain")
    assert {"logits", "loss", "gradients", "classes", "logits of amp"} == set(gaps)
    assert 0 < gaps["logits of amp"] < 0.1
    assert len(fast["classes"].unique()) > 3
    assert fast["classes"].shape == (2, 64, 128)


@pytest.mark.parametrize("what", ["logits", "loss", "gradients", "classes"])
def test_other_numbers_are_refused(job, folder, what):
    ours = numbers(Ours, job, folder / "numbers.pth")
    off = {**ours, what: ours[what] * 1.02 if what != "classes" else ours[what] + 1}
    with pytest.raises(UserError, match=f"ours and onedl do not compute the same.*{what} by"):
        check_equal(off, ours, "onedl")


def test_not_a_number_is_refused(job, folder):
    ours = numbers(Ours, job, folder / "numbers.pth")
    with pytest.raises(UserError, match="loss by nan"):
        check_equal({**ours, "loss": ours["loss"] * float("nan")}, ours, "onedl")


def test_weights_of_another_network_are_noticed(job, folder):
    weights = torch.load(job["weights"])
    weights["backbone.block2.0.attn.spatial_gating_unit.conv2_1.weight"] *= 1.5
    torch.save(weights, folder / "other.pth")
    ours = numbers(Ours, job, folder / "numbers.pth")
    other = numbers(Ours, job, folder / "numbers.pth", weights=str(folder / "other.pth"))
    with pytest.raises(UserError, match="do not compute the same"):
        check_equal(ours, other, "other")


@pytest.fixture
def peer(job, folder, monkeypatch) -> type:
    """The peer's side on a package of the same names: ours, with a config where it looks, and its
    name for the function that makes bases.
    """
    monkeypatch.syspath_prepend(str(Path(actions.__file__).parent))
    module = runpy.run_path(str(Path(actions.__file__).with_name("onedl.py")))
    side = module["OneDL"]
    config = Config.fromfile(job["config"])
    config.model.decode_head.loss_decode = {"type": "CrossEntropyLoss"}
    name = "segnext_mscan-t_1xb16-adamw-160k_ade20k-512x512.py"
    config.dump(folder / name)
    shape = (256, 16)
    monkeypatch.setattr(NMF2D, "build_bases", lambda nmf, n: nmf._build_bases(n, 1, *shape))
    monkeypatch.setitem(side.__init__.__globals__, "CONFIGS", folder)
    return side


def test_the_peer_s_worker_takes_the_same_job(job, folder, peer):
    job |= {"size_letter": "t", "class_weight": None, "workers": 0}
    theirs = numbers(peer, job, folder / "theirs.pth")
    ours = numbers(Ours, job, folder / "numbers.pth")
    assert torch.equal(theirs["logits"], ours["logits"])
    side = peer(job)
    assert len(side.build_dataset(job, "test")) == 1
    batch = next(iter(side.build_loader(job)))
    assert [image.shape for image in batch["inputs"]] == [(3, 64, 96)] * 2


def test_a_weight_that_the_peer_does_not_have_is_an_error(job, folder, peer):
    weights = torch.load(job["weights"])
    torch.save({**weights, "more": torch.zeros(1)}, folder / "more.pth")
    job = {**job, "size_letter": "t", "class_weight": None, "workers": 0}
    with pytest.raises(ValueError, match=r"takes \d+ of the \d+ weights"):
        peer(job).build_model({**job, "weights": str(folder / "more.pth")})


@pytest.mark.parametrize("own", ["mlp.dwconv.weight", "mlp.dwconv.dwconv.weight"])
def test_the_peer_s_names_are_the_official_ones_but_for_one(own):
    block = "backbone.block1.0"
    assert official_name(f"{block}.{own}") == f"{block}.mlp.dwconv.dwconv.weight"
    assert official_name(f"{block}.attn.proj_1.bias") == f"{block}.attn.proj_1.bias"
