"""Single operations to time, for the stage `operations` of tools/bench/gpu.py."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product

import torch

from mmseg.ops import triton
from mmseg.ops.class_map import Frame, class_map
from mmseg.ops.cross_entropy import upsampled_cross_entropy
from mmseg.ops.decoder import factorise
from mmseg.ops.depthwise import depthwise_conv2d

WINDOWS = ((5, 5), (1, 7), (7, 1), (1, 11), (11, 1), (1, 21), (21, 1))
STAGES = ((32, 128), (64, 64), (160, 32), (256, 16))  # channels and height of T's maps
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
SIDES = (("torch", "contiguous"), ("torch", "channels_last"), ("triton", "channels_last"))


def convolve(x: torch.Tensor, *parameters: torch.Tensor) -> None:
    y = depthwise_conv2d(x, *parameters)
    if y.requires_grad:
        torch.autograd.grad(y, (x, *parameters), torch.ones_like(y))


def lose(logits: torch.Tensor, labels: torch.Tensor) -> None:
    upsampled_cross_entropy(logits, labels)[0].backward()


def factor(x: torch.Tensor, bases: torch.Tensor) -> None:
    results = factorise(x, bases, 6)
    torch.autograd.grad(sum(each.sum() for each in results), x)


def operations(device: str, batch: int, side: int) -> Iterator[tuple[str, Callable]]:
    """Yield names, and actions for images of that size; each sets up what it needs."""
    scale = 512 // side
    random = partial(torch.randn, device=device)
    for (channels, height), window, (library, layout) in product(STAGES, WINDOWS, SIDES):
        triton.enable(library == "triton")
        x = random(batch, channels, height // scale, height // scale, dtype=torch.bfloat16)
        x = x.contiguous(memory_format=LAYOUTS[layout]).requires_grad_()
        shapes = (channels, 1, *window), (channels,)
        parameters = [random(*s, dtype=x.dtype).requires_grad_() for s in shapes]
        name = f"{window[0]}x{window[1]}, {channels} channels, {library} {layout}"
        action = partial(convolve, x, *parameters)
        yield f"{name}, forward", torch.no_grad()(action)
        yield f"{name}, forward and backward", action
    logits = random(batch, 150, side // 8, side // 8).requires_grad_()
    labels = torch.randint(150, (batch, side, side), device=device)
    frame = Frame(*((side, side),) * 3)
    for library in ("torch", "triton"):
        triton.enable(library == "triton")
        yield f"cross entropy and gradient, {library}", partial(lose, logits, labels)
        yield f"class map of one image, {library}", partial(class_map, logits[:1].detach(), frame)
    triton.enable(False)
    for size, channels, rank in (("T", 256, 16), ("L", 1024, 64)):
        x = random(batch, channels, (side // 8) ** 2).relu().requires_grad_()
        bases = random(batch, channels, rank).relu()
        yield f"factorisation of {size}, forward and backward", partial(factor, x, bases)
