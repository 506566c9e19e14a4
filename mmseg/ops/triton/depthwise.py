"""Depth-wise convolutions of maps that are channels_last, and their gradients.

A map is read as lines of pixels along the longer side of the convolution's window (`taps`), of
which `RUN` neighbours are computed at once: a pixel that is loaded serves as many of them as its
window reaches. Sums are float32. The order of summation is fixed, so that a result has the same
bits every time.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

# Lines and channels that a program computes at a time, and the most pixels in its part of a line.
LINES, CHANNELS, PART = 32, 32, 32
# Taps whose gradients a program sums; with more, the sums leave the registers.
TAPS_AT_ONCE = 11
# Programs that keep a GPU busy, a few for each multiprocessor.
PROGRAMS = 512
# The least that a program sums of the gradient of a weight, in runs of pixels.
LEAST_RUNS = 2


def _run(taps: int) -> int:
    """Return how many neighbours fit the registers."""
    return 8 if taps > 5 else 4


@triton.jit
def _add_to(values, index: tl.constexpr, x):
    """Return a tuple of tensors with x added to one of them: they cannot be changed in place."""
    return values[:index] + (values[index] + x,) + values[index + 1 :]  # noqa: RUF005, no stars here


@triton.jit
def _pixels_of(line, end, channel, geometry):
    """Return offsets of images and channels, places of lines in images, and a mask up to `end`."""
    image, place = (line // geometry[1]).to(tl.int64), line % geometry[1]
    inside = (line < end)[:, None] & (channel < geometry[3])[None, :]
    return image[:, None] * geometry[4] + channel[None, :], place, inside


@triton.jit
def _neighbour(x_ptr, place, geometry, inside):
    """Return a pointer to lines at a place in their images, and the mask of those that exist."""
    there = inside & ((place >= 0) & (place < geometry[1]))[:, None]
    return x_ptr + place[:, None] * geometry[5], there


@triton.jit
def _convolve(
    x_ptr,
    weight_ptr,
    bias_ptr,
    y_ptr,
    geometry,
    TAPS: tl.constexpr,
    WIDTH: tl.constexpr,
    RUN: tl.constexpr,
    PART: tl.constexpr,
    LINES: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """y = x * weight + bias for LINES lines, PART pixels of each and CHANNELS channels.

    The window is TAPS pixels long and WIDTH lines wide; weight is (WIDTH, TAPS, channels).
    """
    length, channels, line_stride, pixel_stride = geometry[2], geometry[3], geometry[5], geometry[6]
    line = tl.program_id(0) * LINES + tl.arange(0, LINES)
    channel = tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)
    known = channel < channels
    offset, place, inside = _pixels_of(line, geometry[0], channel, geometry)
    bias = tl.load(bias_ptr + channel, known, 0.0)
    begin = tl.program_id(1) * PART
    for run in range(tl.cdiv(min(PART, length - begin), RUN)):
        first = begin + run * RUN
        total = (tl.zeros((LINES, CHANNELS), tl.float32) + bias[None, :],) * RUN
        for across in tl.static_range(WIDTH):
            row_ptr, there = _neighbour(
                x_ptr + offset, place + across - WIDTH // 2, geometry, inside
            )
            for step in tl.static_range(TAPS + RUN - 1):
                pixel = first + step - TAPS // 2
                mask = there & (pixel >= 0) & (pixel < length)
                x = tl.load(row_ptr + pixel * pixel_stride, mask, 0.0).to(tl.float32)
                for i in tl.static_range(RUN):
                    if step >= i and step - i < TAPS:
                        tap = (across * TAPS + step - i) * channels
                        weight = tl.load(weight_ptr + tap + channel, known, 0.0)
                        total = _add_to(total, i, x * weight[None, :])
        for i in tl.static_range(RUN):
            out_ptr = y_ptr + offset + place[:, None] * line_stride + (first + i) * pixel_stride
            y = total[i].to(y_ptr.dtype.element_ty)
            tl.store(out_ptr, y, inside & (first + i < length))


@triton.jit
def _load_run(line_ptr, step, begin, end, there, RUN: tl.constexpr):
    """Load RUN neighbours on lines as a tuple of float32; 0 from `end` on."""
    values = ()
    for i in tl.static_range(RUN):
        x = tl.load(line_ptr + (begin + i) * step, there & (begin + i < end), 0.0)
        values = values + (x.to(tl.float32),)  # type: ignore[assignment] # noqa: RUF005
    return values


@triton.jit
def _add_products(
    total, at: tl.constexpr, grads, line_ptr, step, begin, length, there, TAPS: tl.constexpr
):
    """Add the products of a run of gradients with pixels of a line to TAPS totals, from `at` on.

    Tap t meets the gradient i at the pixel begin + t + i. Pixels are `step` apart in memory.
    """
    RUN: tl.constexpr = len(grads)
    for i in tl.static_range(TAPS + RUN - 1):
        mask = there & (begin + i >= 0) & (begin + i < length)
        x = tl.load(line_ptr + (begin + i) * step, mask, 0.0).to(tl.float32)
        for tap in tl.static_range(TAPS):
            if i >= tap and i - tap < RUN:
                total = _add_to(total, at + tap, x * grads[i - tap])
    return total


@triton.jit
def _sum_products(
    x_ptr,
    grad_ptr,
    sums_ptr,
    geometry,
    part_size,
    TAPS: tl.constexpr,
    GROUPS: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    RUN: tl.constexpr,
    LINES: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Gradients of TAPS of the GROUPS * TAPS taps of ROWS lines of the window, over a part.

    sums is (parts, WIDTH * GROUPS * TAPS + 1, channels); the bias is at the end.
    """
    lines, length, channels, pixel_stride = geometry[0], geometry[2], geometry[3], geometry[6]
    part = tl.program_id(0)
    group, top = tl.program_id(1) % GROUPS, tl.program_id(1) // GROUPS * ROWS
    channel = tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)
    total = (tl.zeros((LINES, CHANNELS), tl.float32),) * (ROWS * TAPS + 1)
    parts = tl.cdiv(lines, part_size[0])
    begin, begin_pixel = part % parts * part_size[0], part // parts * part_size[1]
    end, end_pixel = min(begin + part_size[0], lines), min(begin_pixel + part_size[1], length)
    for block in range(begin, end, LINES):
        line = block + tl.arange(0, LINES)
        offset, place, inside = _pixels_of(line, end, channel, geometry)
        grad_line_ptr, _ = _neighbour(grad_ptr + offset, place, geometry, inside)
        for run in range(tl.cdiv(end_pixel - begin_pixel, RUN)):
            first = begin_pixel + run * RUN
            grads = _load_run(grad_line_ptr, pixel_stride, first, end_pixel, inside, RUN)
            for i in tl.static_range(RUN):
                total = _add_to(total, ROWS * TAPS, grads[i])
            for row in tl.static_range(ROWS):
                at = place + top + row - WIDTH // 2
                line_ptr, there = _neighbour(x_ptr + offset, at, geometry, inside)
                reach = first + group * TAPS - GROUPS * TAPS // 2
                total = _add_products(
                    total, row * TAPS, grads, line_ptr, pixel_stride, reach, length, there, TAPS
                )
    sums_ptr += part * (WIDTH * GROUPS * TAPS + 1) * channels + channel
    for i in tl.static_range(ROWS * TAPS):
        tap = ((top + i // TAPS) * GROUPS + group) * TAPS + i % TAPS
        tl.store(sums_ptr + tap * channels, tl.sum(total[i], 0), channel < channels)
    if tl.program_id(1) == 0:
        sums_ptr += WIDTH * GROUPS * TAPS * channels
        tl.store(sums_ptr, tl.sum(total[ROWS * TAPS], 0), channel < channels)


def _geometry(x: Tensor, upright: bool) -> tuple[int, ...]:
    """Return lines, lines per image, their length, channels and strides of a channels_last map."""
    batch, channels, height, width = x.shape
    image = channels * height * width
    if upright:  # the lines are columns
        return batch * width, width, height, channels, image, channels, width * channels
    return batch * height, height, width, channels, image, width * channels, channels


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
    geometry = _geometry(x, height > width)
    run = _run(max(height, width))
    line_parts, blocks = triton.cdiv(geometry[0], LINES), triton.cdiv(x.shape[1], CHANNELS)
    part = PART
    while part > run and line_parts * blocks * triton.cdiv(geometry[2], part) < PROGRAMS:
        part //= 2
    window = {"TAPS": max(height, width), "WIDTH": min(height, width)}
    tile = {"RUN": run, "PART": part, "LINES": LINES, "CHANNELS": CHANNELS}
    grid = line_parts, triton.cdiv(geometry[2], part), blocks
    with torch.cuda.device_of(x):
        _convolve[grid](x, taps, bias, y, geometry, **window, **tile)
    return y


@_depthwise_conv2d.register_fake
def _(x: Tensor, taps: Tensor, bias: Tensor, height: int, width: int) -> Tensor:
    return torch.empty_like(x, memory_format=torch.channels_last)


def _divide(lines: int, length: int, run: int, programs: int) -> tuple[int, tuple[int, int]]:
    """Divide lines of that length, each part for so many programs.

    Returns the number of parts, and the lines and the pixels of a part.
    """
    wanted = triton.cdiv(PROGRAMS, programs)
    lines_per_part = triton.cdiv(triton.cdiv(lines, wanted), LINES) * LINES
    line_parts = triton.cdiv(lines, lines_per_part)
    runs = triton.cdiv(triton.cdiv(length, run), triton.cdiv(wanted, line_parts))
    pixels_per_part = run * max(runs, LEAST_RUNS)
    return line_parts * triton.cdiv(length, pixels_per_part), (lines_per_part, pixels_per_part)


@torch.library.custom_op("mmseg::depthwise_weight_gradient", mutates_args=())
def weight_gradient(x: Tensor, grad: Tensor, height: int, width: int) -> Tensor:
    """Return the gradients of weight (C, 1, height, width), flattened, and bias: (taps + 1, C).

    x and grad are the convolution's input and the gradient of its output, (B, C, H, W).
    """
    layout = torch.channels_last
    x, grad = (each.to(x.dtype).contiguous(memory_format=layout) for each in (x, grad))
    upright = height > width
    taps, across = max(height, width), min(height, width)
    groups = next(n for n in range(1, taps + 1) if taps % n == 0 and taps // n <= TAPS_AT_ONCE)
    rows = across if across * taps <= TAPS_AT_ONCE else 1
    geometry = _geometry(x, upright)
    run = _run(taps // groups)
    blocks, programs = triton.cdiv(x.shape[1], CHANNELS), groups * across // rows
    parts, part = _divide(geometry[0], geometry[2], run, blocks * programs)
    sums = x.new_empty((parts, taps * across + 1, x.shape[1]), dtype=torch.float32)
    window = {"TAPS": taps // groups, "GROUPS": groups, "WIDTH": across, "ROWS": rows}
    tile = {"RUN": run, "LINES": LINES, "CHANNELS": CHANNELS}
    with torch.cuda.device_of(x):
        _sum_products[parts, programs, blocks](x, grad, sums, geometry, part, **window, **tile)
    return sums.sum(0)


@weight_gradient.register_fake
def _(x: Tensor, grad: Tensor, height: int, width: int) -> Tensor:
    return x.new_empty((height * width + 1, x.shape[1]), dtype=torch.float32)


def _keep(ctx, inputs, output) -> None:
    x, taps, bias, *ctx.window = inputs
    ctx.save_for_backward(x, taps, bias)


def _backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None, None]:
    x, taps, bias = ctx.saved_tensors
    grad_x = None
    if ctx.needs_input_grad[0]:
        grad_x = _depthwise_conv2d(grad, taps.flip(0), torch.zeros_like(bias), *ctx.window)
    sums = weight_gradient(x, grad, *ctx.window)
    return grad_x, sums[:-1], sums[-1], None, None


_depthwise_conv2d.register_autograd(_backward, setup_context=_keep)
