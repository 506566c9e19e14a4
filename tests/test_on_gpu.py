"""Networks, operations and runs on a GPU; on a CPU, those that can run there."""

import copy
import json
import os
from functools import partial

import pytest
import torch
from tiny_project import write_project
from torch import nn
from torch.nn import functional as F

from mmseg.config import load_config
from mmseg.engine import SegRunner
from mmseg.engine.compile import compile_network
from mmseg.engine.prepare import use_amp
from mmseg.inference import fuse
from mmseg.ops.class_map import Frame, best_class, class_map, to_original
from mmseg.ops.cross_entropy import upsampled_cross_entropy
from mmseg.ops.decoder import factorise
from mmseg.ops.depthwise import depthwise_conv2d
from mmseg.ops.device import DEFAULTS
from mmseg.ops.photometric import distort
from mmseg.registry import MODELS

# cuBLAS reads it when it is first used.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
ON_GPU = torch.cuda.is_available()
DEVICE = "cuda" if ON_GPU else "cpu"
needs_gpu = pytest.mark.skipif(not ON_GPU, reason="needs a GPU")


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    """Let float32 mean float32, and take back what a run decided for its process."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    for name in ("deterministic", "benchmark"):
        monkeypatch.setattr(torch.backends.cudnn, name, getattr(torch.backends.cudnn, name))
    yield
    torch.use_deterministic_algorithms(False)
    if ON_GPU:
        torch._dynamo.reset()


@pytest.fixture
def model(tiny_model) -> nn.Module:
    torch.manual_seed(0)
    model = MODELS.build(tiny_model)
    for name, parameter in model.named_parameters():
        if "layer_scale" in name:
            nn.init.normal_(parameter)
    return model.to(DEVICE)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1)).to(DEVICE)


def relative(value: torch.Tensor, wanted: torch.Tensor) -> float:
    return ((value.double() - wanted.double()).norm() / wanted.double().norm()).item()


def step(model: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    """Return logits and all gradients of a training step."""
    model = copy.deepcopy(model).train()
    ham = model.decode_head.hamburger.ham
    bases = torch.rand(len(images), *ham.eval_bases.shape[1:], generator=torch.Generator())
    ham.build_bases = lambda _: F.normalize(bases.to(images), dim=1)
    (logits,) = model.training_logits(images)
    labels = torch.arange(64 * 96).view(1, 64, 96).expand(len(images), -1, -1) % 3
    model.decode_head.loss(logits, labels.to(DEVICE))["loss_ce"].backward()
    return [logits.detach(), *(p.grad for p in model.parameters())]


def check_near(values, expected, tolerance) -> None:
    """Compare many tensors as one vector: some gradients are nothing but rounding."""
    one, other = (torch.cat([x.flatten().double() for x in each]) for each in (values, expected))
    assert relative(one, other) < tolerance


def test_fused_networks_compute_the_same(model, images):
    with torch.no_grad():
        wanted = model.eval().logits(images)
        assert relative(fuse(model).logits(images), wanted) < 1e-5


def test_bfloat16_stays_within_its_rounding(model, images):
    with torch.no_grad():
        wanted = model.eval().logits(images)
        model.test_cfg = {"mode": "whole", "amp": True}
        for network in (model, fuse(model)):
            assert relative(network.logits(images), wanted) < 0.05


def test_steps_are_near_those_of_float64(model, images):
    exact = step(copy.deepcopy(model).double(), images.double())
    check_near(step(model, images), exact, 1e-3)


def test_deterministic_steps_give_the_same_bits_twice(model, images):
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.deterministic = True
    for one, other in zip(step(model, images), step(model, images), strict=True):
        assert torch.equal(one, other)


@needs_gpu
def test_channels_last_computes_the_same_as_contiguous(model, images, monkeypatch):
    wanted = step(model, images)
    monkeypatch.setitem(DEFAULTS, "channels_last", (True, ""))
    check_near(step(model, images), wanted, 1e-3)


@needs_gpu
def test_compiled_networks_compute_the_same_as_eager_ones(model, images):
    """From the second call on in a graph."""
    compiled = copy.deepcopy(model).eval()
    compile_network(compiled)
    with torch.no_grad():
        for x in (images, images + 1, images - 1):
            assert relative(compiled.logits(x), model.eval().logits(x)) < 1e-4


@needs_gpu
def test_compiled_steps_give_the_gradients_of_eager_ones(model, images):
    results = []
    for prepare in (lambda network: None, partial(compile_network, trains=True)):
        network = copy.deepcopy(model).train()
        ham = network.decode_head.hamburger.ham
        ham.build_bases = lambda n, ham=ham: F.normalize(ham.eval_bases.expand(n, -1, -1), dim=1)
        prepare(network)
        found = []
        for x in (images, images + 1, images - 1):  # from the second one on in a graph
            network.training_logits(x).square().mean().backward()
            found += [p.grad.clone() for p in network.parameters()]
            network.zero_grad()
        results.append(found)
    check_near(results[1], results[0], 1e-3)


def values_and_gradients(name: str, dtype: torch.dtype, device: str) -> list[torch.Tensor]:
    """Return the results of an operation, on inputs of odd sizes, and their gradients."""
    generator = torch.Generator().manual_seed(3)

    def random(*shape: int) -> torch.Tensor:
        x = torch.randn(shape, generator=generator, dtype=torch.float64)
        return x.to(device, dtype).requires_grad_()

    if name == "depthwise_convolution":
        inputs = [random(2, 5, 7, 9), random(5, 1, 1, 21), random(5)]
        outputs = [depthwise_conv2d(*inputs)]
    elif name == "factorisation":
        inputs = [random(2, 7, 15), random(2, 7, 3)]
        outputs = list(factorise(inputs[0].relu(), inputs[1].abs() + 0.1, 3))
    elif name == "cross_entropy":
        inputs = [random(2, 5, 3, 5)]
        labels = torch.randint(5, (2, 23, 39), generator=generator).to(device)
        outputs = [upsampled_cross_entropy(inputs[0], labels)[0]]
    else:
        x = random(2, 3, 7, 9).detach().sigmoid() * 255
        distort(x, [{"brightness": 9.0, "hue": 20.0}, {"saturation": 1.4}], (0, 1, 2))
        return [x]
    total = sum(each.square().sum() for each in outputs)
    return [*outputs, *torch.autograd.grad(total, inputs)]


@pytest.mark.parametrize(
    "name", ["depthwise_convolution", "factorisation", "cross_entropy", "colours"]
)
def test_fast_operations_equal_those_of_float64(name):
    found = values_and_gradients(name, torch.float32, DEVICE)
    wanted = values_and_gradients(name, torch.float64, "cpu")
    for value, expected in zip(found, wanted, strict=True):
        assert relative(value.detach().cpu(), expected.detach()) < 1e-5


def test_class_maps_equal_those_of_all_logits():
    x = torch.randn(1, 7, 5, 9, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    frame = Frame((40, 72), (37, 65), (61, 93), flip="horizontal")
    wanted = best_class(to_original(x.double(), frame)[0])
    assert (class_map(x, frame) != wanted).sum() <= 1  # rounding


def train(folder, name, iterations, seed, resume=False, precision=None):
    """Train with averaged weights and accumulation; return the last checkpoint and all losses."""
    config = load_config(folder / "tiny.py")
    config.work_dir = str(folder / name)
    config.val_dataloader = config.val_cfg = config.val_evaluator = None
    config.train_cfg = {"by_epoch": False, "max_iters": iterations, "accumulate": 2}
    config.custom_hooks = [{"type": "EMAHook"}]
    config.randomness = {"seed": seed, "deterministic": True}
    config.param_scheduler[-1].end = 20
    config.default_hooks.checkpoint.interval = 10
    config.resume_from_work_dir = resume
    config.experiment_name = f"{folder.name} {name} {iterations}"
    if precision == "bfloat16":
        use_amp(config)
    elif precision == "float16":
        config.optim_wrapper.update(type="AmpOptimWrapper", loss_scale="dynamic")
    SegRunner.from_cfg(config).train()
    logs = sorted((folder / name).glob("*/vis_data/scalars.json"))
    lines = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
    state = torch.load(folder / name / f"iter_{iterations}.pth", weights_only=False)
    return state, [line["loss"] for line in lines]


def equal(one, other) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other


@needs_gpu  # elsewhere tests/chaos holds it
@pytest.mark.parametrize("seed", [0, 1])
def test_a_resumed_run_ends_in_the_bits_of_an_untouched_one(tmp_path, seed):
    write_project(tmp_path)
    whole, losses = train(tmp_path, "whole", 20, seed)
    train(tmp_path, "parts", 10, seed)
    parts, resumed = train(tmp_path, "parts", 20, seed, resume=True)
    assert resumed == losses
    assert "ema_state_dict" in whole
    for key in ("state_dict", "ema_state_dict", "optimizer"):
        assert equal(whole[key], parts[key]), key


@needs_gpu
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_runs_in_half_precision_stay_finite_and_near_float32(tmp_path, precision):
    write_project(tmp_path)
    _, wanted = train(tmp_path, "single", 10, 0)
    state, losses = train(tmp_path, "half", 10, 0, precision=precision)
    assert all(torch.isfinite(value).all() for value in state["state_dict"].values())
    assert losses == pytest.approx(wanted, rel=0.2)
