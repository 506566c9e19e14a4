"""Softmax cross entropy of bilinearly upsampled logits, without ever holding them at full size.

At 512x512 with 150 classes the upsampled logits of one image take 157 MB, their gradient and the
softmax as much again. The fast path goes through bands of rows and computes the gradient together
with the value.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg import ops
from mmseg.ops import bilinear, compiled, triton
from mmseg.ops.bands import rows_of_logits

kernel = compiled.load("cross_entropy")
gpu = triton.load("cross_entropy")

# Rows of labels that one thread takes at a time; fixed, so that sums do not depend on the threads.
ROWS = 64


def upsampled_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    class_weight: Tensor | None = None,
    ignore_index: int = 255,
    align_corners: bool = False,
) -> tuple[Tensor, Tensor]:
    """Upsample logits (B, K, h, w) to the size of labels (B, H, W), int64, and compare them.

    Returns the sum over the pixels that are not ignored of class_weight[label] * cross entropy, and
    how many of them have their largest logit at the label, int64. The sum is NaN where the fast
    path meets a logit that is not finite.
    """
    # The fast path makes the gradient at once, which inference mode does not let it.
    fast = ops.enabled() and not torch.is_inference_mode_enabled()
    return (_Fused.apply if fast else plain)(
        logits, labels, class_weight, ignore_index, align_corners
    )


def plain(
    logits: Tensor,
    labels: Tensor,
    class_weight: Tensor | None,
    ignore_index: int,
    align_corners: bool,
) -> tuple[Tensor, Tensor]:
    """Compute the same at full size: the reference."""
    logits = F.interpolate(logits, labels.shape[1:], mode="bilinear", align_corners=align_corners)
    return _compare(logits, labels, class_weight, ignore_index)


def _compare(
    logits: Tensor, labels: Tensor, class_weight: Tensor | None, ignore_index: int
) -> tuple[Tensor, Tensor]:
    # Summed outside the kernel, which has no deterministic sum on CUDA.
    total = F.cross_entropy(
        logits, labels, class_weight, ignore_index=ignore_index, reduction="none"
    ).sum()
    return total, right_pixels(logits, labels, ignore_index)


@torch.no_grad()
def right_pixels(logits: Tensor, labels: Tensor, ignore_index: int) -> Tensor:
    """Count the pixels, ignored ones apart, whose largest logit (B, K, H, W) is at the label."""
    return ((logits.max(1).indices == labels) & (labels != ignore_index)).sum()


class _Fused(torch.autograd.Function):
    """The sum, with its gradient made in the forward pass."""

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, labels: Tensor, class_weight: Tensor | None, *options: Any
    ) -> tuple[Tensor, Tensor]:
        x = logits if logits.dtype == torch.float64 else logits.float()
        weight = None if class_weight is None else class_weight.to(x.dtype)
        compute = _fast_path(x)
        with torch.autocast(x.device.type, enabled=False):
            total, right, grad = compute(x, labels, weight, *options)
        ctx.save_for_backward(grad.to(logits.dtype))
        ctx.mark_non_differentiable(right)
        return total, right

    @staticmethod
    def backward(ctx: Any, grad_total: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = ctx.saved_tensors
        return grad * grad_total, None, None, None, None


def _fast_path(x: Tensor) -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
    if triton.suits(x):
        return _by_gpu
    return _by_kernel if _suits_kernel(x) else _by_torch


def _suits_kernel(x: Tensor) -> bool:
    on_cpu = kernel is not None and x.device.type == "cpu" and x.dtype == torch.float32
    return on_cpu and bool(x.isfinite().all())


def _by_gpu(
    x: Tensor, labels: Tensor, class_weight: Tensor | None, *options: Any
) -> tuple[Tensor, Tensor, Tensor]:
    weight = x.new_ones(x.shape[1]) if class_weight is None else class_weight
    return gpu.compare(x, labels, weight, *options)


def _by_torch(
    x: Tensor,
    labels: Tensor,
    class_weight: Tensor | None,
    ignore_index: int,
    align_corners: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    batch, classes, height, width = x.shape
    rows, columns = labels.shape[1:]
    down = bilinear.matrix(height, rows, align_corners, x.device).to(x.dtype)
    across = bilinear.matrix(width, columns, align_corners, x.device).to(x.dtype)
    first_of_row, _ = bilinear.positions(height, rows, align_corners)
    grad = torch.zeros_like(x)
    total, right = x.new_zeros(()), labels.new_zeros(())
    step = rows_of_logits(batch * classes * columns, x.device)
    for start in range(0, rows, step):
        band = slice(start, min(start + step, rows))
        reach = slice(first_of_row[start], first_of_row[band.stop - 1] + 2)
        with torch.enable_grad():
            part = x[:, :, reach].detach().requires_grad_()
            upsampled = down[band, reach] @ (part @ across.T)
            band_total, band_right = _compare(
                upsampled, labels[:, band], class_weight, ignore_index
            )
        grad[:, :, reach] += torch.autograd.grad(band_total, part)[0]
        total += band_total.detach()
        right += band_right
    return total, right, grad


def _by_kernel(
    x: Tensor,
    labels: Tensor,
    class_weight: Tensor | None,
    ignore_index: int,
    align_corners: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    batch, classes, height, width = x.shape
    rows, columns = labels.shape[1:]
    # Classes last, as the kernel walks, and padded to whole vectors.
    padding = -classes % kernel.LANES
    logits = F.pad(x.permute(0, 2, 3, 1), (0, padding), value=kernel.NO_CLASS).contiguous().numpy()
    ids = labels.numpy()
    weight = np.ones(classes, np.float32) if class_weight is None else class_weight.numpy()
    down = bilinear.positions(height, rows, align_corners)
    across = bilinear.positions(width, columns, align_corners)

    def run(task: tuple[int, int]) -> tuple[float, int, int, int, np.ndarray]:
        image, start = task
        index, share = (values[start : start + ROWS] for values in down)
        top, end = index[0], min(index[-1] + 2, height)
        grad = np.zeros((end - top, width, logits.shape[3]), np.float32)
        total, right = kernel.rows_cross_entropy(
            logits[image, top:end],
            ids[image, start : start + ROWS],
            weight,
            ignore_index,
            index - top,
            share,
            *across,
            grad,
        )
        if right < 0:
            raise IndexError(f"a label is neither one of {classes} classes nor {ignore_index}")
        return total, right, image, top, grad

    grad = np.zeros_like(logits)
    total, right = 0.0, 0
    tasks = [(image, start) for image in range(batch) for start in range(0, rows, ROWS)]
    for part_total, part_right, image, top, part in compiled.run(run, tasks):
        grad[image, top : top + len(part)] += part
        total += part_total
        right += part_right
    return (
        x.new_tensor(total),
        labels.new_tensor(right),
        torch.from_numpy(grad[..., :classes]).permute(0, 3, 1, 2),
    )
