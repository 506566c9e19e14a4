"""The kernels for GPUs against float64: on a GPU, elsewhere in Triton's interpreter."""

import importlib
import os
import subprocess
import sys
from copy import deepcopy
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.utils import digit_version

from mmseg.models.backbones.mscan import Block
from mmseg.ops import class_map, triton
from mmseg.ops.class_map import Frame
from mmseg.ops.cross_entropy import upsampled_cross_entropy
from mmseg.ops.depthwise import depthwise_conv2d

pytest.importorskip("triton")

ON_GPU = torch.cuda.is_available()
DEVICE = "cuda" if ON_GPU else "cpu"
IS_OLD = digit_version(version("triton")) < (3, 7) and digit_version(np.__version__) >= (2, 4)
if IS_OLD and not ON_GPU:
    pytest.skip("triton's interpreter takes numpy 2.4 from 3.7 on", allow_module_level=True)


@pytest.fixture(autouse=True)
def kernels(monkeypatch):
    """Let the public functions run the kernels, on a CPU too; float64 goes the way of torch."""
    if not ON_GPU:

        def kernels_for(x, name):
            suits = name in triton._enabled and x.dtype != torch.float64
            return importlib.import_module(f"mmseg.ops.triton.{name}") if suits else None

        monkeypatch.setattr(triton, "kernels_for", kernels_for)
    # Float32 means float32, as in the benchmark's check.
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    triton.enable(True)
    yield
    triton.enable(False)


@pytest.fixture(autouse=True)
def poison(monkeypatch):
    """Fill what is allocated with NaN, or a large number: an element that is not written shows."""

    def poisoned(function):
        def allocate(*args, **kwargs):
            x = function(*args, **kwargs)
            return x.fill_(float("nan") if x.is_floating_point() else 77)

        return allocate

    for owner, name in ((torch, "empty"), (torch, "empty_like"), (torch.Tensor, "new_empty")):
        monkeypatch.setattr(owner, name, poisoned(getattr(owner, name)))


def random(*shape, dtype=torch.float32):
    return torch.randn(shape).to(DEVICE, dtype)


def relative(value, wanted):
    return ((value - wanted).norm() / wanted.norm()).item()


def values_and_gradients(inputs):
    output = depthwise_conv2d(*inputs)
    toward = torch.randn(output.shape, generator=torch.Generator().manual_seed(1))
    toward = toward.to(output.device, output.dtype)
    return output, *torch.autograd.grad(output, inputs, toward)


def check_convolution(x_shape, kernel_size, dtype=torch.float32, tolerance=1e-6):
    """Compare a convolution, under autocast to `dtype`, with that of float64; return its output."""
    channels = x_shape[1]
    inputs = [random(*x_shape), random(channels, 1, *kernel_size), random(channels)]
    inputs = [x.requires_grad_() for x in inputs]
    with torch.autocast(DEVICE, dtype, enabled=dtype != torch.float32):
        result = values_and_gradients(inputs)
    wanted = values_and_gradients([x.detach().double().requires_grad_() for x in inputs])
    assert [each.dtype for each in result] == [dtype] + 3 * [torch.float32]
    for value, expected in zip(result, wanted, strict=True):
        assert relative(value, expected) < tolerance
    return result[0]


@pytest.mark.parametrize("kernel_size", [(5, 3), (1, 21)])
def test_convolutions_and_their_gradients_equal_those_of_float64(kernel_size):
    # More channels than a program takes where they cost little; sizes that no block divides.
    shape = (2, 35, 3, 5) if kernel_size == (5, 3) else (2, 3, 6, 9)
    assert "mmseg" in check_convolution(shape, kernel_size).grad_fn.name()


def test_weight_gradients_of_many_lines_are_summed_over_all_parts():
    check_convolution((2, 2, 17, 34), (1, 3))


def test_autocast_gives_its_dtype_channels_last():
    output = check_convolution((1, 4, 5, 6), (3, 3), torch.bfloat16, tolerance=0.01)
    assert output.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("cuda", "installed", "there"),
    [
        ("13.0", "3.6.0", True),
        ("13.0", "3.2.0", False),
        ("13.0", None, False),
        (None, "3.6.0", False),
    ],
)
def test_kernels_are_loaded_where_they_can_run(monkeypatch, cuda, installed, there):
    def version(_):
        if installed is None:
            raise PackageNotFoundError
        return installed

    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(triton, "version", version)
    assert set(triton._load()) == (set(triton.KERNELS) if there else set())


def test_kernels_run_only_when_asked_for():
    triton.enable(False)
    output = depthwise_conv2d(random(1, 2, 4, 4), random(2, 1, 3, 3).requires_grad_(), random(2))
    assert "mmseg" not in output.grad_fn.name()


def test_all_kernel_sizes_of_the_encoder_give_the_gradients_of_float64():
    torch.manual_seed(0)
    block = Block(2, mlp_ratio=2, drop_rate=0.0, drop_path=0.0).to(DEVICE)
    torch.nn.init.normal_(block.layer_scale_1)
    x = random(2, 2, 4, 4)
    gradients = []
    for dtype in (torch.float32, torch.float64):
        copy = deepcopy(block).to(dtype)
        copy(x.to(dtype)).square().sum().backward()
        gradients.append(dict(copy.named_parameters()))
    assert len(gradients[0]) == 32
    largest = max(wanted.grad.norm() for wanted in gradients[1].values())
    for name, parameter in gradients[0].items():
        wanted = gradients[1][name].grad
        assert (parameter.grad - wanted).norm() < 1e-5 * wanted.norm() + 1e-7 * largest, name


@pytest.mark.parametrize("name", ["depthwise_conv2d", "depthwise_weight_gradient"])
def test_compilers_are_told_what_the_kernels_return(name):
    x = random(2, 3, 4, 5, dtype=torch.bfloat16)
    arguments = {
        "depthwise_conv2d": (x, random(3, 3), random(3), 1, 3),
        "depthwise_weight_gradient": (x, x, 3, 1),
    }
    operation = getattr(torch.ops.mmseg, name).default
    torch.library.opcheck(operation, arguments[name], test_utils=("test_schema", "test_faketensor"))


def compared(logits, labels, weight, align_corners=False, ignore_index=255):
    """Return sum, right pixels and gradient."""
    logits = logits.detach().requires_grad_()
    total, right = upsampled_cross_entropy(logits, labels, weight, ignore_index, align_corners)
    (gradient,) = torch.autograd.grad(3 * total, logits)
    return total, right, gradient


def labels_of(classes, *shape):
    return torch.randint(classes, shape).to(DEVICE)


@pytest.mark.parametrize(
    ("logits", "size", "align_corners"),
    [
        ((2, 5, 2, 3), (16, 24), False),
        ((1, 70, 1, 2), (5, 21), False),  # more classes than a program takes at a time
        ((1, 3, 3, 3), (7, 12), True),
        ((1, 4, 5, 6), (3, 4), False),  # fewer pixels than logits
    ],
)
def test_cross_entropy_equals_that_of_float64(logits, size, align_corners):
    x, labels = random(*logits), labels_of(logits[1], logits[0], *size)
    labels[:, 0] = 255
    weight = torch.rand(logits[1], device=DEVICE)
    total, right, gradient = compared(x, labels, weight, align_corners)
    wanted = compared(x.double(), labels, weight.double(), align_corners)
    assert total.item() == pytest.approx(wanted[0].item(), rel=1e-6)
    assert right == wanted[1]
    assert relative(gradient, wanted[2]) < 1e-6


def test_cross_entropy_of_far_logits():
    x = torch.zeros(1, 3, 1, 2, device=DEVICE)
    x[0, 1, 0, 0], x[0, 2, 0, 1] = 1000.0, 2000.0
    labels = torch.tensor([[[1, 1, 1, 2, 2, 2, 2, 2], [0] * 8]], device=DEVICE)
    total, right, gradient = compared(x, labels, None)
    wanted = compared(x.double(), labels, None)
    assert total.item() == pytest.approx(wanted[0].item(), rel=1e-6)
    assert right == wanted[1]
    assert relative(gradient, wanted[2]) < 1e-6


def test_cross_entropy_reads_nothing_behind_the_logits():
    numbers = torch.full((100,), float("nan"), device=DEVICE)
    numbers[:24] = random(24)
    x = numbers[:24].view(1, 2, 4, 3).permute(0, 3, 1, 2)
    total, _, gradient = compared(x, labels_of(3, 1, 16, 32), None)
    assert total.isfinite()
    assert gradient.isfinite().all()


def test_cross_entropy_of_ignored_labels_is_zero_and_of_wrong_ones_nan():
    x = random(1, 3, 1, 1)
    total, right, gradient = compared(x, torch.full((1, 3, 3), 7, device=DEVICE), None, False, 7)
    assert (total.item(), right.item(), gradient.abs().max().item()) == (0, 0, 0)
    assert compared(x, torch.full((1, 3, 3), 3, device=DEVICE), None)[0].isnan()
    assert compared(x / 0, torch.zeros(1, 3, 3, device=DEVICE).long(), None)[0].isnan()


@pytest.mark.parametrize(
    ("logits", "frame"),
    [
        ((1, 5, 3, 2), Frame((24, 16), (23, 15), (30, 21))),
        ((1, 40, 2, 3), Frame((16, 24), (16, 24), (16, 24), flip="diagonal")),
        ((1, 4, 3, 3), Frame((24, 24), (24, 24), (24, 24), align_corners=True)),
    ],
)
def test_class_maps_equal_those_of_all_logits(logits, frame):
    x = random(*logits) - 9
    result = class_map.class_map(x, frame)
    assert torch.equal(result, class_map.best_class(class_map.to_original(x, frame)[0]))


def test_class_maps_take_the_first_of_equal_classes():
    x = torch.ones(1, 40, 2, 2, device=DEVICE)
    x[:, :3] = 0
    frame = Frame((16, 16), (16, 16), (16, 16))
    assert (class_map.class_map(x, frame) == 3).all()


def test_kernels_compile_for_hopper(tmp_path):
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path)}
    environment.pop("TRITON_INTERPRET", None)
    script = Path(__file__).with_name("compile_kernels.py")
    done = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.rglob("*.cubin"))) == 4
