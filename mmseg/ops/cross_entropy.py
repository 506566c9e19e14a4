"""Softmax cross entropy of bilinearly upsampled logits, without ever holding them at full size.

At 512x512 with 150 classes the upsampled logits of one image take 157 MB, and their gradient and
the softmax as much again. Here a band of rows is computed at a time, the gradient together with the
value.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg.ops import bilinear, compiled, triton

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

    Returns two scalars. The first is the sum, over the pixels whose label is not `ignore_index`, of
    class_weight[label] * (log(sum of exp(z_k)) - z_label), for upsampled logits z. It is NaN if a
    logit is not finite. The second counts those of these pixels whose largest logit is at the
    label, int64. `IndexError` on CPUs for a label that is neither a class nor `ignore_index`.
    """
    if torch.is_inference_mode_enabled():  # no gradient can be made, and none is needed
        size = labels.shape[1:]
        logits = F.interpolate(logits, size, mode="bilinear", align_corners=align_corners)
        total = cross_entropy(logits, labels, class_weight, ignore_index)
        return total, right_pixels(logits, labels, ignore_index)
    return _Upsampled.apply(logits, labels, class_weight, ignore_index, align_corners)


def cross_entropy(
    logits: Tensor, labels: Tensor, class_weight: Tensor | None, ignore_index: int
) -> Tensor:
    """Sum the cross entropy of logits (B, K, H, W) over the pixels that are not ignored."""
    # Summed outside the kernel, which has no deterministic sum on CUDA.
    return F.cross_entropy(
        logits, labels, class_weight, ignore_index=ignore_index, reduction="none"
    ).sum()


@torch.no_grad()
def right_pixels(logits: Tensor, labels: Tensor, ignore_index: int) -> Tensor:
    """Count the pixels, ignored ones apart, whose largest logit (B, K, H, W) is at the label."""
    return ((logits.max(1).indices == labels) & (labels != ignore_index)).sum()


class _Upsampled(torch.autograd.Function):
    """The sum, with its gradient made in the forward pass.

    Each way to compute it returns the sum, the number of right pixels, and the gradient of the sum.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, labels: Tensor, class_weight: Tensor | None, *options: Any
    ) -> tuple[Tensor, Tensor]:
        x = logits if logits.dtype == torch.float64 else logits.float()
        weight = x.new_ones(x.shape[1]) if class_weight is None else class_weight.to(x.dtype)
        with torch.autocast(x.device.type, enabled=False):
            compare = _by_torch
            if triton.suits(x, "cross_entropy"):
                compare = gpu.compare
            elif kernel is not None and x.device.type == "cpu" and x.dtype == torch.float32:
                compare = _by_kernel if x.isfinite().all() else _by_torch
            total, right, grad = compare(x, labels, weight, *options)
        ctx.save_for_backward(grad.to(logits.dtype))
        ctx.mark_non_differentiable(right)
        return total, right

    @staticmethod
    def backward(ctx: Any, grad_total: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = ctx.saved_tensors
        return grad * grad_total, None, None, None, None


def _by_torch(
    x: Tensor, labels: Tensor, class_weight: Tensor, ignore_index: int, align_corners: bool
) -> tuple[Tensor, Tensor, Tensor]:
    batch, classes, height, width = x.shape
    rows, columns = labels.shape[1:]
    down = bilinear.matrix(height, rows, align_corners, x.device).to(x.dtype)
    across = bilinear.matrix(width, columns, align_corners, x.device).to(x.dtype)
    first_of_row, _ = bilinear.positions(height, rows, align_corners)
    grad = torch.zeros_like(x)
    total, right = x.new_zeros(()), labels.new_zeros(())
    step = bilinear.rows_at_once(batch * classes * columns, x.device)
    for start in range(0, rows, step):
        band = slice(start, min(start + step, rows))
        reach = slice(first_of_row[start], first_of_row[band.stop - 1] + 2)
        with torch.enable_grad():
            part = x[:, :, reach].detach().requires_grad_()
            upsampled = down[band, reach] @ (part @ across.T)
            band_total = cross_entropy(upsampled, labels[:, band], class_weight, ignore_index)
        grad[:, :, reach] += torch.autograd.grad(band_total, part)[0]
        total += band_total.detach()
        right += right_pixels(upsampled, labels[:, band], ignore_index)
    return total, right, grad


def _by_kernel(
    x: Tensor, labels: Tensor, class_weight: Tensor, ignore_index: int, align_corners: bool
) -> tuple[Tensor, Tensor, Tensor]:
    batch, classes, height, width = x.shape
    rows, columns = labels.shape[1:]
    # Classes last, as the kernel walks, and padded to whole vectors.
    padding = -classes % kernel.LANES
    logits = F.pad(x.permute(0, 2, 3, 1), (0, padding), value=kernel.NO_CLASS).contiguous().numpy()
    ids, weight = labels.numpy(), class_weight.numpy()
    down = bilinear.positions(height, rows, align_corners)
    across = bilinear.positions(width, columns, align_corners)

    def compare(task: tuple[int, int]) -> tuple[float, int, int, int, np.ndarray]:
        image, start = task
        index, share = (values[start : start + ROWS] for values in down)
        top, end = index[0], min(index[-1] + 2, height)
        grad = np.zeros((end - top, width, logits.shape[3]), np.float32)
        band = logits[image, top:end], ids[image, start : start + ROWS]
        places = index - top, share, *across
        total, right = kernel.rows_cross_entropy(*band, weight, ignore_index, *places, grad)
        if right < 0:
            raise IndexError(f"a label is neither one of {classes} classes nor {ignore_index}")
        return total, right, image, top, grad

    grad = np.zeros_like(logits)
    total, right = 0.0, 0
    tasks = [(image, start) for image in range(batch) for start in range(0, rows, ROWS)]
    for part_total, part_right, image, top, part in compiled.run(compare, tasks):
        grad[image, top : top + len(part)] += part
        total += part_total
        right += part_right
    gradient = torch.from_numpy(grad[..., :classes]).permute(0, 3, 1, 2)
    return x.new_tensor(total), labels.new_tensor(right), gradient
