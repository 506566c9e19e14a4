"""Depth-wise convolutions of maps that are channels_last, and their gradients.

A map is read as lines of pixels along the longer side of the convolution's window (`taps`), of
which `RUN` neighbours are computed at once: a pixel that is loaded serves as many of them as its
window reaches. Sums are float32. The order of summation is fixed, so that a result has the same
bits every time.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

# Lines, channels and neighbours that a program computes at a time, and the pixels of a line over
# which it sums the gradients of weights.
LINES, CHANNELS, RUN, PART = map(tl.constexpr, (16, 32, 8, 32))


@triton.jit
def _lines(geometry):
    """Return a program's channels, the offsets of images, the places of lines there, and a mask."""
    line = tl.program_id(0) * LINES + tl.arange(0, LINES)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)[None, :]
    image = (line // geometry[1]).to(tl.int64)[:, None]
    inside = (line < geometry[0])[:, None] & (channel < geometry[3])
    return channel, image * geometry[4] + channel, (line % geometry[1])[:, None], inside


@triton.jit
def _add_to(values, index: tl.constexpr, x):
    """Return a tuple of tensors with x added to one of them: they cannot be changed in place."""
    return values[:index] + (values[index] + x,) + values[index + 1 :]  # noqa: RUF005, no stars here


@triton.jit
def _load(x_ptr, stride, begin, end, there, NUMBER: tl.constexpr):
    """Load neighbours as a tuple of float32; 0 from `end` on."""
    values = ()
    for i in tl.static_range(NUMBER):
        x = tl.load(x_ptr + (begin + i) * stride, there & (begin + i < end), 0.0)
        values = values + (x.to(tl.float32),)  # type: ignore[assignment] # noqa: RUF005
    return values


@triton.jit
def _add_products(totals, factors, x_ptr, geometry, place, begin, inside):
    """Add factor k times the pixel begin + i + k of lines to total i; outside of maps, x is 0."""
    there = inside & (place >= 0) & (place < geometry[1])
    NUMBER: tl.constexpr = len(totals)
    COUNT: tl.constexpr = len(factors)
    for step in tl.static_range(NUMBER + COUNT - 1):
        pixel = begin + step
        mask = there & (pixel >= 0) & (pixel < geometry[2])
        x = tl.load(x_ptr + place * geometry[5] + pixel * geometry[6], mask, 0.0).to(tl.float32)
        for i in tl.static_range(NUMBER):
            if step >= i and step - i < COUNT:
                totals = _add_to(totals, i, x * factors[step - i])
    return totals


@triton.jit
def _convolve(
    x_ptr, weight_ptr, bias_ptr, y_ptr, geometry, TAPS: tl.constexpr, WIDTH: tl.constexpr
):
    """y = x * weight + bias for LINES lines, RUN pixels of each and CHANNELS channels.

    The window is TAPS pixels long and WIDTH lines wide; weight is (WIDTH, TAPS, channels).
    """
    channel, offset, place, inside = _lines(geometry)
    known, first = channel < geometry[3], tl.program_id(2) * RUN
    bias = tl.load(bias_ptr + channel, known, 0.0)
    totals = (tl.zeros((LINES, CHANNELS), tl.float32) + bias,) * RUN
    for row in tl.static_range(WIDTH):
        taps = _load(weight_ptr + channel, geometry[3], row * TAPS, WIDTH * TAPS, known, TAPS)
        at = place + row - WIDTH // 2
        begin = first - TAPS // 2
        totals = _add_products(totals, taps, x_ptr + offset, geometry, at, begin, inside)
    line_ptr = y_ptr + offset + place * geometry[5]
    for i in tl.static_range(RUN):
        y = totals[i].to(y_ptr.dtype.element_ty)
        tl.store(line_ptr + (first + i) * geometry[6], y, inside & (first + i < geometry[2]))


@triton.jit
def _sum_products(x_ptr, grad_ptr, sums_ptr, geometry, TAPS: tl.constexpr, WIDTH: tl.constexpr):
    """Gradients of the weight and the bias from PART pixels of LINES lines.

    sums is (parts, WIDTH * TAPS + 1, channels); the bias is at the end.
    """
    channel, offset, place, inside = _lines(geometry)
    line_ptr = grad_ptr + offset + place * geometry[5]
    totals = (tl.zeros((LINES, CHANNELS), tl.float32),) * (WIDTH * TAPS + 1)
    for run in range(PART // RUN):
        first = tl.program_id(2) * PART + run * RUN
        grads = _load(line_ptr, geometry[6], first, geometry[2], inside, RUN)
        for i in tl.static_range(RUN):
            totals = _add_to(totals, WIDTH * TAPS, grads[i])
        for row in tl.static_range(WIDTH):
            sums = totals[row * TAPS : row * TAPS + TAPS]
            at = place + row - WIDTH // 2
            begin = first - TAPS // 2
            sums = _add_products(sums, grads, x_ptr + offset, geometry, at, begin, inside)
            totals = totals[: row * TAPS] + sums + totals[row * TAPS + TAPS :]
    part = tl.program_id(2) * tl.num_programs(0) + tl.program_id(0)
    sums_ptr += part * (WIDTH * TAPS + 1) * geometry[3] + channel
    for i in tl.static_range(WIDTH * TAPS + 1):
        total = tl.sum(totals[i], 0, keep_dims=True)
        tl.store(sums_ptr + i * geometry[3], total, channel < geometry[3])


def _plan(x: Tensor, height: int, width: int) -> tuple[tuple[int, ...], dict[str, int], list[int]]:
    """Return what kernels know of a channels_last map, a window and their tile, and their blocks.

    These are lines, lines per image, their length, channels and strides; constants; the number of
    blocks of lines and of channels.
    """
    batch, channels, *sides = x.shape
    strides = sides[1] * channels, channels
    if height > width:  # the lines are columns
        sides, strides = sides[::-1], strides[::-1]
    geometry = batch * sides[0], *sides, channels, sides[0] * sides[1] * channels, *strides
    constants = {"TAPS": max(height, width), "WIDTH": min(height, width)}
    tile = LINES.value, CHANNELS.value
    return geometry, constants, [*map(triton.cdiv, (geometry[0], channels), tile)]


def depthwise_conv2d(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve (B, C, H, W) with weight (C, 1, kh, kw), odd sizes, to the same size and dtype.

    The result is channels_last. Differentiable in all three.
    """
    height, width = weight.shape[2:]
    # Not in the operation, where no compiler could join such steps or take them ahead.
    ordered = weight.transpose(2, 3) if height > width else weight
    taps = ordered.flatten(1).T.float().contiguous()
    return _depthwise_conv2d(x, taps, bias.float(), height, width)


@torch.library.custom_op("mmseg::depthwise_conv2d", mutates_args=())
def _depthwise_conv2d(x: Tensor, taps: Tensor, bias: Tensor, height: int, width: int) -> Tensor:
    """Convolve with float32 taps (height * width, C), longer side last, and bias (C,)."""
    x = x.contiguous(memory_format=torch.channels_last)
    y = torch.empty_like(x)
    geometry, constants, blocks = _plan(x, height, width)
    grid = *blocks, triton.cdiv(geometry[2], RUN.value)
    with torch.cuda.device_of(x):
        _convolve[grid](x, taps, bias, y, geometry, **constants)
    return y


@_depthwise_conv2d.register_fake
def _(x: Tensor, taps: Tensor, bias: Tensor, height: int, width: int) -> Tensor:
    return torch.empty_like(x, memory_format=torch.channels_last)


@torch.library.custom_op("mmseg::depthwise_weight_gradient", mutates_args=())
def weight_gradient(x: Tensor, grad: Tensor, height: int, width: int) -> Tensor:
    """Return the gradients of weight (C, 1, height, width), flattened, and bias: (taps + 1, C).

    x and grad are the convolution's input and the gradient of its output, (B, C, H, W).
    """
    layout = torch.channels_last
    x, grad = (each.to(x.dtype).contiguous(memory_format=layout) for each in (x, grad))
    geometry, constants, blocks = _plan(x, height, width)
    grid = *blocks, triton.cdiv(geometry[2], PART.value)
    shape = grid[0] * grid[2], height * width + 1, x.shape[1]
    sums = x.new_empty(shape, dtype=torch.float32)
    with torch.cuda.device_of(x):
        _sum_products[grid](x, grad, sums, geometry, **constants)
    return sums.sum(0)


@weight_gradient.register_fake
def _(x: Tensor, grad: Tensor, height: int, width: int) -> Tensor:
    return x.new_empty((height * width + 1, x.shape[1]), dtype=torch.float32)


def _keep(ctx: Any, inputs: Any, output: Tensor) -> None:
    x, taps, bias, *ctx.window = inputs
    ctx.save_for_backward(x, taps, bias)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None, None]:
    x, taps, bias = ctx.saved_tensors
    grad_x = None
    if ctx.needs_input_grad[0]:
        grad_x = _depthwise_conv2d(grad, taps.flip(0), torch.zeros_like(bias), *ctx.window)
    sums = weight_gradient(x, grad, *ctx.window)
    return grad_x, sums[:-1], sums[-1], None, None


_depthwise_conv2d.register_autograd(_backward, setup_context=_keep)
